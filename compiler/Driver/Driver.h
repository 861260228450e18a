// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_DRIVER_DRIVER_H
#define WEIR_COMPILER_DRIVER_DRIVER_H

#include "runtime/base/Status.h"
#include "runtime/io/Job.h"

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace weir::compiler {

/// The phases of a compilation. Their names are stable: a user stops after any
/// of them and starts at any of them.
enum class Phase {
  Import,
  Graph,
  Plan,
  Shard,
  Stage,
  Kernels,
  Actors,
  Memory,
  Codegen,
  Artifact
};
constexpr int numPhases = 10;
const std::array<const char *, numPhases> &phaseNames();
std::string_view phaseName(Phase phase);
std::optional<Phase> parsePhase(std::string_view name);

/// Everything that decides a compilation.
struct CompileOptions {
  /// Model, batch, mesh, strategies, layouts, optimizer, threads. With
  /// `startAt` behind import, only what the phases from there on read.
  Job job;
  /// Batch of the entry `forward`; 0: the job's batch.
  int64_t forwardBatch = 0;
  /// Also output every gradient of `train`, as `gradient/NAME`.
  bool emitGradients = false;
  /// Processor to compile for: "host", "x86-64-v3" or "x86-64-v4".
  std::string cpu = "host";
  /// Form one kernel for each piece instead of fusing.
  bool fuse = true;

  Phase startAt = Phase::Import;
  Phase stopAfter = Phase::Artifact;
  /// IR text to start from; read unless `startAt` is import.
  std::string input;
  /// The artifact, or with an earlier `stopAfter` the IR text; "-": standard
  /// output. Empty: nothing is written.
  std::string output;
  /// Where the IR goes after each phase, numbered, with an index. Empty:
  /// nowhere.
  std::string dumpDir;
  /// Where the report goes: JSON that depends on the other options alone.
  std::string report;
  /// Cluster file that costs are for (docs/cluster.md); empty: what the module
  /// says, else the ranks of one process.
  std::string cluster;
  /// Puts `debug/sharding.json` into the artifact: why tensors lie as they do
  /// (`weir inspect --sharding`). Also a section of the report.
  bool explain = false;
  /// What the artifact says made it.
  std::string producer = "weir 0.1.0";
};

/// Receives diagnostics and notes as lines without line end.
using MessageSink = std::function<void(const std::string &)>;

/// Compiles. Diagnostics go to `messages`, with the name of the user's node
/// where there is one. The status carries the exit code: CompileError after
/// diagnostics; Internal where a phase refuses what an earlier phase made, with
/// the path of a reproducer; the importer's and writer's own codes.
/// `seconds`, where given, receives the wall time of each phase that ran.
Status compile(const CompileOptions &options, const MessageSink &messages,
               std::array<double, numPhases> *seconds = nullptr);

} // namespace weir::compiler

#endif // WEIR_COMPILER_DRIVER_DRIVER_H
