// SPDX-License-Identifier: Apache-2.0
// weir-bigram-compile JOB -o ARTIFACT [--set KEY=VALUE...] [--forward-batch N]
// Writes the hand-made bigram artifact for the job's batch, sequence and mesh,
// and adds a line to the file $BIGRAM_LOG. $BIGRAM_EXIT makes it fail with that
// code, $BIGRAM_SIGNAL end by that signal.
#include "runtime/base/CommandLine.h"
#include "runtime/io/Job.h"
#include "test/unit/train/BigramArtifact.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>

using namespace weir;

static Status compile(const std::string &path, const std::string &output,
                      const JobOptions &options, int64_t forwardBatch) {
  if (const char *log = std::getenv("BIGRAM_LOG"))
    if (std::FILE *file = std::fopen(log, "a")) {
      std::fprintf(file, "compiled\n");
      std::fclose(file);
    }
  if (const char *signal = std::getenv("BIGRAM_SIGNAL"))
    std::raise(std::atoi(signal));
  if (const char *code = std::getenv("BIGRAM_EXIT"))
    std::exit(std::atoi(code));
  WEIR_ASSIGN_OR_RETURN(Job job, readJob(path, options));
  test::BigramOptions model;
  model.batch = job.batch;
  model.sequence = job.sequence;
  model.ranks = job.ranks();
  model.forwardBatch = forwardBatch;
  return test::writeBigramArtifact(output, model);
}

int main(int argc, char **argv) {
  std::string path, output;
  JobOptions options;
  int64_t forwardBatch = 0;
  CommandLine line("weir-bigram-compile", "JOB -o ARTIFACT", "For tests.");
  line.positional("JOB", &path, "a job file");
  line.flag("output", &output, "FILE", "the artifact");
  line.alias('o', "output");
  line.flag("set", &options.overrides, "KEY=VALUE", "override");
  line.flag("forward-batch", &forwardBatch, "N", "batch of forward");
  Status status = line.parse(argc - 1, argv + 1);
  if (status.ok())
    status = compile(path, output, options, forwardBatch);
  if (!status.ok())
    std::fprintf(stderr, "%s\n", status.message().c_str());
  return static_cast<int>(status.code());
}
