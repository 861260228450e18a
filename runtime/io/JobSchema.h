// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_IO_JOBSCHEMA_H
#define WEIR_RUNTIME_IO_JOBSCHEMA_H

// The keys of a job file, once: the parser, the writer of the resolved file and
// the reference page are three visitors of `visitJob`. Internal to runtime/io.

#include "runtime/io/Job.h"

#include <cstdint>
#include <limits>

namespace weir {
namespace job {

enum Need { Optional, Required };

/// Whether a number's default is the field's value or derived from other keys;
/// then 0 stands for "not given".
enum Standard { Fixed, Derived };

/// Legal values of a number.
struct Range {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool lowOpen = false;
  bool highOpen = false;
};

inline constexpr double infinity = std::numeric_limits<double>::infinity();
inline constexpr Range anyPositive = {0, infinity, true, true};
inline constexpr Range atLeastZero = {0, infinity, false, true};
inline constexpr Range unitInterval = {0, 1, false, false};
inline constexpr Range belowOne = {0, 1, false, true};

template <typename E> struct Choice {
  const char *name;
  E value;
};

inline constexpr Choice<DataKind> dataKinds[] = {{"text", DataKind::Text},
                                                 {"bin", DataKind::Bin}};
inline constexpr Choice<TokenType> tokenTypes[] = {{"auto", TokenType::Auto},
                                                   {"u16", TokenType::U16},
                                                   {"u32", TokenType::U32}};
inline constexpr Choice<OptimizerKind> optimizerKinds[] = {
    {"adamw", OptimizerKind::AdamW}, {"sgd", OptimizerKind::Sgd}};
inline constexpr Choice<ScheduleKind> scheduleKinds[] = {
    {"constant", ScheduleKind::Constant},
    {"cosine", ScheduleKind::Cosine},
    {"linear", ScheduleKind::Linear}};
inline constexpr Choice<Precision> precisions[] = {{"f32", Precision::F32}};

/// What the file says where it is not what `Job` holds.
struct Raw {
  /// "validation" is the only data an evaluation can name so far.
  std::string evaluateData;
  std::string mesh;
  /// (axis, strategy name).
  std::vector<std::pair<std::string, std::string>> strategy;
  std::vector<double> betas;
};

/// Calls `v` for every key in the order of the reference page. See
/// `JobReader` in Job.cpp for what a visitor offers.
template <typename Visitor> void visitJob(Visitor &v, Job &job, Raw &raw) {
  constexpr int64_t million = 1'000'000;
  constexpr int64_t maxSteps = std::numeric_limits<int32_t>::max();
  v.text("name", job.name, Optional,
         "Names the run in logs. The job file's name without its ending by "
         "default.");

  v.section(
      "model", Required,
      "What is trained: one of `folder`, `family` "
      "with `config`, and `mlir`.",
      [&] {
        JobModel &m = job.model;
        v.path(
            "folder", m.folder,
            "A Hugging Face folder of the family gpt2 or llama: `config.json` "
            "and, unless initial values are random, safetensors.");
        v.word("family", m.family, {"gpt2", "llama"},
               "An architecture whose sizes `config` gives.");
        v.section(
            "config", Optional,
            "Sizes of `family`. What is left out takes the family's default.",
            [&] {
              ModelConfig &c = m.config;
              v.integer("layers", c.layers, 1, 10000, Required,
                        "Transformer layers.");
              v.integer("width", c.width, 1, million, Required,
                        "Size of the residual stream.");
              v.integer("heads", c.heads, 1, million, Required,
                        "Attention heads.");
              v.integer("kv_heads", c.kvHeads, 1, million, Optional,
                        "Key and value heads; a divisor of `heads`. As many as "
                        "`heads` "
                        "by default.");
              v.integer("head_dim", c.headDim, 1, million, Optional,
                        "Size of one head. `width / heads` by default.");
              v.integer(
                  "intermediate", c.intermediate, 1, 16 * million, Optional,
                  "Inner size of the MLP. `4 * width` by default; llama needs "
                  "it.");
              v.integer(
                  "vocab", c.vocab, 1, 1000 * million, Optional,
                  "Token ids are below this. 256 by default with `data.kind` "
                  "text.");
              v.integer("context", c.context, 1, 1000 * million, Optional,
                        "Longest sequence. `sequence` by default.");
              v.number("dropout", c.dropout, belowOne,
                       "Probability of zeroing (gpt2: embeddings, attention "
                       "weights, "
                       "residuals).");
              v.word(
                  "activation", c.activation,
                  {"gelu_new", "gelu_pytorch_tanh", "gelu", "silu", "relu"},
                  "The MLP's activation, as Hugging Face spells it. gelu_new "
                  "(gpt2) or silu (llama) by default.");
              v.flag(
                  "tie", c.tie,
                  "Whether the output projection is the token embedding. True "
                  "(gpt2) or false (llama) by default.");
              v.number("norm_epsilon", c.normEpsilon, anyPositive,
                       "Epsilon of the norms. 1e-05 (gpt2) or 1e-06 (llama) by "
                       "default.",
                       Derived);
              v.number(
                  "rope_theta", c.ropeTheta, anyPositive,
                  "Base of the rotary embedding (llama). 10000 by default.",
                  Derived);
              v.number("init_std", c.initStd, atLeastZero,
                       "Standard deviation of the random initial weights.");
              v.flag("attention_bias", c.attentionBias,
                     "Whether llama's attention projections have biases.");
              v.flag("mlp_bias", c.mlpBias,
                     "Whether llama's MLP projections have biases.");
            });
        v.path("mlir", m.mlir, "A file of `graph` MLIR text.");
        v.path(
            "weights", m.weights,
            "Initial values: a safetensors file, or a folder with "
            "`model.safetensors` or `model.safetensors.index.json`. By default "
            "the model folder's own; random where there are none.");
      });

  v.section("data", Optional, "What it is trained on.", [&] {
    JobData &d = job.data;
    v.choice("kind", d.kind, dataKinds, Required,
             "`text`: each byte is a token. `bin`: a token file of nanoGPT "
             "(raw) or llm.c (with header), recognised by its content.");
    v.path("path", d.path,
           "A file, or for text also a folder: its regular "
           "files by name, without links, `*.dat` and "
           "`*.u8`.",
           Required);
    v.text("separator", d.separator, Optional,
           "Text only: the line that ends an entry, such as `%`.");
    v.section("validation", Optional,
              "The part that is kept from training: one of `every` and "
              "`path`.",
              [&] {
                v.integer(
                    "every", d.validationEvery, 2, million, Optional,
                    "Text with a `separator`: the entries N, 2N, 3N, ... are "
                    "validation.");
                v.path("path", d.validationPath,
                       "Data of the same kind, all of it validation.");
              });
    v.choice("dtype", d.dtype, tokenTypes, Optional,
             "Element type of a raw token file; `auto` is u16. A header says "
             "it itself.");
    v.integer("vocab", d.vocab, 1, 1000 * million, Optional,
              "Token ids must be below this. 256 for text, the model's "
              "vocabulary for bin by default.");
  });

  v.integer("batch", job.batch, 1, 16 * million, Required,
            "Sequences a step, over all devices and micro-batches.");
  v.integer("sequence", job.sequence, 1, 1000 * million, Required,
            "Tokens a sequence.");
  v.integer("micro_batches", job.microBatches, 1, million, Optional,
            "Parts into which a step's batch is cut; at most `batch`. Changes "
            "memory, not results.");
  v.choice("precision", job.precision, precisions, Optional,
           "Type of values and arithmetic.");

  v.text("mesh", raw.mesh, Optional,
         "Devices as named axes, the slowest-varying first: `dp=2,tp=2`. One "
         "device by default.");
  v.map(
      "strategy", raw.strategy, strategyWords(),
      "How an axis is used, by axis name. `data` splits the batch; `zero1`, "
      "`zero2`, `zero3` do and split optimizer state, gradients too, "
      "parameters too. `megatron` splits the matrices of attention and MLP "
      "and the vocabulary, `megatron-sp` the sequence between them as well, "
      "`redco` matrices by two rules for any model. `ulysses`, `context` and "
      "`ring` split sequences and differ in attention; with `-zigzag` behind, "
      "the last two balance causal attention by reordering tokens. `search` "
      "lets the "
      "planner choose; `none` leaves the axis to `layouts`. `dp` is data and "
      "`tp` is megatron by default; other axes must be named. See "
      "[parallelism](../parallelism.md).");
  v.list(
      "layouts", job.layouts,
      "Layouts of variables against the strategy; of several that match, the "
      "first that names the axis counts.",
      [&](LayoutOverride &item) {
        v.text("match", item.match, Required,
               "Pattern on the variable's name; `*` is any text, `?` any one "
               "character.");
        v.rest(
            "AXIS", item.layouts,
            "The layout on that mesh axis: `B` (whole on each device), `S(0)` "
            "(split on dimension 0) or `S(0, unit=8)` (in runs of 8 elements "
            "that stay together).");
      });

  v.integer("steps", job.steps, 1, maxSteps, Required, "Steps to train.");
  v.integer("seed", job.seed, 0, 0xFFFFFFFFll, Optional,
            "Keys all random numbers: initial weights, batches, dropout.");
  v.number("dropout", job.dropout, belowOne,
           "Overrides the model's own probability.");

  v.section("optimizer", Optional, "How parameters are updated.", [&] {
    JobOptimizer &o = job.optimizer;
    v.choice("kind", o.kind, optimizerKinds, Optional,
             "`adamw` (decoupled decay) or `sgd`.");
    v.number("lr", o.lr, atLeastZero, "Full learning rate.");
    v.numbers("betas", raw.betas, 2, belowOne,
              "AdamW: decay of the first and second moment.");
    v.number("eps", o.eps, atLeastZero,
             "AdamW: added to the root of the second moment.");
    v.number("weight_decay", o.weightDecay, atLeastZero,
             "Decay of the variables of two and more dimensions. Biases and "
             "norms (one dimension) are not decayed unless a group says so.");
    v.number("momentum", o.momentum, belowOne, "SGD only.");
    v.list("groups", o.groups,
           "Settings by variable name; the first group that matches counts.",
           [&](OptimizerGroup &item) {
             v.text(
                 "match", item.match, Required,
                 "Pattern on the variable's name; `*` is any text, `?` any one "
                 "character.");
             v.number(
                 "weight_decay", item.weightDecay, atLeastZero,
                 "Decay of the group, one-dimensional variables included. The "
                 "optimizer's rule by default.");
             v.number("lr_scale", item.lrScale, atLeastZero,
                      "Factor on the learning rate.");
           });
  });
  v.number("clip", job.clip, atLeastZero,
           "Global norm to which gradients are clipped; 0 is off.");
  v.section("schedule", Optional, "The learning rate over the steps.", [&] {
    JobSchedule &s = job.schedule;
    v.choice("kind", s.kind, scheduleKinds, Optional,
             "How the rate falls after the warm-up.");
    v.integer("warmup", s.warmup, 0, maxSteps, Optional,
              "Steps of linear rise from 0 to the full rate.");
    v.number("min_ratio", s.minRatio, unitInterval,
             "The rate at the end as a part of the full rate.");
    v.integer("steps", s.steps, 1, maxSteps, Optional,
              "The step at which the end is reached. `steps` by default.");
  });
  v.section("evaluate", Optional, "Loss on data that is not trained on.", [&] {
    v.word("data", raw.evaluateData, {"validation"},
           "Which data: `validation`.");
    v.integer("every", job.evaluate.every, 0, maxSteps, Optional,
              "Every so many steps, and after the last one; 0 is never.");
    v.integer("batches", job.evaluate.batches, 0, maxSteps, Optional,
              "The first so many batches, the same each time; 0 is all.");
  });
  v.section("save", Optional, "What is kept.", [&] {
    v.path("folder", job.save.folder, "Where checkpoints go. None by default.");
    v.integer("every", job.save.every, 0, maxSteps, Optional,
              "Every so many steps besides the last one; 0 is only then.");
    v.path("export", job.save.exportFolder,
           "A folder for the trained model that `from_pretrained` opens. None "
           "by default.");
  });
  v.section("sample", Optional, "Text to generate after the last step.", [&] {
    v.text("prompt", job.sample.prompt, Optional, "What it starts with.");
    v.integer("tokens", job.sample.tokens, 0, million, Optional,
              "How many tokens; 0 is none.");
    v.number("temperature", job.sample.temperature, atLeastZero,
             "0 takes the most likely token.");
  });
  v.section("nonfinite", Optional,
            "A loss or gradient norm that is not finite skips the update.",
            [&] {
              v.integer("limit", job.nonfiniteLimit, 1, maxSteps, Optional,
                        "So many in a row end the run with exit code 11.");
            });
  v.integer("workers", job.workers, 0, 4096, Optional,
            "Threads that serve the devices of a mesh; 0 is min(cores, "
            "devices).");
  v.integer("threads", job.threads, 0, 4096, Optional,
            "Threads of a run on one device; 0 is the machine's cores. Equal "
            "numbers give equal bits.");
  v.section("log", Optional, "What a run leaves behind.", [&] {
    v.path("folder", job.logFolder,
           "Where `metrics.jsonl` and the resolved job go. `runs/NAME` beside "
           "the job file by default.");
  });
}

} // namespace job
} // namespace weir

#endif // WEIR_RUNTIME_IO_JOBSCHEMA_H
