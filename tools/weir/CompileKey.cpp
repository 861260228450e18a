// SPDX-License-Identifier: Apache-2.0
#include "tools/weir/CompileKey.h"
#include "runtime/base/CpuFeatures.h"
#include "runtime/base/Json.h"
#include "runtime/base/Sha256.h"
#include "runtime/io/File.h"
#include "runtime/io/Safetensors.h"

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <thread>

namespace weir {

static StatusOr<std::string> fileDigest(const std::string &path) {
  WEIR_ASSIGN_OR_RETURN(MappedFile file, MappedFile::open(path));
  return sha256Hex(file.view());
}

/// Names, types and shapes of a checkpoint: the compiler may look at them, but
/// not at values.
static StatusOr<std::string> tensorsDigest(const std::string &folder) {
  WEIR_ASSIGN_OR_RETURN(SafetensorsSet set, SafetensorsSet::open(folder));
  Sha256 hash;
  for (const std::string &name : set.names())
    hash.update(jsonQuote(name) + set.find(name).tensor->typeText() + "\n");
  return toHex(hash.finish());
}

StatusOr<std::string> describeCompilation(const Job &job,
                                          const std::string &compilerPath) {
  // What is known to be read at run time is taken away, so that a key added
  // later is part of the description until someone decides otherwise.
  WEIR_ASSIGN_OR_RETURN(JsonView resolved, parseJson(writeJob(job), "job"));
  Json compiled = resolved.value();
  for (const char *key :
       {"name", "data", "steps", "seed", "clip", "schedule", "evaluate", "save",
        "sample", "nonfinite", "workers", "log"})
    compiled.erase(key);
  if (compiled.contains("model"))
    compiled["model"].erase("weights");
  if (compiled.contains("optimizer")) {
    Json &optimizer = compiled["optimizer"];
    for (const char *key : {"lr", "betas", "eps", "weight_decay", "momentum"})
      optimizer.erase(key);
    if (optimizer.contains("groups"))
      for (Json &group : optimizer["groups"]) {
        group.erase("weight_decay");
        group.erase("lr_scale");
      }
  }

  Json files = Json::object();
  if (job.model.kind == ModelKind::Folder) {
    // Only what is in the files counts, not where they lie.
    compiled["model"].erase("folder");
    const std::string &folder = job.model.folder;
    WEIR_ASSIGN_OR_RETURN(files["config.json"],
                          fileDigest(folder + "/config.json"));
    if (fileExists(folder + "/model.safetensors") ||
        fileExists(folder + "/model.safetensors.index.json")) {
      WEIR_ASSIGN_OR_RETURN(files["tensors"], tensorsDigest(folder));
    }
  } else if (job.model.kind == ModelKind::Mlir) {
    compiled["model"].erase("mlir");
    WEIR_ASSIGN_OR_RETURN(files["mlir"], fileDigest(job.model.mlir));
  }
  Json text = Json::object();
  text["job"] = std::move(compiled);
  text["files"] = std::move(files);
  WEIR_ASSIGN_OR_RETURN(text["compiler"], fileDigest(compilerPath));
  text["architecture"] = hostArchitecture();
  text["features"] = hostCpuFeatures();
  // The size of a rank's team is compiled in; with several ranks it is one.
  if (job.ranks() > 1)
    text["job"].erase("threads");
  else if (job.threads == 0)
    text["cores"] = std::thread::hardware_concurrency();
  return text.dump(1) + "\n";
}

StatusOr<std::string> cacheFolder() {
  auto variable = [](const char *name) {
    const char *value = std::getenv(name);
    return std::string(value ? value : "");
  };
  if (std::string own = variable("WEIR_CACHE"); !own.empty())
    return absolutePath(own);
  if (std::string shared = variable("XDG_CACHE_HOME"); !shared.empty())
    return shared + "/weir";
  if (std::string home = variable("HOME"); !home.empty())
    return home + "/.cache/weir";
  return Status(StatusCode::CommandLine,
                "there is no home folder to keep compiled models in; set "
                "WEIR_CACHE to a folder");
}

} // namespace weir
