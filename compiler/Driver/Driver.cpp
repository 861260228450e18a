// SPDX-License-Identifier: Apache-2.0
#include "compiler/Driver/Driver.h"

#include "compiler/API/Diagnostics.h"
#include "compiler/API/InitDialects.h"
#include "compiler/Autodiff/Passes.h"
#include "compiler/Codegen/Codegen.h"
#include "compiler/Driver/Report.h"
#include "compiler/Emit/Emit.h"
#include "compiler/Import/Import.h"
#include "compiler/Kernels/Passes.h"
#include "compiler/Memory/Passes.h"
#include "compiler/Pipeline/Passes.h"
#include "compiler/Planner/Cluster.h"
#include "compiler/Sharding/ExplainSharding.h"
#include "compiler/Sharding/Passes.h"
#include "dialects/Actor/Actor.h"
#include "dialects/Graph/Annotations.h"
#include "dialects/Graph/Graph.h"
#include "runtime/base/Json.h"
#include "runtime/base/Strings.h"
#include "runtime/io/File.h"

#include "mlir/IR/AsmState.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/Support/MathExtras.h"

#include <chrono>
#include <thread>

using namespace mlir;

namespace weir::compiler {

const std::array<const char *, numPhases> &phaseNames() {
  static constexpr std::array<const char *, numPhases> names = {
      "import",  "graph",  "plan",   "shard",   "stage",
      "kernels", "actors", "memory", "codegen", "artifact"};
  return names;
}

std::string_view phaseName(Phase phase) {
  return phaseNames()[static_cast<int>(phase)];
}

std::optional<Phase> parsePhase(std::string_view name) {
  for (int i = 0; i < numPhases; ++i)
    if (phaseNames()[i] == name)
      return static_cast<Phase>(i);
  return std::nullopt;
}

namespace {

/// Module attribute: the job's name, which the artifact tells.
constexpr llvm::StringLiteral nameAttr = "weir.name";

/// A name for the micro-batch axis, which users do not name.
std::string timeAxisName(const std::vector<MeshAxis> &mesh) {
  std::string name = "mb";
  auto taken = [&] {
    return llvm::any_of(mesh,
                        [&](const MeshAxis &a) { return a.name == name; });
  };
  while (taken())
    name += "_";
  return name;
}

/// What a tensor may have over all ranks, so that no size in bytes leaves 64
/// bits, and what a segment of one rank may hold: the bounds that the runtime
/// sets when it checks a plan.
constexpr int64_t maxBytes = int64_t(1) << 46;
constexpr int64_t maxSegmentBytes = int64_t(1) << 42;

std::string tebibytes(int64_t bytes) {
  return std::to_string(bytes >> 40) + " TiB";
}

/// Whether a tensor's size is within `maxBytes`; true for other types.
bool fitsMemory(Type type) {
  auto tensor = llvm::dyn_cast<RankedTensorType>(type);
  if (!tensor || !tensor.hasStaticShape() ||
      !tensor.getElementType().isIntOrFloat())
    return true;
  // An empty dimension takes the size of what is beside it to zero, but not
  // that of strides.
  int64_t bytes = (tensor.getElementType().getIntOrFloatBitWidth() + 7) / 8;
  for (int64_t size : tensor.getShape())
    if (llvm::MulOverflow(bytes, std::max<int64_t>(size, 1), bytes) ||
        bytes > maxBytes)
      return false;
  return true;
}

class PhaseRunner {
public:
  PhaseRunner(const CompileOptions &options, const MessageSink &messages)
      : options(options), messages(messages), report(options) {
    DialectRegistry registry;
    registerAllWeirDialects(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
    // The user knows nodes, not our ops.
    context.printOpOnDiagnostic(false);
    context.getDiagEngine().registerHandler(
        [this](Diagnostic &diagnostic) { take(diagnostic); });
  }

  Status run(std::array<double, numPhases> *seconds) {
    if (options.explain &&
        (options.startAt > Phase::Shard || options.stopAfter < Phase::Shard))
      return Status(StatusCode::CommandLine,
                    "--explain tells what phase 'shard' does, which is not "
                    "among those that run");
    if (options.stopAfter < options.startAt)
      return Status(StatusCode::CommandLine,
                    "cannot stop after phase '" +
                        std::string(phaseName(options.stopAfter)) +
                        "', which comes before '" +
                        std::string(phaseName(options.startAt)) + "'");
    if (!options.dumpDir.empty())
      WEIR_RETURN_IF_ERROR(makeDirectories(options.dumpDir));
    if (options.startAt != Phase::Import)
      WEIR_RETURN_IF_ERROR(parseInput());
    std::array<double, numPhases> took = {};
    for (int i = static_cast<int>(options.startAt);
         i <= static_cast<int>(options.stopAfter); ++i) {
      auto phase = static_cast<Phase>(i);
      auto start = std::chrono::steady_clock::now();
      Status status = runPhase(phase);
      took[i] = std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                              start)
                    .count();
      if (!status.ok())
        return status;
      // The artifact phase leaves the module as it is.
      if (phase == Phase::Artifact)
        continue;
      report.add(phase, *module);
      if (!options.dumpDir.empty())
        WEIR_RETURN_IF_ERROR(dump(phase));
    }
    if (seconds)
      *seconds = took;
    if (!options.dumpDir.empty())
      WEIR_RETURN_IF_ERROR(writeIndex(took));
    if (!options.report.empty())
      WEIR_RETURN_IF_ERROR(writeFile(options.report, report.text()));
    if (options.stopAfter == Phase::Artifact || options.output.empty())
      return okStatus();
    std::string text = print(*module);
    if (options.output != "-")
      return writeFile(options.output, text);
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() ||
        std::fflush(stdout) != 0)
      return Status(StatusCode::OutputError, "cannot write to standard output");
    return okStatus();
  }

private:
  void take(Diagnostic &diagnostic) {
    const char *severity = "note";
    switch (diagnostic.getSeverity()) {
    case DiagnosticSeverity::Error:
      severity = "error";
      ++numErrors;
      break;
    case DiagnosticSeverity::Warning:
      severity = "warning";
      break;
    case DiagnosticSeverity::Note:
    case DiagnosticSeverity::Remark:
      break;
    }
    auto emit = [&](llvm::StringRef severity, Diagnostic &d) {
      std::string text = severity.str() + ": " + placeOf(d.getLocation());
      llvm::raw_string_ostream(text) << d;
      messages(text);
    };
    emit(severity, diagnostic);
    for (Diagnostic &note : diagnostic.getNotes())
      emit("  note", note);
  }

  static std::string print(ModuleOp module) {
    std::string text;
    llvm::raw_string_ostream os(text);
    // With locations: they carry the user's names, which later phases report.
    module.print(os, OpPrintingFlags().enableDebugInfo());
    os << "\n";
    return text;
  }

  Status parseInput() {
    WEIR_ASSIGN_OR_RETURN(std::string text, readFile(options.input));
    ParserConfig config(&context);
    module = parseSourceString<ModuleOp>(text, config, options.input);
    if (!module)
      return Status(StatusCode::InvalidInput,
                    options.input + ": is not a module that phase '" +
                        std::string(phaseName(options.startAt)) +
                        "' can start from");
    // Later phases have the decisions behind them.
    if (options.startAt <= Phase::Plan)
      setPlan();
    WEIR_RETURN_IF_ERROR(setCluster());
    return checkTensors();
  }

  /// Refuses tensors that no machine can hold.
  Status checkTensors() {
    Operation *large = nullptr;
    auto tooLarge = [](TypeRange types) {
      return !llvm::all_of(types, fitsMemory);
    };
    module->walk([&](Operation *op) {
      bool here = tooLarge(op->getResultTypes());
      for (Region &region : op->getRegions())
        for (Block &block : region)
          here |= tooLarge(block.getArgumentTypes());
      if (auto variable = llvm::dyn_cast<graph::VariableOp>(op))
        here |= !fitsMemory(variable.getType());
      if (here)
        large = op;
      return here ? WalkResult::interrupt() : WalkResult::advance();
    });
    if (!large)
      return okStatus();
    return Status(StatusCode::Infeasible,
                  placeOf(large->getLoc()) + "a tensor of '" +
                      large->getName().getStringRef().str() +
                      "' is larger than " + tebibytes(maxBytes) +
                      "; use smaller sizes");
  }

  /// Refuses a placement that is larger than a plan may be.
  Status checkSegments() {
    Status status;
    module->walk([&](actor::SegmentOp segment) {
      if (status.ok() && segment.getBytes() > maxSegmentBytes)
        status = Status(
            StatusCode::Infeasible,
            "memory: segment '" + segment.getName().str() +
                "' of each rank "
                "needs " +
                tebibytes(segment.getBytes()) + ", more than " +
                tebibytes(maxSegmentBytes) +
                "; use smaller sizes, more devices or more micro-batches");
    });
    return status;
  }

  /// Whether a failure of this phase is a fault of ours: its input came from an
  /// earlier phase, and it has nothing to refuse in a user's model.
  bool isInternal(Phase phase) const {
    if (options.startAt != Phase::Import)
      return false;
    switch (phase) {
    case Phase::Stage:
    case Phase::Actors:
    case Phase::Memory:
    case Phase::Codegen:
    case Phase::Artifact:
      return true;
    default:
      return false;
    }
  }

  Status runPhase(Phase phase) {
    OwningOpRef<ModuleOp> before;
    if (isInternal(phase))
      before = module->clone();
    Status status = dispatch(phase);
    // IR that a user edited is refused like any other input.
    if (status.code() == StatusCode::Internal &&
        options.startAt != Phase::Import)
      return invalidInput(options.input + ": " + status.message());
    if (status.ok() || !before)
      return status;
    if (status.code() != StatusCode::CompileError &&
        status.code() != StatusCode::Internal)
      return status;
    std::string folder = options.dumpDir;
    if (folder.empty())
      folder = options.output.empty() || options.output == "-"
                   ? "."
                   : parentPath(options.output);
    std::string name(phaseName(phase));
    std::string path = folder + "/weir-reproducer-" + name + ".mlir";
    std::string text = "// weir-compile --start-at=" + name + " " +
                       fileName(path) + " -o model.weir\n" + print(*before);
    Status written = writeFile(path, text);
    std::string message =
        "internal error in phase '" + name + "': " + status.message();
    message += written.ok() ? "; please report it with " + path
                            : "; no reproducer: " + written.message();
    return internalError(std::move(message));
  }

  Status dispatch(Phase phase) {
    switch (phase) {
    case Phase::Import:
      return runImport();
    case Phase::Graph:
      return runPasses(phase, [&](PassManager &manager) {
        manager.addPass(createBalanceSequencePass());
        if (SymbolTable::lookupSymbolIn(*module, "loss")) {
          BuildTrainEntryPassOptions train;
          train.optimizer = options.job.optimizer.kind == OptimizerKind::Sgd
                                ? "sgd"
                                : "adamw";
          // Groups 0 and 1 are the default ones, with and without decay.
          for (auto [i, group] : llvm::enumerate(options.job.optimizer.groups))
            train.groups.push_back(group.match + "=" + std::to_string(i + 2));
          train.emitGradients = options.emitGradients;
          manager.addPass(createBuildTrainEntryPass(train));
        }
        manager.addPass(createCanonicalizerPass());
        manager.addPass(createCSEPass());
      });
    case Phase::Plan:
      return runPasses(phase, [&](PassManager &manager) {
        manager.addPass(createFactorMeshPass());
        manager.addPass(createSelectLayoutsPass());
        manager.addPass(createPropagateLayoutsPass());
        manager.addPass(createVerifyLayoutsPass());
      });
    case Phase::Shard:
      WEIR_RETURN_IF_ERROR(runPasses(
          phase, [](PassManager &manager) { addReshardPasses(manager); }));
      if (options.explain)
        WEIR_RETURN_IF_ERROR(explain());
      return runPasses(phase,
                       [](PassManager &manager) { addLocalPasses(manager); });
    case Phase::Stage:
      return runPasses(phase, [&](PassManager &manager) {
        manager.addPass(createPartitionStagesPass());
      });
    case Phase::Kernels:
      return runPasses(phase, [&](PassManager &manager) {
        FormKernelsPassOptions kernels;
        kernels.chunks = teamSize();
        kernels.fuse = options.fuse;
        manager.addPass(createFormKernelsPass(kernels));
      });
    case Phase::Actors:
      return runPasses(phase, [&](PassManager &manager) {
        BuildActorsPassOptions actors;
        actors.team = teamSize();
        manager.addPass(createBuildActorsPass(actors));
      });
    case Phase::Memory:
      WEIR_RETURN_IF_ERROR(runPasses(phase, [&](PassManager &manager) {
        manager.addPass(createPlaceBuffersPass());
        manager.addPass(createVerifyPlanPass());
      }));
      return checkSegments();
    case Phase::Codegen:
      return runCodegen();
    case Phase::Artifact:
      return runArtifact();
    }
    return okStatus();
  }

  Status runImport() {
    WEIR_ASSIGN_OR_RETURN(
        module, importModel(&context, options.job, options.forwardBatch));
    if (!options.job.name.empty())
      (*module)->setAttr(nameAttr, StringAttr::get(&context, options.job.name));
    setPlan();
    WEIR_RETURN_IF_ERROR(setCluster());
    return checkTensors();
  }

  Status runPasses(Phase phase, llvm::function_ref<void(PassManager &)> fill) {
    PassManager manager(&context);
    fill(manager);
    numErrors = 0;
    if (succeeded(manager.run(*module)))
      return okStatus();
    return stopped(phase);
  }

  Status stopped(Phase phase) const {
    bool fits = !(*module)->hasAttr(infeasibleAttr);
    return Status(fits ? StatusCode::CompileError : StatusCode::Infeasible,
                  std::to_string(numErrors) +
                      (numErrors == 1 ? " error" : " errors") + " in phase '" +
                      std::string(phaseName(phase)) + "'");
  }

  /// The job's mesh, strategies and layouts as attributes of the module, so
  /// that its text alone says how it is to be compiled. What a job says nothing
  /// of stays as it is in the text that a compilation starts from.
  void setPlan() {
    const Job &job = options.job;
    if (job.mesh.empty() && job.microBatches <= 1)
      return;
    llvm::SmallVector<StringAttr> names;
    llvm::SmallVector<int64_t> sizes;
    for (const MeshAxis &axis : job.mesh) {
      names.push_back(StringAttr::get(&context, axis.name));
      sizes.push_back(axis.size);
    }
    bool time = job.microBatches > 1;
    if (time) {
      names.push_back(StringAttr::get(&context, timeAxisName(job.mesh)));
      sizes.push_back(job.microBatches);
    }
    Builder builder(&context);
    (*module)->setAttr(dist::DistDialect::getMeshAttrName(),
                       dist::MeshAttr::get(&context, names, sizes, time));
    NamedAttrList strategies;
    for (size_t i = 0; i < job.mesh.size() && i < job.strategies.size(); ++i)
      strategies.append(job.mesh[i].name,
                        builder.getStringAttr(strategyName(job.strategies[i])));
    (*module)->setAttr(strategiesAttr, strategies.getDictionary(&context));
    (*module)->removeAttr(layoutsAttr);
    llvm::SmallVector<Attribute> layouts;
    for (const LayoutOverride &item : job.layouts) {
      NamedAttrList axes;
      for (const auto &[axis, text] : item.layouts)
        axes.append(axis, builder.getStringAttr(text));
      layouts.push_back(builder.getDictionaryAttr(
          {builder.getNamedAttr("layouts", axes.getDictionary(&context)),
           builder.getNamedAttr("match", builder.getStringAttr(item.match))}));
    }
    if (!layouts.empty())
      (*module)->setAttr(layoutsAttr, builder.getArrayAttr(layouts));
  }

  /// The cluster file's text as an attribute of the module.
  Status setCluster() {
    if (options.cluster.empty())
      return okStatus();
    WEIR_ASSIGN_OR_RETURN(std::string text, readFile(options.cluster));
    llvm::Expected<Cluster> cluster = Cluster::parse(text, options.cluster);
    if (!cluster)
      return invalidInput(llvm::toString(cluster.takeError()));
    dist::MeshAttr mesh = dist::getMesh(*module);
    if (mesh && mesh.getNumRanks() > cluster->devices)
      return invalidInput(options.cluster + ": devices: expects at least " +
                          std::to_string(mesh.getNumRanks()) +
                          ", one for each rank of the mesh, got " +
                          std::to_string(cluster->devices));
    (*module)->setAttr(dist::DistDialect::getClusterAttrName(),
                       StringAttr::get(&context, text));
    return okStatus();
  }

  /// Takes down why tensors lie as they do, between deciding and localising.
  Status explain() {
    llvm::Expected<Cluster> cluster = Cluster::of(*module);
    if (!cluster)
      return invalidInput(llvm::toString(cluster.takeError()));
    explanation = explainSharding(*module, *cluster);
    report.addSection("sharding", explanation);
    return okStatus();
  }

  /// Threads of a rank: several ranks share the cores with one thread each.
  int64_t teamSize() {
    dist::MeshAttr mesh = dist::getMesh(*module);
    if (mesh && mesh.getNumRanks() > 1)
      return 1;
    if (options.job.threads > 0)
      return options.job.threads;
    return std::max(1u, std::thread::hardware_concurrency());
  }

  Status runCodegen() {
    CodegenOptions codegen;
    codegen.cpu = options.cpu;
    codegen.dumpDir = options.dumpDir;
    CompiledKernels kernels;
    llvm::SmallVector<std::string> features;
    numErrors = 0;
    if (failed(compileKernels(*module, codegen, kernels.bytes, features)))
      return stopped(Phase::Codegen);
    kernels.features.assign(features.begin(), features.end());
    attachKernels(*module, kernels);
    return okStatus();
  }

  Status runArtifact() {
    numErrors = 0;
    FailureOr<plan::Plan> plan = buildPlan(*module);
    if (failed(plan))
      return stopped(Phase::Artifact);
    FailureOr<CompiledKernels> kernels = attachedKernels(*module);
    if (failed(kernels))
      return stopped(Phase::Artifact);
    ArtifactContents contents;
    contents.kernels = std::move(*kernels);
    contents.producer = options.producer;
    if (auto config = (*module)->getAttrOfType<StringAttr>(modelConfigAttrName))
      contents.members.push_back({"model/config.json", config.str()});
    if (!explanation.empty())
      contents.members.push_back({"debug/sharding.json", explanation});
    contents.ignoredWeights = ignoredWeights(*plan);
    if (auto name = (*module)->getAttrOfType<StringAttr>(nameAttr))
      contents.properties.push_back({"name", name.str()});
    contents.properties.push_back({"cpu", options.cpu});
    if (options.output.empty())
      return okStatus();
    return writeArtifact(*plan, contents, options.output);
  }

  /// Tensors that checkpoints of the known families hold beside weights: causal
  /// masks, rotary tables, and the tied copy of the embedding.
  static std::vector<std::string> ignoredWeights(const plan::Plan &plan) {
    std::vector<std::string> patterns = {"*.attn.bias", "*.attn.masked_bias",
                                         "*.rotary_emb.inv_freq"};
    bool hasHead = llvm::any_of(plan.variables, [](const plan::Variable &v) {
      return v.storedName == "lm_head.weight";
    });
    if (!hasHead)
      patterns.push_back("lm_head.weight");
    return patterns;
  }

  std::string dumpName(Phase phase) const {
    int number = static_cast<int>(phase) + 1;
    return (number < 10 ? "0" : "") + std::to_string(number) + "-" +
           std::string(phaseName(phase)) + ".mlir";
  }

  Status dump(Phase phase) {
    return writeFile(options.dumpDir + "/" + dumpName(phase), print(*module));
  }

  Status writeIndex(const std::array<double, numPhases> &seconds) {
    JsonWriter json;
    std::string page = "# IR after each phase\n\n"
                       "Start again at the phase that follows: `weir-compile "
                       "--start-at=PHASE FILE`.\n\n"
                       "| phase | file | ops |\n|---|---|---|\n";
    json.beginObject().member("format", 1).key("phases").beginArray();
    for (const auto &[phase, ops] : report.phases()) {
      int64_t total = 0;
      for (const auto &[name, count] : ops)
        total += count;
      std::string name(phaseName(phase)), file = dumpName(phase);
      page += "| " + name + " | [" + file + "](" + file + ") | " +
              std::to_string(total) + " |\n";
      json.beginObject().member("phase", name).member("file", file);
      json.member("ops", total).key("by_name").beginObject();
      for (const auto &[op, count] : ops)
        json.member(op, count);
      json.endObject().endObject();
    }
    json.endArray().endObject();
    WEIR_RETURN_IF_ERROR(writeFile(options.dumpDir + "/index.md", page));
    WEIR_RETURN_IF_ERROR(
        writeFile(options.dumpDir + "/index.json", json.take()));
    // Apart from the rest, which is the same each time.
    JsonWriter times;
    times.beginObject();
    for (int i = static_cast<int>(options.startAt);
         i <= static_cast<int>(options.stopAfter); ++i)
      times.member(phaseNames()[i], seconds[i]);
    times.endObject();
    return writeFile(options.dumpDir + "/seconds.json", times.take());
  }

  const CompileOptions &options;
  const MessageSink &messages;
  MLIRContext context{MLIRContext::Threading::DISABLED};
  OwningOpRef<ModuleOp> module;
  Report report;
  /// JSON of `debug/sharding.json`.
  std::string explanation;
  int64_t numErrors = 0;
};

} // namespace

Status compile(const CompileOptions &options, const MessageSink &messages,
               std::array<double, numPhases> *seconds) {
  return PhaseRunner(options, messages).run(seconds);
}

} // namespace weir::compiler
