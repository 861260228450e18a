// SPDX-License-Identifier: Apache-2.0
// weir-inspect: says what is in an artifact. It reads the plan and loads no
// code, so that looking at a file is safe.
#include "runtime/base/Strings.h"
#include "tools/common/ToolMain.h"
#include "tools/weir-inspect/Describe.h"
#include "tools/weir-inspect/DescribeSharding.h"

using namespace weir;

static const char tool[] = "weir-inspect";

static bool hasMember(const plan::ArtifactReader &artifact,
                      const std::string &name) {
  for (const ZipEntry &member : artifact.members())
    if (member.name == name)
      return true;
  return false;
}

/// Why tensors lie as they do.
static Status inspectSharding(const plan::ArtifactReader &artifact, bool json,
                              const std::string &match,
                              const std::string &entry) {
  if (!hasMember(artifact, shardingMember))
    return invalidInput(artifact.path() +
                        ": holds no explanation of its layouts; compile with "
                        "weir compile --explain");
  WEIR_ASSIGN_OR_RETURN(std::string_view text, artifact.member(shardingMember));
  if (json)
    return printOut(std::string(text));
  WEIR_ASSIGN_OR_RETURN(
      std::string description,
      describeSharding(text, artifact.path() + ": " + shardingMember, match,
                       entry));
  return printOut(description);
}

static Status inspect(const std::string &path, bool json, bool rawPlan,
                      bool verify, bool sharding, const std::string &match,
                      const DescribeOptions &options) {
  WEIR_ASSIGN_OR_RETURN(plan::ArtifactReader artifact,
                        plan::ArtifactReader::open(path));
  // Reading the plan verifies it, whatever is asked for.
  WEIR_ASSIGN_OR_RETURN(plan::Plan plan, artifact.readPlan());
  if (!options.entry.empty()) {
    std::vector<std::string> names;
    bool known = false;
    for (const plan::Entry &entry : plan.entries) {
      names.push_back(entry.name);
      known |= entry.name == options.entry;
    }
    if (!known)
      return Status(StatusCode::CommandLine,
                    "--entry: '" + printable(options.entry) +
                        "' is no entry of " + path + "; it has " +
                        join(names, ", ") + suggestion(options.entry, names));
  }
  if (sharding)
    return inspectSharding(artifact, json, match, options.entry);
  if (verify)
    return printOut(path + ": ok, " +
                    std::to_string(artifact.members().size()) + " members, " +
                    std::to_string(plan.entries.size()) + " entries\n");
  if (rawPlan) {
    WEIR_ASSIGN_OR_RETURN(std::string_view text,
                          artifact.member("plan/role0.json"));
    return printOut(std::string(text));
  }
  return printOut(json ? describeJson(artifact, plan, options)
                       : describeText(artifact, plan, options));
}

int main(int argc, char **argv) {
  std::string path;
  bool json = false, rawPlan = false, verify = false, sharding = false;
  std::string match = "*";
  DescribeOptions options;
  CommandLine line(tool, "[flags] ARTIFACT",
                   "Says what is in an artifact: entries, layouts, memory, "
                   "kernels, collectives. Checks digests and plan; never loads "
                   "code.");
  line.positional("ARTIFACT", &path, "a file that weir compile wrote");
  line.flag("json", &json, "print JSON, all variables included");
  line.flag("plan", &rawPlan, "print the plan as it is in the file");
  line.flag("verify", &verify,
            "only check the file: exit code 0, or what is wrong with it");
  line.flag("entry", &options.entry, "NAME", "describe this entry only");
  line.flag("variables", &options.allVariables,
            "list optimizer state and counters too");
  line.flag("sharding", &sharding,
            "say for each value how it lies, who decided it and at what cost, "
            "and what its reshards move (of an artifact made with --explain)");
  line.flag("match", &match, "GLOB",
            "with --sharding: only variables and values of such names");
  line.flag("actions", &options.actions,
            "list the actions of each stream in the order in which they fire");
  line.epilogue("Exit codes: 0 ok, 2 command line, 3 not an artifact or "
                "damaged, 6 output\nnot writable, 8 made by another version.");
  Status status = line.parse(argc - 1, argv + 1);
  if (status.ok() && line.helpRequested())
    return reportStatus(tool, printOut(line.helpText()));
  if (status.ok() && json + rawPlan + verify > 1)
    status = Status(StatusCode::CommandLine,
                    "--json, --plan and --verify exclude each other (see "
                    "weir-inspect --help)");
  if (status.ok() && sharding && rawPlan + verify > 0)
    status = Status(StatusCode::CommandLine,
                    "--sharding excludes --plan and --verify (see "
                    "weir-inspect --help)");
  if (status.ok() && !sharding && match != "*")
    status = Status(StatusCode::CommandLine,
                    "--match goes with --sharding (see weir-inspect --help)");
  if (status.ok())
    status = inspect(path, json, rawPlan, verify, sharding, match, options);
  return reportStatus(tool, status);
}
