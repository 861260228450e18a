// SPDX-License-Identifier: Apache-2.0
//
// Uses the shared library alone for everything but making the artifact.

#include "PlanBuilder.h"

#include "runtime/base/CpuFeatures.h"
#include "runtime/plan/Artifact.h"

#include <cstring>
#include <weir/weir.h>

using namespace weir;
using weir::test::PlanBuilder;

namespace {

std::string makeArtifact() {
  PlanBuilder b({{"dp", 2}});
  b.plan.segments.push_back(
      {"parameters", plan::Segment::Kind::Parameters, 64});
  plan::Variable variable;
  variable.name = "model::w";
  variable.layout.dims = {{5, 3, {0}}};
  variable.segment = 1;
  variable.init = {plan::Initializer::Kind::Constant, 2.5, 0};
  variable.storedName = "w";
  variable.storedShape = {5};
  b.plan.variables.push_back(variable);
  b.entry().name = "forward";
  int stream = b.stream("main");
  int x = b.input("x", {2, 3}), bias = b.input("bias", {});
  int sum = b.buffer("sum", 4), out = b.output("loss", {});
  int one = b.constant(1), six = b.constant(6);
  b.once("main", stream,
         {b.kernel("total", "total", {x}, {sum}, {six}),
          b.kernel("loss", "add", {sum, bias}, {out}, {one, one})});
  std::string path = ::testing::TempDir() + "weir-c-api-test.weir";
  auto writer = plan::ArtifactWriter::create(path);
  EXPECT_TRUE(writer.ok());
  EXPECT_TRUE(writer->addPlan(b.plan).ok());
  EXPECT_TRUE(
      writer->addKernels(test::kernelObject(), hostArchitecture(), {}).ok());
  EXPECT_TRUE(writer->finish().ok());
  return path;
}

/// Takes the status apart: code and message, and frees it.
int codeOf(weir_status_t *status, std::string *message = nullptr) {
  int code = weir_status_code(status);
  if (message)
    *message = weir_status_message(status);
  weir_status_free(status);
  return code;
}

} // namespace

TEST(CApi, LoadsRunsAndReads) {
  std::string path = makeArtifact();
  weir_runtime_t *runtime = nullptr;
  weir_program_t *program = nullptr;
  weir_session_t *session = nullptr;
  ASSERT_EQ(codeOf(weir_runtime_create(2, &runtime)), WEIR_OK);
  std::string message;
  ASSERT_EQ(
      codeOf(weir_program_load(runtime, path.c_str(), &program), &message),
      WEIR_OK)
      << message;
  EXPECT_EQ(weir_program_rank_count(program), 2u);
  ASSERT_EQ(weir_program_entry_count(program), 1u);
  EXPECT_STREQ(weir_program_entry_name(program, 0), "forward");
  EXPECT_EQ(weir_program_entry_name(program, 1), nullptr);
  ASSERT_EQ(weir_program_input_count(program, "forward"), 2u);
  ASSERT_EQ(weir_program_output_count(program, "forward"), 1u);
  ASSERT_EQ(weir_program_variable_count(program), 1u);
  EXPECT_EQ(weir_program_input_count(program, "backward"), 0u);
  weir_tensor_info_t info;
  ASSERT_EQ(codeOf(weir_program_input(program, "forward", 0, &info)), WEIR_OK);
  EXPECT_STREQ(info.name, "x");
  EXPECT_EQ(info.dtype, WEIR_F32);
  ASSERT_EQ(info.rank, 2u);
  EXPECT_EQ(info.shape[1], 3);
  EXPECT_EQ(info.bytes, 24u);
  EXPECT_EQ(codeOf(weir_program_input(program, "forward", 2, &info)),
            WEIR_COMMAND_LINE);
  ASSERT_EQ(codeOf(weir_program_variable(program, 0, &info)), WEIR_OK);
  EXPECT_STREQ(info.name, "model::w");
  EXPECT_EQ(info.bytes, 20u);

  weir_session_options_t options;
  weir_session_options_init(&options);
  options.checked = 1;
  ASSERT_EQ(codeOf(weir_session_create(program, &options, &session)), WEIR_OK);
  weir_program_free(program); // the session keeps what it needs

  float w[5] = {};
  ASSERT_EQ(codeOf(weir_session_read_variable(session, "model::w", w, 20)),
            WEIR_OK);
  for (float value : w)
    EXPECT_EQ(value, 2.5f);
  float changed[5] = {1, 2, 3, 4, 5};
  ASSERT_EQ(
      codeOf(weir_session_write_variable(session, "model::w", changed, 20)),
      WEIR_OK);
  std::string weights = ::testing::TempDir() + "weir-c-api.safetensors";
  ASSERT_EQ(codeOf(weir_session_save_weights(session, weights.c_str())),
            WEIR_OK);
  float zero[5] = {};
  ASSERT_EQ(codeOf(weir_session_write_variable(session, "model::w", zero, 20)),
            WEIR_OK);
  ASSERT_EQ(codeOf(weir_session_load_weights(session, weights.c_str(), 0)),
            WEIR_OK);
  ASSERT_EQ(codeOf(weir_session_read_variable(session, "model::w", w, 20)),
            WEIR_OK);
  EXPECT_EQ(std::memcmp(w, changed, 20), 0);

  float x[6] = {1, 2, 3, 4, 5, 6}, loss = 0;
  EXPECT_EQ(codeOf(weir_session_run(session, "forward"), &message),
            WEIR_INVALID_INPUT);
  EXPECT_NE(message.find("'x', 'bias'"), std::string::npos);
  ASSERT_EQ(codeOf(weir_session_bind_input(session, "forward", "x", x, 24)),
            WEIR_OK);
  ASSERT_EQ(codeOf(weir_session_set_scalar(session, "forward", "bias", 0.5)),
            WEIR_OK);
  ASSERT_EQ(
      codeOf(weir_session_bind_output(session, "forward", "loss", &loss, 4)),
      WEIR_OK);
  for (int i = 0; i < 5; ++i)
    ASSERT_EQ(codeOf(weir_session_run(session, "forward"), &message), WEIR_OK)
        << message;
  EXPECT_EQ(loss, 21.5f);
  double metric = 0;
  ASSERT_EQ(
      codeOf(weir_session_read_metric(session, "forward", "loss", &metric)),
      WEIR_OK);
  EXPECT_EQ(metric, 21.5);
  weir_memory_t memory;
  ASSERT_EQ(codeOf(weir_session_memory(session, &memory)), WEIR_OK);
  EXPECT_EQ(memory.plan_bytes, 2u * (64 + 128));

  weir_session_cancel(session);
  EXPECT_EQ(codeOf(weir_session_run(session, "forward")), WEIR_STOPPED);
  weir_session_free(session);
  weir_runtime_free(runtime);
}

TEST(CApi, RunsAllocateNothing) {
  std::string path = makeArtifact();
  weir_runtime_t *runtime = nullptr;
  weir_program_t *program = nullptr;
  weir_session_t *session = nullptr;
  ASSERT_EQ(codeOf(weir_runtime_create(2, &runtime)), WEIR_OK);
  ASSERT_EQ(codeOf(weir_program_load(runtime, path.c_str(), &program)),
            WEIR_OK);
  ASSERT_EQ(codeOf(weir_session_create(program, nullptr, &session)), WEIR_OK);
  float x[6] = {};
  ASSERT_EQ(codeOf(weir_session_bind_input(session, "forward", "x", x, 24)),
            WEIR_OK);
  ASSERT_EQ(codeOf(weir_session_set_scalar(session, "forward", "bias", 1)),
            WEIR_OK);
  for (int i = 0; i < 4; ++i)
    ASSERT_EQ(codeOf(weir_session_run(session, "forward")), WEIR_OK);
  weir_memory_t memory;
  ASSERT_EQ(codeOf(weir_session_memory(session, &memory)), WEIR_OK);
  EXPECT_EQ(memory.allocations, 0u);
  weir_session_free(session);
  weir_program_free(program);
  weir_runtime_free(runtime);
}

TEST(CApi, MisuseIsAStatus) {
  EXPECT_EQ(weir_status_code(nullptr), WEIR_OK);
  EXPECT_STREQ(weir_status_message(nullptr), "");
  weir_status_free(nullptr);
  weir_runtime_free(nullptr);
  weir_program_free(nullptr);
  weir_session_free(nullptr);
  weir_session_cancel(nullptr);
  EXPECT_STREQ(weir_version(), "0.1.0");
  EXPECT_EQ(weir_program_entry_count(nullptr), 0u);
  EXPECT_EQ(codeOf(weir_runtime_create(0, nullptr)), WEIR_COMMAND_LINE);
  EXPECT_EQ(codeOf(weir_session_run(nullptr, "x")), WEIR_COMMAND_LINE);
  std::string message;
  weir_runtime_t *runtime = nullptr;
  EXPECT_EQ(codeOf(weir_runtime_create(-4, &runtime)), WEIR_COMMAND_LINE);
  ASSERT_EQ(codeOf(weir_runtime_create(0, &runtime)), WEIR_OK);
  weir_program_t *program = nullptr;
  EXPECT_EQ(
      codeOf(weir_program_load(runtime, "/nonexistent/model.weir", &program),
             &message),
      WEIR_INVALID_INPUT);
  EXPECT_NE(message.find("/nonexistent/model.weir"), std::string::npos);
  EXPECT_EQ(codeOf(weir_program_load(runtime, nullptr, &program), &message),
            WEIR_COMMAND_LINE);
  EXPECT_EQ(message, "path is NULL");
  weir_session_options_t options = {};
  std::string path = makeArtifact();
  ASSERT_EQ(codeOf(weir_program_load(runtime, path.c_str(), &program)),
            WEIR_OK);
  weir_session_t *session = nullptr;
  EXPECT_EQ(codeOf(weir_session_create(program, &options, &session), &message),
            WEIR_COMMAND_LINE);
  EXPECT_NE(message.find("weir_session_options_init"), std::string::npos);
  weir_program_free(program);
  weir_runtime_free(runtime);
}
