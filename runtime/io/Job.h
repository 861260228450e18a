// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_IO_JOB_H
#define WEIR_RUNTIME_IO_JOB_H

#include "runtime/base/Status.h"
#include "runtime/io/Strategy.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir {

/// One named axis of the device mesh.
struct MeshAxis {
  std::string name;
  int64_t size = 1;
  bool operator==(const MeshAxis &other) const {
    return name == other.name && size == other.size;
  }
};

/// An architecture given in the job itself, under the names of this project.
/// After parsing every field holds its effective value: what the job leaves out
/// is filled in from the family.
struct ModelConfig {
  int64_t layers = 0;
  int64_t width = 0;
  int64_t heads = 0;
  int64_t kvHeads = 0;
  int64_t headDim = 0;
  int64_t intermediate = 0;
  int64_t vocab = 0;
  int64_t context = 0;
  /// Probability of zeroing; embeddings, attention weights and residuals
  /// (gpt2).
  double dropout = 0;
  /// As Hugging Face spells it: gelu_new, gelu_pytorch_tanh, gelu, silu, relu.
  std::string activation;
  std::optional<bool> tie;
  double normEpsilon = 0;
  double ropeTheta = 0;
  double initStd = 0.02;
  bool attentionBias = false;
  bool mlpBias = false;
};

enum class ModelKind { Folder, Family, Mlir };

struct JobModel {
  ModelKind kind = ModelKind::Family;
  /// A Hugging Face folder (kind Folder).
  std::string folder;
  /// "gpt2" or "llama" (kind Family), with `config`.
  std::string family;
  ModelConfig config;
  /// A file of `graph` MLIR text (kind Mlir).
  std::string mlir;
  /// Initial values: a safetensors file or folder. Empty: the model folder's
  /// own, or random where there are none.
  std::string weights;
};

enum class DataKind { None, Text, Bin };
enum class TokenType { Auto, U16, U32 };

struct JobData {
  DataKind kind = DataKind::None;
  /// A file, or for text also a folder.
  std::string path;
  /// The line that ends an entry of a text; empty: the text has no entries.
  std::string separator;
  /// Every `validationEvery`th entry is validation; 0: none.
  int64_t validationEvery = 0;
  /// Data of the same kind that is all validation; empty: none.
  std::string validationPath;
  /// Element type of a raw token file.
  TokenType dtype = TokenType::Auto;
  /// Token ids are below this; 0: the model's vocabulary.
  int64_t vocab = 0;

  bool hasValidation() const {
    return validationEvery > 0 || !validationPath.empty();
  }
};

/// Layouts of the variables whose name matches `match`, by mesh axis. Of
/// several that match a variable, the first that names the axis counts.
struct LayoutOverride {
  std::string match;
  /// (axis name, layout text "B" or "S(0)"), sorted by axis.
  std::vector<std::pair<std::string, std::string>> layouts;
};

enum class OptimizerKind { AdamW, Sgd };

/// Settings of the variables whose name matches `match`; the first group that
/// matches counts.
struct OptimizerGroup {
  std::string match;
  std::optional<double> weightDecay;
  double lrScale = 1;
};

struct JobOptimizer {
  OptimizerKind kind = OptimizerKind::AdamW;
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weightDecay = 0.01;
  double momentum = 0;
  std::vector<OptimizerGroup> groups;
};

enum class ScheduleKind { Constant, Cosine, Linear };

struct JobSchedule {
  ScheduleKind kind = ScheduleKind::Constant;
  /// Steps of linear rise from 0 to the full rate.
  int64_t warmup = 0;
  /// The rate at the end as a part of the full rate.
  double minRatio = 0;
  /// The step at which the end is reached; the job's `steps` by default.
  int64_t steps = 0;
};

struct JobEvaluate {
  /// Every so many steps, and after the last one; 0: never.
  int64_t every = 0;
  /// The first so many batches; 0: all.
  int64_t batches = 0;
};

struct JobSave {
  /// Where checkpoints go; empty: none are written.
  std::string folder;
  /// Every so many steps besides the last one; 0: only after the last.
  int64_t every = 0;
  /// A folder for the trained model in Hugging Face form; empty: none.
  std::string exportFolder;
};

struct JobSample {
  std::string prompt;
  /// How many tokens to generate after the last step; 0: none.
  int64_t tokens = 0;
  /// 0 takes the most likely token.
  double temperature = 1;
};

enum class Precision { F32 };

/// A job file: what is trained, on what, how. All paths are absolute and every
/// default is filled in. `jobReference()` documents each key.
struct Job {
  std::string name;
  JobModel model;
  JobData data;
  int64_t batch = 0;
  int64_t sequence = 0;
  int64_t microBatches = 1;
  Precision precision = Precision::F32;
  /// In order, the slowest-varying axis first; empty: one device.
  std::vector<MeshAxis> mesh;
  /// One per mesh axis, in the same order.
  std::vector<Strategy> strategies;
  std::vector<LayoutOverride> layouts;
  int64_t steps = 0;
  /// Below 2^32.
  int64_t seed = 0;
  /// Overrides the model's own probability.
  std::optional<double> dropout;
  JobOptimizer optimizer;
  /// Global norm to which gradients are clipped; 0: off.
  double clip = 0;
  JobSchedule schedule;
  JobEvaluate evaluate;
  JobSave save;
  JobSample sample;
  /// So many skipped updates in a row end the run with exit code 11.
  int64_t nonfiniteLimit = 10;
  /// Threads that serve the CPU streams; 0: min(cores, ranks).
  int64_t workers = 0;
  /// Team size of a one-rank run; 0: the machine's cores.
  int64_t threads = 0;
  /// Where metrics.jsonl and the resolved job go.
  std::string logFolder;

  /// The number of devices: the product of the mesh.
  int64_t ranks() const;
};

struct JobOptions {
  /// "key.path=value" each, as `--set` takes them.
  std::vector<std::string> overrides;
  /// Whether a job without `data` is an error.
  bool needsData = true;
};

/// Reads a job file (JSON, `//` and `/* */` comments allowed). Collects all
/// errors into one status, a line each: InvalidInput, or CommandLine where all
/// stem from overrides. Relative paths, those in overrides included, are
/// resolved against the folder of `path`.
StatusOr<Job> readJob(const std::string &path, const JobOptions &options = {});
/// As `readJob`, from text; `path` stands for the file it came from.
StatusOr<Job> parseJob(std::string_view text, const std::string &path,
                       const JobOptions &options = {});

/// The job with every value that is in force, as a job file that reads back as
/// the same job from anywhere.
std::string writeJob(const Job &job);

/// The reference page of all keys in Markdown (docs/reference/job.md).
std::string jobReference();
/// The example on that page; a valid job file.
std::string jobExample();

/// "dp=2,tp=2" as axes: names of letters, digits and '_', each once, sizes of 1
/// to 1048576, at most 1048576 devices. An empty text is a mesh of one device.
StatusOr<std::vector<MeshAxis>> parseMesh(std::string_view text);
/// The inverse of `parseMesh`.
std::string formatMesh(const std::vector<MeshAxis> &mesh);

} // namespace weir

#endif // WEIR_RUNTIME_IO_JOB_H
