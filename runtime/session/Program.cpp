// SPDX-License-Identifier: Apache-2.0
#include "runtime/session/Program.h"

#include "runtime/base/Strings.h"

#include <algorithm>
#include <sched.h>
#include <thread>

namespace weir {

int availableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0)
    return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

StatusOr<std::shared_ptr<Runtime>>
Runtime::create(const RuntimeOptions &options) {
  if (options.workers < 0 || options.workers > 4096)
    return Status(StatusCode::CommandLine,
                  "number of workers: expects 0 (one a core) to 4096, got " +
                      std::to_string(options.workers));
  return std::shared_ptr<Runtime>(
      new Runtime(options.workers ? options.workers : availableCores()));
}

StatusOr<std::shared_ptr<const Program>>
Program::load(std::shared_ptr<Runtime> runtime, const std::string &path) {
  WEIR_ASSIGN_OR_RETURN(plan::ArtifactReader reader,
                        plan::ArtifactReader::open(path));
  return load(std::move(runtime), reader);
}

StatusOr<std::shared_ptr<const Program>>
Program::load(std::shared_ptr<Runtime> runtime,
              const plan::ArtifactReader &reader) {
  auto program = std::make_shared<Program>();
  program->owner = std::move(runtime);
  program->where = reader.path();
  program->theManifest = reader.manifest();
  WEIR_ASSIGN_OR_RETURN(program->thePlan, reader.readPlan());
  WEIR_ASSIGN_OR_RETURN(std::optional<std::string_view> object,
                        reader.selectKernels());
  if (object) {
    WEIR_ASSIGN_OR_RETURN(program->library,
                          device::KernelLibrary::load(*object, reader.path()));
    program->hasKernels = true;
  }
  for (size_t i = 0; i < program->thePlan.variables.size(); ++i)
    program->variables.emplace(program->thePlan.variables[i].name, i);
  return std::shared_ptr<const Program>(std::move(program));
}

StatusOr<size_t> Program::entryIndex(const std::string &name) const {
  for (size_t i = 0; i < thePlan.entries.size(); ++i)
    if (thePlan.entries[i].name == name)
      return i;
  std::vector<std::string> names;
  for (const plan::Entry &entry : thePlan.entries)
    names.push_back("'" + entry.name + "'");
  return invalidInput(where + ": has no entry '" + printable(name, 80) +
                      "'; its entries are " + join(names, ", "));
}

StatusOr<size_t> Program::variableIndex(const std::string &name) const {
  if (auto it = variables.find(name); it != variables.end())
    return it->second;
  std::vector<std::string> names;
  for (const plan::Variable &variable : thePlan.variables)
    names.push_back(variable.name);
  return invalidInput(where + ": has no variable '" + printable(name, 80) +
                      "'" + suggestion(name, names));
}

} // namespace weir
