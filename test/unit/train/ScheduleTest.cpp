// SPDX-License-Identifier: Apache-2.0
#include "runtime/train/Schedule.h"
#include "runtime/train/Scalars.h"
#include "test/unit/runtime/TestSupport.h"

#include <map>

using namespace weir;

namespace {

JobSchedule schedule(ScheduleKind kind, int64_t warmup, double ratio,
                     int64_t steps) {
  JobSchedule s;
  s.kind = kind;
  s.warmup = warmup;
  s.minRatio = ratio;
  s.steps = steps;
  return s;
}

TEST(Schedule, WarmsUpToTheFullRate) {
  JobSchedule s = schedule(ScheduleKind::Constant, 4, 0, 100);
  EXPECT_DOUBLE_EQ(scheduleFactor(s, 0), 0.25);
  EXPECT_DOUBLE_EQ(scheduleFactor(s, 2), 0.75);
  EXPECT_DOUBLE_EQ(scheduleFactor(s, 3), 1);
  EXPECT_DOUBLE_EQ(scheduleFactor(s, 4), 1);
  EXPECT_DOUBLE_EQ(scheduleFactor(s, 1000), 1);
}

TEST(Schedule, CosineHasItsHalfWayPointAndItsEnd) {
  JobSchedule s = schedule(ScheduleKind::Cosine, 10, 0.1, 110);
  EXPECT_DOUBLE_EQ(scheduleFactor(s, 9), 1);
  EXPECT_DOUBLE_EQ(scheduleFactor(s, 10), 1);
  EXPECT_NEAR(scheduleFactor(s, 60), 0.55, 1e-15);
  // A third of the way: cos(pi / 3) = 1/2.
  EXPECT_NEAR(scheduleFactor(schedule(ScheduleKind::Cosine, 0, 0, 30), 10),
              0.75, 1e-15);
  EXPECT_NEAR(scheduleFactor(s, 110), 0.1, 1e-15);
  EXPECT_NEAR(scheduleFactor(s, 5000), 0.1, 1e-15);
}

TEST(Schedule, LinearFallsEvenly) {
  JobSchedule s = schedule(ScheduleKind::Linear, 0, 0.5, 10);
  EXPECT_DOUBLE_EQ(scheduleFactor(s, 0), 1);
  EXPECT_DOUBLE_EQ(scheduleFactor(s, 5), 0.75);
  EXPECT_DOUBLE_EQ(scheduleFactor(s, 10), 0.5);
  EXPECT_DOUBLE_EQ(scheduleFactor(s, 11), 0.5);
}

TEST(Schedule, AWarmupAsLongAsTheRunIsLegal) {
  JobSchedule s = schedule(ScheduleKind::Cosine, 10, 0, 10);
  EXPECT_DOUBLE_EQ(scheduleFactor(s, 9), 1);
  EXPECT_DOUBLE_EQ(scheduleFactor(s, 10), 1);
  EXPECT_NEAR(scheduleFactor(s, 11), 0, 1e-15);
}

TEST(Schedule, ARunCutShortStaysInItsWarmup) {
  JobSchedule s = schedule(ScheduleKind::Cosine, 100, 0.1, 20);
  EXPECT_DOUBLE_EQ(scheduleFactor(s, 19), 0.2);
  EXPECT_DOUBLE_EQ(scheduleFactor(s, 99), 1);
}

plan::Entry entryWith(const std::vector<plan::Binding> &inputs) {
  plan::Entry entry;
  entry.name = "train";
  entry.inputs = inputs;
  return entry;
}

plan::Binding real(const std::string &name) {
  return {name, plan::DType::F32, {}};
}

std::map<std::string, float> valuesOf(const TrainScalars &scalars) {
  std::map<std::string, float> values;
  for (const TrainScalars::Slot &slot : scalars.slots())
    if (slot.name != "seed" && slot.name != "step")
      values[slot.name] = *static_cast<const float *>(slot.data);
  return values;
}

TEST(Scalars, FollowTheJobAndTheStep) {
  Job job;
  job.seed = 0xFFFFFFFF;
  job.clip = 0.5;
  job.optimizer.lr = 0.01;
  job.optimizer.beta1 = 0.8;
  job.optimizer.beta2 = 0.95;
  job.optimizer.eps = 1e-7;
  job.optimizer.weightDecay = 0.1;
  job.optimizer.groups = {{"*.bias", 0.3, 2}, {"head*", std::nullopt, 0.5}};
  job.schedule = schedule(ScheduleKind::Constant, 10, 0, 100);
  std::vector<plan::Binding> inputs = {{"ids", plan::DType::I32, {2, 3}},
                                       {"seed", plan::DType::I32, {}},
                                       {"step", plan::DType::I32, {}},
                                       real("beta1"),
                                       real("beta2"),
                                       real("epsilon"),
                                       real("correction1"),
                                       real("correction2"),
                                       real("max_norm")};
  for (int group = 0; group < 4; ++group)
    for (const char *what : {"learning_rate", "weight_decay"})
      inputs.push_back(real("group" + std::to_string(group) + "." + what));
  auto scalars = TrainScalars::create(job, entryWith(inputs));
  ASSERT_OK(scalars);
  EXPECT_EQ(scalars->slots().size(), inputs.size() - 1); // all but ids

  // Step 4 after one skipped update: t is 4.
  scalars->set({4, 3});
  std::map<std::string, float> values = valuesOf(*scalars);
  EXPECT_EQ(*static_cast<int32_t *>(scalars->slots()[0].data), -1);
  EXPECT_EQ(*static_cast<int32_t *>(scalars->slots()[1].data), 4);
  EXPECT_FLOAT_EQ(values["beta1"], 0.8f);
  EXPECT_FLOAT_EQ(values["beta2"], 0.95f);
  EXPECT_FLOAT_EQ(values["epsilon"], 1e-7f);
  EXPECT_FLOAT_EQ(values["correction1"], 1 - 0.4096f);
  EXPECT_FLOAT_EQ(values["correction2"], 1 - 0.81450625f);
  EXPECT_FLOAT_EQ(values["max_norm"], 0.5f);
  EXPECT_FLOAT_EQ(values["group0.learning_rate"], 0.005f);
  EXPECT_FLOAT_EQ(values["group0.weight_decay"], 0.1f);
  EXPECT_FLOAT_EQ(values["group1.learning_rate"], 0.005f);
  EXPECT_FLOAT_EQ(values["group1.weight_decay"], 0);
  EXPECT_FLOAT_EQ(values["group2.learning_rate"], 0.01f);
  EXPECT_FLOAT_EQ(values["group2.weight_decay"], 0.3f);
  EXPECT_FLOAT_EQ(values["group3.learning_rate"], 0.0025f);
  EXPECT_FLOAT_EQ(values["group3.weight_decay"], 0.1f);
  EXPECT_DOUBLE_EQ(scalars->learningRate(), 0.005);
}

TEST(Scalars, RefuseWhatTheJobDoesNotSet) {
  Job job;
  auto refusal = [&](const plan::Binding &input) {
    return TrainScalars::create(job, entryWith({input}));
  };
  EXPECT_FAILS(refusal(real("temperature")), StatusCode::IncompatibleArtifact,
               "'temperature' is not a scalar that a job sets");
  EXPECT_FAILS(refusal(real("group2.learning_rate")),
               StatusCode::IncompatibleArtifact, "parameter group 2");
  EXPECT_FAILS(refusal(real("step")), StatusCode::IncompatibleArtifact,
               "should be i32");
  EXPECT_FAILS(refusal(real("group.learning_rate")),
               StatusCode::IncompatibleArtifact, "is not a scalar");
}

} // namespace
