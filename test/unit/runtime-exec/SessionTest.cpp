// SPDX-License-Identifier: Apache-2.0
#include "PlanBuilder.h"

#include "runtime/base/CpuFeatures.h"
#include "runtime/base/Half.h"
#include "runtime/base/Json.h"
#include "runtime/base/Philox.h"
#include "runtime/io/Safetensors.h"
#include "runtime/session/Session.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <cstring>

using namespace weir;
using namespace weir::plan;
using weir::test::PlanBuilder;

namespace {

std::string temporaryPath(const std::string &name) {
  return ::testing::TempDir() + "weir-session-test-" + name;
}

/// How the test's variables lie on a mesh: axes of the two dimensions of `w`
/// (5 x 6, stored as 30) and of the one of `b` (7).
struct Layout {
  std::vector<MeshAxis> mesh;
  std::vector<int> rows, columns, bias;
};

const Layout layouts[] = {
    {{}, {}, {}, {}},
    {{{"dp", 2}}, {0}, {}, {}},
    {{{"dp", 2}, {"tp", 2}}, {}, {1}, {0}},
    {{{"dp", 2}, {"tp", 2}}, {1}, {0}, {0, 1}},
    {{{"dp", 3}, {"tp", 2}}, {0, 1}, {}, {1}},
};

/// `step`: loss = lr + sum of x, and w[0..] is untouched; `name` has a variable
/// of each kind.
Plan modelPlan(const Layout &layout) {
  PlanBuilder b(layout.mesh);
  b.plan.segments.push_back({"parameters", Segment::Kind::Parameters, 0});
  auto variable = [&](const std::string &name, DType type,
                      std::vector<DimLayout> dims, Initializer init) {
    Variable made;
    made.name = name;
    made.layout.dtype = type;
    int64_t bytes = byteSize(type);
    for (DimLayout &dim : dims) {
      dim.capacity = largestValue(
          {ScalarExpr::Kind::Extent, dim.size, dim.axes}, b.plan.mesh);
      bytes *= dim.capacity;
    }
    made.layout.dims = std::move(dims);
    made.segment = 1;
    made.offset = b.plan.segments[1].bytes;
    made.init = init;
    b.plan.segments[1].bytes += (bytes + 63) / 64 * 64;
    b.plan.variables.push_back(made);
  };
  variable("model::w", DType::F32,
           {{5, 0, layout.rows}, {6, 0, layout.columns}},
           {Initializer::Kind::Normal, 1, 0.5});
  b.plan.variables.back().storedName = "transformer.w";
  b.plan.variables.back().storedShape = {30};
  variable("model::b", DType::F32, {{7, 0, layout.bias}},
           {Initializer::Kind::Uniform, -1, 1});
  b.plan.variables.back().storedName = "b";
  b.plan.variables.back().storedShape = {7};
  variable("optimizer::m", DType::F32, {{7, 0, layout.bias}},
           {Initializer::Kind::Constant, 3, 0});
  b.plan.variables.back().kind = Variable::Kind::OptimizerState;
  variable("optimizer::steps", DType::I64, {},
           {Initializer::Kind::Constant, 41, 0});
  b.plan.variables.back().kind = Variable::Kind::Counter;

  b.entry().name = "step";
  int stream = b.stream("main");
  int x = b.input("x", {8}), lr = b.input("lr", {});
  int sum = b.buffer("sum", 4), loss = b.output("loss", {});
  int copied = b.output("copied", {8});
  int one = b.constant(1), eight = b.constant(8);
  b.once("main", stream,
         {b.kernel("total", "total", {x}, {sum}, {eight}),
          b.kernel("loss", "add", {sum, lr}, {loss}, {one, one}),
          b.kernel("copied", "copy", {x}, {copied}, {eight})});
  return b.plan;
}

std::shared_ptr<const Program>
makeProgram(const Plan &plan, const std::vector<std::string> &ignored = {}) {
  std::string path = temporaryPath("model.weir");
  auto writer = ArtifactWriter::create(path);
  EXPECT_TRUE(writer.ok());
  Status added = writer->addPlan(plan);
  EXPECT_TRUE(added.ok()) << added.message();
  EXPECT_TRUE(
      writer->addKernels(test::kernelObject(), hostArchitecture(), {}).ok());
  writer->setIgnoredWeights(ignored);
  EXPECT_TRUE(writer->finish().ok());
  auto runtime = Runtime::create({2});
  EXPECT_TRUE(runtime.ok());
  auto program = Program::load(*runtime, path);
  EXPECT_TRUE(program.ok()) << program.status().message();
  return *program;
}

std::unique_ptr<Session> makeSession(const Layout &layout,
                                     const SessionOptions &options = {}) {
  auto session = Session::create(makeProgram(modelPlan(layout)), options);
  EXPECT_TRUE(session.ok()) << session.status().message();
  return *std::move(session);
}

std::vector<float> readFloats(const Session &session, const std::string &name,
                              size_t count) {
  std::vector<float> data(count);
  Status status = session.readVariable(name, data.data(), count * 4);
  EXPECT_TRUE(status.ok()) << status.message();
  return data;
}

std::vector<float> counting(size_t count, float first) {
  std::vector<float> data(count);
  for (size_t i = 0; i < count; ++i)
    data[i] = first + static_cast<float>(i);
  return data;
}

/// Writes a safetensors file from (name, type, shape, bytes).
struct Stored {
  TensorSpec spec;
  std::vector<uint8_t> bytes;
};
template <typename T>
Stored stored(const std::string &name, StoredType type,
              std::vector<int64_t> shape, const std::vector<T> &data) {
  Stored result{{name, type, std::move(shape)}, {}};
  result.bytes.resize(data.size() * sizeof(T));
  std::memcpy(result.bytes.data(), data.data(), result.bytes.size());
  return result;
}
std::string writeCheckpoint(const std::vector<Stored> &tensors) {
  std::string path = temporaryPath("weights.safetensors");
  std::vector<TensorSpec> specs;
  for (const Stored &tensor : tensors)
    specs.push_back(tensor.spec);
  auto writer = SafetensorsWriter::create(path, specs);
  EXPECT_TRUE(writer.ok());
  for (const Stored &tensor : tensors)
    EXPECT_TRUE(
        writer
            ->write(tensor.spec.name, tensor.bytes.data(), tensor.bytes.size())
            .ok());
  EXPECT_TRUE(writer->finish().ok());
  return path;
}

} // namespace

TEST(Session, InitialValuesAreTheSameUnderEveryLayout) {
  SessionOptions options;
  options.seed = 5;
  for (const Layout &layout : layouts) {
    auto session = makeSession(layout, options);
    std::vector<float> w = readFloats(*session, "model::w", 30);
    for (size_t i = 0; i < w.size(); ++i)
      ASSERT_EQ(w[i], static_cast<float>(
                          1 + 0.5 * normal(siteKey("model::w"), 5, i)));
    std::vector<float> b = readFloats(*session, "model::b", 7);
    for (size_t i = 0; i < b.size(); ++i)
      ASSERT_EQ(b[i], static_cast<float>(
                          -1 + 2 * static_cast<double>(uniform01(randomWord(
                                       siteKey("model::b"), 5, 0, i)))));
    EXPECT_EQ(readFloats(*session, "optimizer::m", 7),
              std::vector<float>(7, 3));
    int64_t steps = 0;
    ASSERT_TRUE(session->readVariable("optimizer::steps", &steps, 8).ok());
    EXPECT_EQ(steps, 41);
    // Another seed, other values; the same again, the same.
    ASSERT_TRUE(session->initialize(6).ok());
    EXPECT_NE(readFloats(*session, "model::w", 30), w);
    ASSERT_TRUE(session->initialize(5).ok());
    EXPECT_EQ(readFloats(*session, "model::w", 30), w);
  }
}

TEST(Session, VariablesScatterToAllRanksAndGatherBack) {
  for (const Layout &layout : layouts) {
    auto session = makeSession(layout);
    std::vector<float> w = counting(30, 100);
    ASSERT_TRUE(session->writeVariable("model::w", w.data(), 120).ok());
    EXPECT_EQ(readFloats(*session, "model::w", 30), w);
  }
  auto session = makeSession(layouts[0]);
  float value = 0;
  Status size = session->readVariable("model::w", &value, 4);
  EXPECT_NE(size.message().find("120 bytes"), std::string::npos);
  Status name = session->readVariable("model::v", &value, 4);
  EXPECT_NE(name.message().find("did you mean 'model::w'"), std::string::npos)
      << name.message();
}

TEST(Session, WeightsRoundTripThroughEveryLayout) {
  std::vector<float> w = counting(30, 0.25f), b = counting(7, -3);
  std::string original =
      writeCheckpoint({stored("transformer.w", StoredType::F32, {30}, w),
                       stored("b", StoredType::F32, {7}, b)});
  std::string bytes = *readFile(original);
  for (const Layout &layout : layouts) {
    auto session = makeSession(layout);
    Status loaded = session->loadWeights(original);
    ASSERT_TRUE(loaded.ok()) << loaded.message();
    EXPECT_EQ(readFloats(*session, "model::w", 30), w);
    EXPECT_EQ(readFloats(*session, "model::b", 7), b);
    // Optimizer state is not part of it.
    EXPECT_EQ(readFloats(*session, "optimizer::m", 7),
              std::vector<float>(7, 3));
    std::string path = temporaryPath("saved.safetensors");
    ASSERT_TRUE(session->saveWeights(path).ok());
    EXPECT_EQ(*readFile(path), bytes);
  }
}

TEST(Session, HalfPrecisionWeightsAreWidened) {
  std::vector<uint16_t> w(30), b(7);
  for (size_t i = 0; i < w.size(); ++i)
    w[i] = floatToBfloat16(static_cast<float>(i) / 4);
  for (size_t i = 0; i < b.size(); ++i)
    b[i] = static_cast<uint16_t>(0x3C00 + i); // from 1 on, in f16
  std::string path =
      writeCheckpoint({stored("transformer.w", StoredType::BF16, {30}, w),
                       stored("b", StoredType::F16, {7}, b)});
  auto session = makeSession(layouts[2]);
  ASSERT_TRUE(session->loadWeights(path).ok());
  EXPECT_EQ(readFloats(*session, "model::w", 30)[5], 1.25f);
  EXPECT_EQ(readFloats(*session, "model::b", 7)[3], halfToFloat(0x3C03));
}

TEST(Session, EverythingWrongWithACheckpointIsSaidAtOnce) {
  std::string path = writeCheckpoint(
      {stored("b", StoredType::F32, {7, 1}, counting(7, 0)),
       stored("h.0.attn.bias", StoredType::F32, {1}, counting(1, 0)),
       stored("lm_head", StoredType::F32, {2}, counting(2, 0))});
  auto program = makeProgram(modelPlan(layouts[0]), {"*.attn.bias"});
  auto session = *Session::create(program);
  Status status = session->loadWeights(path);
  EXPECT_EQ(status.code(), StatusCode::InvalidInput);
  for (const char *part :
       {"'transformer.w' is missing", "'b' is F32[7,1], expected shape [7]",
        "'lm_head' is not part of the model"})
    EXPECT_NE(status.message().find(part), std::string::npos)
        << part << " in " << status.message();
  EXPECT_EQ(status.message().find("attn.bias"), std::string::npos);

  // Integers do not become f32; extra tensors may be allowed.
  path = writeCheckpoint(
      {stored("transformer.w", StoredType::I32, {30}, counting(30, 0)),
       stored("b", StoredType::F32, {7}, counting(7, 0)),
       stored("lm_head", StoredType::F32, {2}, counting(2, 0))});
  LoadOptions options;
  options.allowExtra = true;
  status = session->loadWeights(path, options);
  EXPECT_NE(status.message().find("I32[30], which cannot become f32"),
            std::string::npos)
      << status.message();
  EXPECT_EQ(status.message().find("lm_head"), std::string::npos);
  EXPECT_FALSE(session->loadWeights(temporaryPath("absent")).ok());
}

TEST(Session, StateMovesBetweenLayouts) {
  auto from = makeSession(layouts[3]);
  std::vector<float> m = counting(7, 50), w = counting(30, 9);
  int64_t steps = int64_t(1) << 40;
  ASSERT_TRUE(from->writeVariable("optimizer::m", m.data(), 28).ok());
  ASSERT_TRUE(from->writeVariable("model::w", w.data(), 120).ok());
  ASSERT_TRUE(from->writeVariable("optimizer::steps", &steps, 8).ok());
  std::string path = temporaryPath("state.safetensors");
  ASSERT_TRUE(from->saveState(path).ok());
  for (const Layout &layout : layouts) {
    auto to = makeSession(layout);
    Status loaded = to->loadState(path);
    ASSERT_TRUE(loaded.ok()) << loaded.message();
    EXPECT_EQ(readFloats(*to, "optimizer::m", 7), m);
    EXPECT_EQ(readFloats(*to, "model::w", 30), w);
    int64_t read = 0;
    ASSERT_TRUE(to->readVariable("optimizer::steps", &read, 8).ok());
    EXPECT_EQ(read, steps);
  }
}

TEST(Session, RunsWithBoundAndUnboundTensors) {
  for (const Layout &layout : layouts) {
    SessionOptions options;
    options.checked = true;
    auto session = makeSession(layout, options);
    Status early = session->run("step");
    EXPECT_EQ(early.code(), StatusCode::InvalidInput);
    EXPECT_NE(early.message().find("inputs 'x', 'lr' have no value"),
              std::string::npos)
        << early.message();

    std::vector<float> x = counting(8, 1); // sum 36
    ASSERT_TRUE(session->bindInput("step", "x", x.data(), 32).ok());
    ASSERT_TRUE(session->setScalar("step", "lr", 0.5).ok());
    Status status = session->run("step");
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(*session->readScalar("step", "loss"), 36.5);
    std::vector<float> copied(8);
    ASSERT_TRUE(session->readOutput("step", "copied", copied.data(), 32).ok());
    EXPECT_EQ(copied, x);

    // The caller's memory, changed in place and bound to an output.
    x[0] = 2;
    std::vector<float> mine(8, -1);
    ASSERT_TRUE(session->bindOutput("step", "copied", mine.data(), 32).ok());
    ASSERT_TRUE(session->setScalar("step", "lr", 1).ok());
    ASSERT_TRUE(session->run("step").ok());
    EXPECT_EQ(mine, x);
    EXPECT_EQ(*session->readScalar("step", "loss"), 38);
  }
}

TEST(Session, MisuseIsExplained) {
  auto session = makeSession(layouts[0]);
  float data[8] = {};
  auto expect = [](const Status &status, const char *text) {
    EXPECT_EQ(status.code(), StatusCode::InvalidInput);
    EXPECT_NE(status.message().find(text), std::string::npos)
        << status.message();
  };
  expect(session->run("evaluate"), "its entries are 'step'");
  expect(session->bindInput("step", "y", data, 32), "it has 'x', 'lr'");
  expect(session->bindInput("step", "x", data, 28),
         "expects 32 bytes (f32[8]), got 28");
  expect(session->bindInput("step", "x", nullptr, 32), "no memory");
  expect(session->bindOutput("step", "copied", data, 4), "expects 32 bytes");
  expect(session->setScalar("step", "x", 1), "bind memory to it");
  expect(session->readScalar("step", "loss").status(), "has not run yet");
  expect(session->readScalar("step", "copied").status(), "is a tensor");
  expect(session->writeTrace("step", temporaryPath("trace.json")),
         "without tracing");
  EXPECT_EQ(Runtime::create({-1}).status().code(), StatusCode::CommandLine);
}

TEST(Session, CancellingSpendsIt) {
  auto session = makeSession(layouts[1]);
  session->cancel();
  EXPECT_EQ(session->run("step").code(), StatusCode::Stopped);
  EXPECT_EQ(session->initialize(1).code(), StatusCode::Stopped);
}

TEST(Session, SessionsOfOneProgramAreIndependent) {
  auto program = makeProgram(modelPlan(layouts[2]));
  auto first = *Session::create(program), second = *Session::create(program);
  program.reset(); // sessions hold it
  std::vector<float> x = counting(8, 0), y = counting(8, 10);
  ASSERT_TRUE(first->bindInput("step", "x", x.data(), 32).ok());
  ASSERT_TRUE(second->bindInput("step", "x", y.data(), 32).ok());
  for (auto *session : {&first, &second}) {
    ASSERT_TRUE((*session)->setScalar("step", "lr", 0).ok());
    ASSERT_TRUE((*session)->run("step").ok());
  }
  EXPECT_EQ(*first->readScalar("step", "loss"), 28);
  EXPECT_EQ(*second->readScalar("step", "loss"), 108);
}

TEST(Session, ReportsMemoryAndTimes) {
  SessionOptions options;
  options.traced = true;
  options.checked = true;
  auto session = makeSession(layouts[2], options);
  std::vector<float> x = counting(8, 1);
  ASSERT_TRUE(session->bindInput("step", "x", x.data(), 32).ok());
  ASSERT_TRUE(session->setScalar("step", "lr", 0).ok());
  ASSERT_TRUE(session->run("step").ok());
  MemoryReport report = session->memoryReport();
  ASSERT_EQ(report.segments.size(), 2u);
  int64_t bytes = 0;
  for (const auto &segment : report.segments) {
    EXPECT_LE(segment.plannedEnd, segment.bytes);
    EXPECT_LE(segment.touchedEnd, segment.plannedEnd);
    bytes += segment.bytes;
  }
  EXPECT_EQ(report.planBytes, 4 * bytes);

  std::string path = temporaryPath("trace.json");
  ASSERT_TRUE(session->writeTrace("step", path).ok());
  auto trace = parseJson(*readFile(path), "trace");
  ASSERT_TRUE(trace.ok()) << trace.status().message();
  const Json &events = trace->value().at("traceEvents");
  // 4 ranks with 2 names and 3 actions each.
  EXPECT_EQ(events.size(), 20u);
  int spans = 0;
  for (const Json &event : events)
    if (event.at("ph") == "X") {
      ++spans;
      EXPECT_TRUE(event.at("dur").is_number());
      EXPECT_EQ(event.at("cat"), "kernel");
    }
  EXPECT_EQ(spans, 12);
}
