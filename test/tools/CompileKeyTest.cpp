// SPDX-License-Identifier: Apache-2.0
#include "tools/weir/CompileKey.h"
#include "test/tools/ToolRunner.h"

using namespace weir;
using namespace weir::test;

namespace {

class CompileKeyTest : public ToolTest {
protected:
  std::string key(const std::vector<std::string> &overrides = {},
                  const std::string &extra = "") {
    JobOptions options;
    options.overrides = overrides;
    auto parsed = parseJob(jobText(extra), job, options);
    EXPECT_OK(parsed);
    if (!parsed.ok())
      return parsed.status().message();
    auto text = describeCompilation(*parsed, folder.path("text"));
    EXPECT_OK(text);
    return text.ok() ? *text : "";
  }
};

TEST_F(CompileKeyTest, RunTimeSettingsAreNotInIt) {
  std::string base = key();
  for (const char *item : {"optimizer.lr=3e-5",
                           "optimizer.betas=[0.5,0.6]",
                           "optimizer.eps=1e-3",
                           "optimizer.weight_decay=0.5",
                           "clip=3",
                           "steps=7",
                           "seed=9",
                           "name=other",
                           "schedule.kind=cosine",
                           "schedule.warmup=2",
                           "schedule.min_ratio=0.5",
                           "evaluate.every=0",
                           "evaluate.batches=1",
                           "save.folder=x",
                           "save.export=y",
                           "sample.tokens=3",
                           "nonfinite.limit=2",
                           "workers=3",
                           "log.folder=z",
                           "data.separator=---",
                           "model.weights=w.safetensors"})
    EXPECT_EQ(key({item}), base) << item;
  EXPECT_EQ(key({"optimizer.kind=sgd", "optimizer.momentum=0.5"}),
            key({"optimizer.kind=sgd"}));
}

TEST_F(CompileKeyTest, WhatIsCompiledIn) {
  std::string base = key();
  for (const char *item :
       {"model.config.layers=2", "model.config.vocab=300", "batch=5",
        "sequence=9", "micro_batches=2", "mesh=dp=2", "mesh=tp=2",
        "dropout=0.5", "optimizer.kind=sgd", "threads=7"})
    EXPECT_NE(key({item}), base) << item;
  EXPECT_NE(key({"mesh=dp=2"}), key({"mesh=dp=2", "strategy.dp=megatron"}));
}

TEST_F(CompileKeyTest, GroupsByPatternOnly) {
  auto with = [&](const std::vector<std::string> &overrides) {
    std::vector<std::string> all = {
        "optimizer.groups=[{\"match\": \"a*\", \"weight_decay\": 0.1}]"};
    all.insert(all.end(), overrides.begin(), overrides.end());
    return key(all);
  };
  EXPECT_NE(with({}), key());
  EXPECT_EQ(with({"optimizer.groups.0.lr_scale=3"}), with({}));
  EXPECT_EQ(with({"optimizer.groups.0.weight_decay=0"}), with({}));
  EXPECT_NE(with({"optimizer.groups.0.match=b*"}), with({}));
}

TEST_F(CompileKeyTest, SeveralRanksDoNotDependOnTheTeam) {
  EXPECT_EQ(key({"mesh=dp=2", "threads=7"}), key({"mesh=dp=2"}));
}

TEST_F(CompileKeyTest, FollowsTheCompilerAndTheModelsFiles) {
  auto parsed = parseJob(jobText(), job);
  ASSERT_OK(parsed);
  auto one = describeCompilation(*parsed, folder.path("text"));
  auto other = describeCompilation(*parsed, job);
  ASSERT_OK(one);
  ASSERT_OK(other);
  EXPECT_NE(*one, *other);
  EXPECT_FAILS(describeCompilation(*parsed, folder.path("none")),
               StatusCode::InvalidInput, "none");

  // A model in a file counts by content, not by place.
  auto mlirKey = [&](const char *name, const char *content) {
    Job mlir = *parsed;
    mlir.model = JobModel();
    mlir.model.kind = ModelKind::Mlir;
    mlir.model.mlir = folder.write(name, content);
    auto text = describeCompilation(mlir, job);
    EXPECT_OK(text);
    return *text;
  };
  EXPECT_EQ(mlirKey("a.mlir", "module {}"), mlirKey("b.mlir", "module {}"));
  EXPECT_NE(mlirKey("a.mlir", "module {}"), mlirKey("b.mlir", "module { }"));
}

} // namespace
