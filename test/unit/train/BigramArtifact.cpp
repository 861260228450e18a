// SPDX-License-Identifier: Apache-2.0
#include "test/unit/train/BigramArtifact.h"
#include "runtime/base/CpuFeatures.h"
#include "runtime/io/File.h"
#include "runtime/plan/Artifact.h"

namespace weir {
namespace test {

using namespace plan;

namespace {

class Builder {
public:
  explicit Builder(const BigramOptions &options) : o(options) {
    if (o.ranks > 1)
      plan.mesh.push_back({"dp", o.ranks, false});
    tableBytes = aligned(o.vocab * o.vocab * 4);
    plan.segments = {{"parameters", Segment::Kind::Parameters, tableBytes},
                     {"step", Segment::Kind::Step, 0}};
    Variable table;
    table.name = "table";
    table.layout.dims = {{o.vocab, o.vocab, {}}, {o.vocab, o.vocab, {}}};
    table.init = {Initializer::Kind::Normal, 0, 0.02};
    table.storedName = "bigram.table";
    table.storedShape = {o.vocab, o.vocab};
    plan.variables = {table};
  }

  Plan build() {
    std::vector<int64_t> tokens = {o.batch, o.sequence};
    begin("train");
    input("ids", DType::I32, tokens);
    input("labels", DType::I32, tokens);
    input("group0.learning_rate", DType::F32, {});
    input("max_norm", DType::F32, {});
    int w = variable();
    int reads = static_cast<int>(entry.buffers.size());
    for (const char *name : {"loss", "count", "gradient_norm", "applied"})
      output(name, {});
    scratch(o.vocab * o.vocab * 4);
    finish("bigram_train", reads, {w});

    begin("evaluate");
    input("ids", DType::I32, tokens);
    input("labels", DType::I32, tokens);
    variable();
    output("loss_sum", {});
    output("count", {});
    finish("bigram_evaluate", 3, {});

    int64_t rows = o.forwardBatch ? o.forwardBatch : o.batch;
    begin("forward");
    entry.scalars[0].size = rows * o.sequence;
    input("ids", DType::I32, {rows, o.sequence});
    variable();
    output("logits", {rows, o.sequence, o.vocab});
    finish(o.failing ? "bigram_fail" : "bigram_forward", 2, {});
    return plan;
  }

private:
  static int64_t aligned(int64_t bytes) {
    return (bytes + bufferAlignment - 1) / bufferAlignment * bufferAlignment;
  }
  static int64_t bytesOf(const Binding &binding) {
    return elementCount(binding.shape) * byteSize(binding.dtype);
  }

  void begin(const std::string &name) {
    entry = Entry();
    entry.name = name;
    stepBytes = 0;
    entry.scalars = {{ScalarExpr::Kind::Constant, o.batch * o.sequence, {}},
                     {ScalarExpr::Kind::Constant, o.vocab, {}}};
  }
  int add(Buffer buffer) {
    if (buffer.segment == 1) {
      buffer.offset = stepBytes;
      stepBytes += aligned(buffer.bytes);
    }
    buffer.slotStride = aligned(buffer.bytes);
    entry.buffers.push_back(buffer);
    return static_cast<int>(entry.buffers.size()) - 1;
  }
  void input(const std::string &name, DType type, std::vector<int64_t> shape) {
    entry.inputs.push_back({name, type, std::move(shape)});
    Buffer buffer;
    buffer.name = name;
    buffer.bytes = bytesOf(entry.inputs.back());
    buffer.binding = static_cast<int>(entry.inputs.size()) - 1;
    add(buffer);
  }
  void output(const std::string &name, std::vector<int64_t> shape) {
    entry.outputs.push_back({name, DType::F32, std::move(shape)});
    Buffer buffer;
    buffer.name = name;
    buffer.segment = 1;
    buffer.bytes = bytesOf(entry.outputs.back());
    buffer.binding = static_cast<int>(entry.outputs.size()) - 1;
    buffer.bindingIsOutput = true;
    add(buffer);
  }
  int variable() {
    Buffer buffer;
    buffer.name = "table";
    buffer.segment = 0;
    buffer.bytes = o.vocab * o.vocab * 4;
    return add(buffer);
  }
  void scratch(int64_t bytes) {
    Buffer buffer;
    buffer.name = "gradient";
    buffer.segment = 1;
    buffer.bytes = bytes;
    add(buffer);
  }
  /// One kernel over all buffers, and `updated` once more as written ones.
  void finish(const std::string &symbol, int reads, std::vector<int> updated) {
    Action action;
    action.site = symbol;
    action.symbol = symbol;
    for (size_t i = 0; i < entry.buffers.size(); ++i)
      action.buffers.push_back({static_cast<int>(i), 0});
    for (int buffer : updated)
      action.buffers.push_back({buffer, 0});
    action.numReads = reads;
    action.scalars = {0, 1};
    entry.actions = {action};
    entry.actors = {{"step", 0, {0}, false}};
    entry.streams = {"compute"};
    entry.schedule = {{{0, -1}}};
    plan.segments[1].bytes = std::max(plan.segments[1].bytes, stepBytes);
    plan.entries.push_back(entry);
  }

  BigramOptions o;
  Plan plan;
  Entry entry;
  int64_t tableBytes = 0, stepBytes = 0;
};

} // namespace

Status writeBigramArtifact(const std::string &path,
                           const BigramOptions &options) {
  WEIR_ASSIGN_OR_RETURN(std::string object, readFile(BIGRAM_KERNELS));
  WEIR_ASSIGN_OR_RETURN(ArtifactWriter writer, ArtifactWriter::create(path));
  WEIR_RETURN_IF_ERROR(writer.addPlan(Builder(options).build()));
  std::vector<std::string> features;
  if (!options.feature.empty())
    features.push_back(options.feature);
  WEIR_RETURN_IF_ERROR(writer.addKernels(object, hostArchitecture(), features));
  WEIR_RETURN_IF_ERROR(writer.addMember(
      "model/config.json", "{\"model_type\": \"bigram\", \"vocab_size\": " +
                               std::to_string(options.vocab) + "}\n"));
  writer.setProducer("weir tests");
  return writer.finish();
}

} // namespace test
} // namespace weir
