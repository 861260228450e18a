// SPDX-License-Identifier: Apache-2.0
#include "runtime/include/weir/weir.h"

#include "runtime/session/Session.h"

#include <cstring>
#include <new>

struct weir_status {
  weir::Status status;
};
struct weir_runtime {
  std::shared_ptr<weir::Runtime> runtime;
};
struct weir_program {
  std::shared_ptr<const weir::Program> program;
  // What weir_tensor_info points to.
  std::vector<std::vector<int64_t>> variableShapes;
};
struct weir_session {
  std::unique_ptr<weir::Session> session;
};

using weir::Session;
using weir::Status;
using weir::StatusCode;
using weir::plan::Binding;

static_assert(static_cast<int>(weir::plan::DType::F32) == WEIR_F32 &&
                  static_cast<int>(weir::plan::DType::BF16) == WEIR_BF16 &&
                  static_cast<int>(weir::plan::DType::I64) == WEIR_I64 &&
                  static_cast<int>(weir::plan::DType::I1) == WEIR_BOOL,
              "weir_dtype_t lists the types in the plan's order");

namespace {

weir_status_t *wrap(Status status) {
  if (status.ok())
    return nullptr;
  return new (std::nothrow) weir_status{std::move(status)};
}

/// Runs `body`, turning what the standard library throws (it can only be out of
/// memory) into a status.
template <typename Body> weir_status_t *guarded(const Body &body) {
  try {
    return wrap(body());
  } catch (const std::exception &error) {
    return wrap(weir::runtimeError(error.what()));
  }
}

Status misuse(const char *what) {
  return Status(StatusCode::CommandLine, std::string(what) + " is NULL");
}

#define WEIR_REQUIRE(pointer)                                                  \
  if (!(pointer))                                                              \
    return misuse(#pointer);

const weir::plan::Entry *findEntry(const weir_program_t *program,
                                   const char *entry) {
  if (!program || !entry)
    return nullptr;
  for (const weir::plan::Entry &candidate : program->program->plan().entries)
    if (candidate.name == entry)
      return &candidate;
  return nullptr;
}

void describe(const std::string &name, weir::plan::DType dtype,
              const std::vector<int64_t> &shape, weir_tensor_info_t *info) {
  info->name = name.c_str();
  info->dtype = static_cast<weir_dtype_t>(dtype);
  info->rank = shape.size();
  info->shape = shape.data();
  info->bytes = static_cast<size_t>(weir::plan::elementCount(shape) *
                                    weir::plan::byteSize(dtype));
}

weir_status_t *describeBinding(const weir_program_t *program, const char *entry,
                               size_t index, bool output,
                               weir_tensor_info_t *info) {
  return guarded([&]() -> Status {
    WEIR_REQUIRE(program);
    WEIR_REQUIRE(entry);
    WEIR_REQUIRE(info);
    auto found = program->program->entryIndex(entry);
    if (!found.ok())
      return std::move(found).status();
    const weir::plan::Entry &target = program->program->plan().entries[*found];
    const std::vector<Binding> &list = output ? target.outputs : target.inputs;
    if (index >= list.size())
      return Status(StatusCode::CommandLine,
                    "entry '" + target.name + "' has " +
                        std::to_string(list.size()) +
                        (output ? " outputs" : " inputs") + ", asked for " +
                        std::to_string(index));
    describe(list[index].name, list[index].dtype, list[index].shape, info);
    return weir::okStatus();
  });
}

} // namespace

extern "C" {

int weir_status_code(const weir_status_t *status) {
  return status ? static_cast<int>(status->status.code()) : WEIR_OK;
}

const char *weir_status_message(const weir_status_t *status) {
  return status ? status->status.message().c_str() : "";
}

void weir_status_free(weir_status_t *status) { delete status; }

const char *weir_version(void) { return WEIR_VERSION; }

weir_status_t *weir_runtime_create(int workers, weir_runtime_t **runtime) {
  return guarded([&]() -> Status {
    WEIR_REQUIRE(runtime);
    weir::RuntimeOptions options;
    options.workers = workers;
    WEIR_ASSIGN_OR_RETURN(auto made, weir::Runtime::create(options));
    *runtime = new weir_runtime{std::move(made)};
    return weir::okStatus();
  });
}

void weir_runtime_free(weir_runtime_t *runtime) { delete runtime; }

weir_status_t *weir_program_load(weir_runtime_t *runtime, const char *path,
                                 weir_program_t **program) {
  return guarded([&]() -> Status {
    WEIR_REQUIRE(runtime);
    WEIR_REQUIRE(path);
    WEIR_REQUIRE(program);
    WEIR_ASSIGN_OR_RETURN(auto loaded,
                          weir::Program::load(runtime->runtime, path));
    auto made = std::make_unique<weir_program>();
    for (const weir::plan::VariableSignature &variable :
         loaded->manifest().variables)
      made->variableShapes.push_back(variable.shape);
    made->program = std::move(loaded);
    *program = made.release();
    return weir::okStatus();
  });
}

void weir_program_free(weir_program_t *program) { delete program; }

size_t weir_program_rank_count(const weir_program_t *program) {
  return program ? static_cast<size_t>(program->program->plan().numRanks()) : 0;
}

size_t weir_program_entry_count(const weir_program_t *program) {
  return program ? program->program->plan().entries.size() : 0;
}

const char *weir_program_entry_name(const weir_program_t *program,
                                    size_t index) {
  return index < weir_program_entry_count(program)
             ? program->program->plan().entries[index].name.c_str()
             : nullptr;
}

size_t weir_program_input_count(const weir_program_t *program,
                                const char *entry) {
  const weir::plan::Entry *found = findEntry(program, entry);
  return found ? found->inputs.size() : 0;
}

weir_status_t *weir_program_input(const weir_program_t *program,
                                  const char *entry, size_t index,
                                  weir_tensor_info_t *info) {
  return describeBinding(program, entry, index, /*output=*/false, info);
}

size_t weir_program_output_count(const weir_program_t *program,
                                 const char *entry) {
  const weir::plan::Entry *found = findEntry(program, entry);
  return found ? found->outputs.size() : 0;
}

weir_status_t *weir_program_output(const weir_program_t *program,
                                   const char *entry, size_t index,
                                   weir_tensor_info_t *info) {
  return describeBinding(program, entry, index, /*output=*/true, info);
}

size_t weir_program_variable_count(const weir_program_t *program) {
  return program ? program->variableShapes.size() : 0;
}

weir_status_t *weir_program_variable(const weir_program_t *program,
                                     size_t index, weir_tensor_info_t *info) {
  return guarded([&]() -> Status {
    WEIR_REQUIRE(program);
    WEIR_REQUIRE(info);
    const auto &variables = program->program->manifest().variables;
    if (index >= variables.size())
      return Status(StatusCode::CommandLine,
                    "the program has " + std::to_string(variables.size()) +
                        " variables, asked for " + std::to_string(index));
    describe(variables[index].name, variables[index].dtype,
             program->variableShapes[index], info);
    return weir::okStatus();
  });
}

void weir_session_options_init(weir_session_options_t *options) {
  if (!options)
    return;
  weir::SessionOptions defaults;
  std::memset(options, 0, sizeof(*options));
  options->size = sizeof(*options);
  options->seed = defaults.seed;
  options->watchdog_seconds = defaults.watchdogSeconds;
}

weir_status_t *weir_session_create(const weir_program_t *program,
                                   const weir_session_options_t *options,
                                   weir_session_t **session) {
  return guarded([&]() -> Status {
    WEIR_REQUIRE(program);
    WEIR_REQUIRE(session);
    weir::SessionOptions chosen;
    if (options) {
      // A caller built against another version has another size.
      if (options->size != sizeof(*options))
        return Status(StatusCode::CommandLine,
                      "options: expects size " +
                          std::to_string(sizeof(*options)) + ", got " +
                          std::to_string(options->size) +
                          "; call weir_session_options_init first");
      chosen.seed = options->seed;
      chosen.checked = options->checked != 0;
      chosen.traced = options->traced != 0;
      chosen.watchdogSeconds = options->watchdog_seconds;
    }
    WEIR_ASSIGN_OR_RETURN(auto made, Session::create(program->program, chosen));
    *session = new weir_session{std::move(made)};
    return weir::okStatus();
  });
}

void weir_session_free(weir_session_t *session) { delete session; }

weir_status_t *weir_session_load_weights(weir_session_t *session,
                                         const char *path, int allow_extra) {
  return guarded([&]() -> Status {
    WEIR_REQUIRE(session);
    WEIR_REQUIRE(path);
    weir::LoadOptions options;
    options.allowExtra = allow_extra != 0;
    return session->session->loadWeights(path, options);
  });
}

weir_status_t *weir_session_save_weights(const weir_session_t *session,
                                         const char *path) {
  return guarded([&]() -> Status {
    WEIR_REQUIRE(session);
    WEIR_REQUIRE(path);
    return session->session->saveWeights(path);
  });
}

weir_status_t *weir_session_save_state(const weir_session_t *session,
                                       const char *path) {
  return guarded([&]() -> Status {
    WEIR_REQUIRE(session);
    WEIR_REQUIRE(path);
    return session->session->saveState(path);
  });
}

weir_status_t *weir_session_load_state(weir_session_t *session,
                                       const char *path) {
  return guarded([&]() -> Status {
    WEIR_REQUIRE(session);
    WEIR_REQUIRE(path);
    return session->session->loadState(path);
  });
}

weir_status_t *weir_session_read_variable(const weir_session_t *session,
                                          const char *name, void *data,
                                          size_t bytes) {
  return guarded([&]() -> Status {
    WEIR_REQUIRE(session);
    WEIR_REQUIRE(name);
    WEIR_REQUIRE(data);
    return session->session->readVariable(name, data,
                                          static_cast<int64_t>(bytes));
  });
}

weir_status_t *weir_session_write_variable(weir_session_t *session,
                                           const char *name, const void *data,
                                           size_t bytes) {
  return guarded([&]() -> Status {
    WEIR_REQUIRE(session);
    WEIR_REQUIRE(name);
    WEIR_REQUIRE(data);
    return session->session->writeVariable(name, data,
                                           static_cast<int64_t>(bytes));
  });
}

weir_status_t *weir_session_bind_input(weir_session_t *session,
                                       const char *entry, const char *name,
                                       const void *data, size_t bytes) {
  return guarded([&]() -> Status {
    WEIR_REQUIRE(session);
    WEIR_REQUIRE(entry);
    WEIR_REQUIRE(name);
    return session->session->bindInput(entry, name, data,
                                       static_cast<int64_t>(bytes));
  });
}

weir_status_t *weir_session_bind_output(weir_session_t *session,
                                        const char *entry, const char *name,
                                        void *data, size_t bytes) {
  return guarded([&]() -> Status {
    WEIR_REQUIRE(session);
    WEIR_REQUIRE(entry);
    WEIR_REQUIRE(name);
    return session->session->bindOutput(entry, name, data,
                                        static_cast<int64_t>(bytes));
  });
}

weir_status_t *weir_session_set_scalar(weir_session_t *session,
                                       const char *entry, const char *name,
                                       double value) {
  return guarded([&]() -> Status {
    WEIR_REQUIRE(session);
    WEIR_REQUIRE(entry);
    WEIR_REQUIRE(name);
    return session->session->setScalar(entry, name, value);
  });
}

weir_status_t *weir_session_run(weir_session_t *session, const char *entry) {
  return guarded([&]() -> Status {
    WEIR_REQUIRE(session);
    WEIR_REQUIRE(entry);
    return session->session->run(entry);
  });
}

void weir_session_cancel(weir_session_t *session) {
  if (session)
    session->session->cancel();
}

weir_status_t *weir_session_read_metric(const weir_session_t *session,
                                        const char *entry, const char *name,
                                        double *value) {
  return guarded([&]() -> Status {
    WEIR_REQUIRE(session);
    WEIR_REQUIRE(entry);
    WEIR_REQUIRE(name);
    WEIR_REQUIRE(value);
    WEIR_ASSIGN_OR_RETURN(*value, session->session->readScalar(entry, name));
    return weir::okStatus();
  });
}

weir_status_t *weir_session_read_output(const weir_session_t *session,
                                        const char *entry, const char *name,
                                        void *data, size_t bytes) {
  return guarded([&]() -> Status {
    WEIR_REQUIRE(session);
    WEIR_REQUIRE(entry);
    WEIR_REQUIRE(name);
    WEIR_REQUIRE(data);
    return session->session->readOutput(entry, name, data,
                                        static_cast<int64_t>(bytes));
  });
}

weir_status_t *weir_session_memory(const weir_session_t *session,
                                   weir_memory_t *memory) {
  return guarded([&]() -> Status {
    WEIR_REQUIRE(session);
    WEIR_REQUIRE(memory);
    weir::MemoryReport report = session->session->memoryReport();
    memory->plan_bytes = static_cast<size_t>(report.planBytes);
    memory->overhead_bytes = static_cast<size_t>(report.overheadBytes);
    memory->allocations = static_cast<size_t>(report.allocations);
    return weir::okStatus();
  });
}

weir_status_t *weir_session_write_trace(const weir_session_t *session,
                                        const char *entry, const char *path) {
  return guarded([&]() -> Status {
    WEIR_REQUIRE(session);
    WEIR_REQUIRE(entry);
    WEIR_REQUIRE(path);
    return session->session->writeTrace(entry, path);
  });
}

} // extern "C"
