// SPDX-License-Identifier: Apache-2.0
#include "test/e2e/Harness.h"

#include "runtime/base/Json.h"
#include "runtime/io/File.h"

#include <cmath>
#include <cstdlib>
#include <cstring>

namespace weir::e2e {

void Golden::batchOf(int64_t step, std::vector<int32_t> &ids,
                     std::vector<int32_t> &labels) const {
  auto first = tokens.begin() + step * batch * sequence;
  ids.assign(first, first + batch * sequence);
  labels.assign(first + 1, first + 1 + batch * sequence);
}

namespace {

StatusOr<std::vector<double>> numbers(const JsonView &root, const char *key) {
  WEIR_ASSIGN_OR_RETURN(JsonView list, root.at(key));
  std::vector<double> values;
  for (size_t i = 0; i < list.size(); ++i) {
    WEIR_ASSIGN_OR_RETURN(double value, list[i].asNumber());
    values.push_back(value);
  }
  return values;
}

} // namespace

StatusOr<Golden> readGolden(const std::string &name) {
  Golden golden;
  golden.name = name;
  golden.folder = std::string(WEIR_GOLDEN_DIR) + "/" + name;
  std::string path = golden.folder + "/manifest.json";
  WEIR_ASSIGN_OR_RETURN(std::string text, readFile(path));
  WEIR_ASSIGN_OR_RETURN(JsonView root, parseJson(text, path));
  WEIR_ASSIGN_OR_RETURN(golden.family, root.string("family"));
  WEIR_ASSIGN_OR_RETURN(JsonView data, root.at("data"));
  WEIR_ASSIGN_OR_RETURN(golden.batch, data.integer("batch"));
  WEIR_ASSIGN_OR_RETURN(golden.sequence, data.integer("sequence"));
  WEIR_ASSIGN_OR_RETURN(JsonView optimizer, root.at("optimizer"));
  WEIR_ASSIGN_OR_RETURN(golden.lr, optimizer.number("lr"));
  WEIR_ASSIGN_OR_RETURN(golden.beta1, optimizer.number("beta1"));
  WEIR_ASSIGN_OR_RETURN(golden.beta2, optimizer.number("beta2"));
  WEIR_ASSIGN_OR_RETURN(golden.eps, optimizer.number("eps"));
  WEIR_ASSIGN_OR_RETURN(golden.weightDecay, optimizer.number("weight_decay"));
  if (auto clip = optimizer.find("clip_grad_norm")) {
    WEIR_ASSIGN_OR_RETURN(golden.clip, clip->asNumber());
  }
  WEIR_ASSIGN_OR_RETURN(golden.losses, numbers(root, "losses"));
  WEIR_ASSIGN_OR_RETURN(golden.gradientNorms, numbers(root, "gradient_norms"));
  WEIR_ASSIGN_OR_RETURN(JsonView sharp, root.at("sharp"));
  WEIR_ASSIGN_OR_RETURN(golden.sharpLoss, sharp.number("loss"));
  WEIR_ASSIGN_OR_RETURN(JsonView tolerances, root.at("tolerances"));
  WEIR_ASSIGN_OR_RETURN(golden.lossTolerance,
                        tolerances.number("losses_relative"));
  WEIR_ASSIGN_OR_RETURN(golden.sharpTolerance,
                        tolerances.number("sharp_of_norm"));

  std::string configPath = golden.folder + "/model/config.json";
  WEIR_ASSIGN_OR_RETURN(std::string configText, readFile(configPath));
  WEIR_ASSIGN_OR_RETURN(JsonView config, parseJson(configText, configPath));
  WEIR_ASSIGN_OR_RETURN(golden.vocab, config.integer("vocab_size"));

  WEIR_ASSIGN_OR_RETURN(std::string bytes,
                        readFile(golden.folder + "/tokens.bin"));
  for (size_t i = 0; i + 1 < bytes.size(); i += 2)
    golden.tokens.push_back(uint8_t(bytes[i]) | uint8_t(bytes[i + 1]) << 8);
  return golden;
}

std::string Variant::name() const {
  std::string text = mesh.empty() ? "one" : mesh;
  for (char &c : text)
    if (c == '=' || c == ',')
      c = '_';
  text += "_mb" + std::to_string(microBatches);
  return threads == 1 ? text : text + "_team" + std::to_string(threads);
}

StatusOr<std::string> compile(const Golden &golden, const Variant &variant,
                              const std::string &folder) {
  std::string stem = folder + "/" + golden.name + "-" + variant.name();
  JsonWriter job;
  job.beginObject();
  job.member("name", golden.name + "-" + variant.name());
  job.key("model").beginObject();
  job.member("folder", golden.folder + "/" + variant.modelFolder).endObject();
  job.member("batch", variant.batch ? variant.batch : golden.batch);
  job.member("sequence", golden.sequence);
  job.member("micro_batches", variant.microBatches);
  job.member("steps", 50);
  job.member("mesh", variant.mesh);
  job.member("dropout", variant.dropout);
  job.member("clip", golden.clip);
  if (variant.mesh.empty())
    job.member("threads", variant.threads);
  job.endObject();
  std::string text = job.take();
  if (!variant.extra.empty())
    text.insert(text.rfind('}'), ", " + variant.extra);
  WEIR_RETURN_IF_ERROR(writeFile(stem + ".json", text));
  std::string command = std::string(WEIR_COMPILE) + " " + stem + ".json -o " +
                        stem + ".weir" +
                        (variant.gradients ? " --emit-gradients" : "") + " > " +
                        stem + ".log 2>&1";
  if (int rc = std::system(command.c_str())) {
    auto log = readFile(stem + ".log");
    return Status(StatusCode::ToolFailed, command + ": exit " +
                                              std::to_string(rc) + "\n" +
                                              (log.ok() ? *log : ""));
  }
  return stem + ".weir";
}

StatusOr<Model> load(const std::string &artifact, const std::string &weights,
                     int workers, bool checked) {
  Model model;
  RuntimeOptions options;
  options.workers = workers;
  WEIR_ASSIGN_OR_RETURN(model.runtime, Runtime::create(options));
  WEIR_ASSIGN_OR_RETURN(model.program, Program::load(model.runtime, artifact));
  SessionOptions session;
  session.seed = 1;
  session.checked = checked;
  session.watchdogSeconds = 60;
  WEIR_ASSIGN_OR_RETURN(model.session, Session::create(model.program, session));
  if (!weights.empty())
    WEIR_RETURN_IF_ERROR(model.session->loadWeights(weights));
  return model;
}

StatusOr<StepResult> trainStep(Session &session, const Golden &golden,
                               int64_t step, const std::vector<int32_t> &ids,
                               const std::vector<int32_t> &labels,
                               double lrFactor) {
  auto bytes = int64_t(ids.size() * sizeof(int32_t));
  WEIR_RETURN_IF_ERROR(session.bindInput("train", "ids", ids.data(), bytes));
  WEIR_RETURN_IF_ERROR(
      session.bindInput("train", "labels", labels.data(), bytes));
  double update = double(step + 1);
  std::map<std::string, double> scalars = {
      {"seed", 1},
      {"step", double(step)},
      {"group0.learning_rate", golden.lr * lrFactor},
      {"group0.weight_decay", golden.weightDecay},
      {"group1.learning_rate", golden.lr * lrFactor},
      {"group1.weight_decay", 0},
      {"beta1", golden.beta1},
      {"beta2", golden.beta2},
      {"epsilon", golden.eps},
      // From the betas as the program sees them, in f32: 1 - 0.999f differs
      // from 0.001 by 1e-5 of itself, and the quotient must cancel that.
      {"correction1", 1 - std::pow(double(float(golden.beta1)), update)},
      {"correction2", 1 - std::pow(double(float(golden.beta2)), update)},
      {"max_norm", golden.clip},
      {"momentum", 0.9},
  };
  WEIR_ASSIGN_OR_RETURN(size_t index, session.program().entryIndex("train"));
  for (const plan::Binding &input :
       session.program().plan().entries[index].inputs) {
    auto known = scalars.find(input.name);
    if (known != scalars.end())
      WEIR_RETURN_IF_ERROR(
          session.setScalar("train", input.name, known->second));
  }
  WEIR_RETURN_IF_ERROR(session.run("train"));
  StepResult result;
  WEIR_ASSIGN_OR_RETURN(result.loss, session.readScalar("train", "loss"));
  WEIR_ASSIGN_OR_RETURN(result.gradientNorm,
                        session.readScalar("train", "gradient_norm"));
  WEIR_ASSIGN_OR_RETURN(result.applied, session.readScalar("train", "applied"));
  return result;
}

StatusOr<std::vector<StepResult>>
trainSteps(Session &session, const Golden &golden, int64_t steps) {
  std::vector<StepResult> results;
  std::vector<int32_t> ids, labels;
  for (int64_t step = 0; step < steps; ++step) {
    golden.batchOf(step, ids, labels);
    WEIR_ASSIGN_OR_RETURN(StepResult result,
                          trainStep(session, golden, step, ids, labels));
    results.push_back(result);
  }
  return results;
}

} // namespace weir::e2e
