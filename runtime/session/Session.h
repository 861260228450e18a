// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_SESSION_SESSION_H
#define WEIR_RUNTIME_SESSION_SESSION_H

#include "runtime/actor/Executor.h"
#include "runtime/session/Program.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace weir {

struct SessionOptions {
  /// Seed of the variables' first values.
  uint32_t seed = 0;
  /// Watch every action for writes outside of its buffers (slow; for tests).
  bool checked = false;
  /// Note when each action runs, for writeTrace.
  bool traced = false;
  /// A run in which nothing fires for this long is given up.
  double watchdogSeconds = 300;
};

struct LoadOptions {
  /// Pass over tensors that are no variables. Otherwise they are an error
  /// unless the artifact's manifest says that the model's checkpoints hold
  /// them.
  bool allowExtra = false;
  /// Leave variables alone that the checkpoint lacks.
  bool allowMissing = false;
};

/// Where a session's memory goes, all ranks together unless said otherwise.
struct MemoryReport {
  struct SegmentUse {
    std::string name;
    plan::Segment::Kind kind = plan::Segment::Kind::Step;
    int64_t bytes = 0;      // of one rank
    int64_t plannedEnd = 0; // end of its highest buffer or variable
    int64_t touchedEnd = 0; // checked mode: highest byte changed, step and
                            // workspace segments
  };
  std::vector<SegmentUse> segments;
  int64_t planBytes = 0;     // all segments of all ranks
  int64_t overheadBytes = 0; // tables, packing scratch, outputs nobody bound
  /// Allocations by our own code since each entry's first run, and by libraries
  /// through our operator new; 0 where CountingNew.cpp is not linked in.
  int64_t allocations = 0;
  int64_t libraryAllocations = 0;
};

/// The state of a program: its variables and what is bound to its entries. One
/// run at a time; all calls but `cancel` from one thread at a time.
class Session {
public:
  /// Allocates the plan's segments and gives every variable its initial value,
  /// which depends on seed, name and logical index alone: it is the same under
  /// every layout.
  static StatusOr<std::unique_ptr<Session>>
  create(std::shared_ptr<const Program> program,
         const SessionOptions &options = {});

  const Program &program() const { return *shared; }

  //===--------------------------------------------------------------------===//
  // Variables
  //===--------------------------------------------------------------------===//

  /// Sets all variables to their initial values for `seed`.
  Status initialize(uint32_t seed);

  /// Reads the variables that checkpoints hold from a safetensors file, index
  /// or folder. F16, BF16 and F64 become f32. Everything that is missing, of
  /// another shape or left over is named in one error, and then nothing was
  /// changed.
  Status loadWeights(const std::string &path, const LoadOptions &options = {});
  /// Writes the same variables under their stored names and shapes.
  Status saveWeights(const std::string &path) const;

  /// Writes all variables, optimizer state included, by their own names, and
  /// reads them back, whatever the layout of either plan.
  Status saveState(const std::string &path) const;
  Status loadState(const std::string &path);

  /// Gathers a variable, or scatters it to all ranks that hold a part: the
  /// whole logical tensor, row-major, in the variable's type. `bytes` must be
  /// its size.
  Status readVariable(const std::string &name, void *data, int64_t bytes) const;
  Status writeVariable(const std::string &name, const void *data,
                       int64_t bytes);

  //===--------------------------------------------------------------------===//
  // Entries
  //===--------------------------------------------------------------------===//

  /// Binds the caller's memory to a whole input or output: row-major, `bytes`
  /// exactly its size, alive until it is bound anew or the session ends.
  /// Nothing is copied. An output with null `data` goes back to the session's
  /// own memory.
  Status bindInput(const std::string &entry, const std::string &name,
                   const void *data, int64_t bytes);
  Status bindOutput(const std::string &entry, const std::string &name,
                    void *data, int64_t bytes);
  /// Sets a rank-0 input, converted to its type.
  Status setScalar(const std::string &entry, const std::string &name,
                   double value);

  /// Runs one step of an entry. An input that is neither bound nor set is an
  /// error. After a failure of the run itself the session is spent: every
  /// further call returns the same status.
  Status run(const std::string &entry);

  /// Copies an output as the last run of its entry left it.
  Status readOutput(const std::string &entry, const std::string &name,
                    void *data, int64_t bytes) const;
  /// An output of one element as a number.
  StatusOr<double> readScalar(const std::string &entry,
                              const std::string &name) const;

  /// Ends the current run, and all to come, with StatusCode::Stopped. From any
  /// thread.
  void cancel();

  //===--------------------------------------------------------------------===//
  // Reports
  //===--------------------------------------------------------------------===//

  MemoryReport memoryReport() const;
  /// Writes the last run of an entry as Chrome trace JSON (Perfetto opens it):
  /// a process for each rank, a thread for each stream. Only when traced.
  Status writeTrace(const std::string &entry, const std::string &path) const;

private:
  /// What one entry's inputs and outputs are bound to.
  struct Bindings {
    std::vector<const void *> inputs;
    std::vector<void *> outputs;
    std::vector<double> scalars; // storage of rank-0 inputs, one word each
    std::vector<device::Memory> owned; // outputs that nobody bound
    bool ranBefore = false;
  };

  Session(std::shared_ptr<const Program> program, const SessionOptions &options)
      : shared(std::move(program)), options(options) {}

  const plan::Plan &plan() const { return shared->plan(); }
  /// Calls `visit(rank, box)` for the ranks that hold distinct parts of a
  /// variable, the box leading from the logical tensor to the shard.
  Status forShards(
      const plan::Variable &variable,
      const std::function<Status(int64_t, const comm::Box &)> &visit) const;
  /// Copies the shards of those ranks to all others.
  void replicate(const plan::Variable &variable);
  void initializeVariable(const plan::Variable &variable, uint32_t seed);
  void gather(const plan::Variable &variable, std::byte *logical) const;
  void scatter(const plan::Variable &variable, const std::byte *logical);
  std::byte *place(const plan::Variable &variable, int64_t rank) const {
    return memory.base(rank, variable.segment) + variable.offset;
  }
  /// Which tensor of a checkpoint holds which variable.
  struct StoredVariable {
    const plan::Variable *variable = nullptr;
    std::string name;
    std::vector<int64_t> shape;
  };
  Status loadTensors(const std::string &path,
                     const std::vector<StoredVariable> &wanted,
                     const LoadOptions &load);
  Status saveTensors(const std::string &path,
                     const std::vector<StoredVariable> &variables) const;
  std::vector<StoredVariable> storedVariables() const;
  std::vector<StoredVariable> allVariables() const;
  StatusOr<size_t> findBinding(size_t entry, const std::string &name,
                               bool output) const;
  Status checkBytes(size_t entry, size_t binding, bool output,
                    int64_t bytes) const;
  Status prepareBindings(size_t entry);

  std::shared_ptr<const Program> shared;
  SessionOptions options;
  actor::RankMemory memory;
  actor::Failure failure;
  std::vector<std::unique_ptr<actor::Executor>> executors; // by entry
  std::vector<Bindings> bindings;                          // by entry
  int64_t laterAllocations = 0, laterLibraryAllocations = 0;
  std::atomic<bool> running{false};
};

} // namespace weir

#endif // WEIR_RUNTIME_SESSION_SESSION_H
