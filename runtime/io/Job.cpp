// SPDX-License-Identifier: Apache-2.0
#include "runtime/io/Job.h"
#include "runtime/base/Json.h"
#include "runtime/base/Strings.h"
#include "runtime/io/File.h"
#include "runtime/io/JobReader.h"
#include "runtime/io/JobSchema.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace weir {

using namespace job;

namespace {

/// Puts one `key.path=value` into the document.
Status applyOverride(Json &document, const std::string &text,
                     Overrides &overrides) {
  auto fail = [&](const std::string &reason) {
    return Status(StatusCode::CommandLine,
                  "--set " + printable(text) + ": " + reason);
  };
  size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    return fail("expects KEY.PATH=VALUE");
  std::string raw = text.substr(equals + 1);
  std::vector<std::string> parts = split(text.substr(0, equals), '.');
  if (parts.size() > 16)
    return fail("the key has more than 16 parts");
  Json *node = &document;
  std::string path, made;
  for (const std::string &part : parts) {
    if (part.empty())
      return fail("the key has an empty part");
    // What is not there yet becomes a list where its first item is named.
    if (node->is_null())
      *node = part == "0" ? Json::array() : Json::object();
    if (node->is_array()) {
      std::optional<int64_t> position = parseInteger(part);
      int64_t size = static_cast<int64_t>(node->size());
      if (!position || *position < 0 || *position > size)
        return fail(path + " is an array of " + std::to_string(size) +
                    ", expects a position from 0 to " + std::to_string(size));
      path = jsonPath(path, static_cast<size_t>(*position));
      if (*position == size) {
        node->push_back(nullptr);
        if (made.empty())
          made = path;
      }
      node = &(*node)[static_cast<size_t>(*position)];
      continue;
    }
    if (!node->is_object())
      return fail(path + " is not an object");
    path = jsonPath(path, part);
    if (!node->contains(part) && made.empty())
      made = path;
    node = &(*node)[part];
  }
  // What is not JSON is a text, so that no quotes are needed: mesh=dp=2.
  Json value = Json(raw);
  if (StatusOr<JsonView> parsed = parseJson(raw, "value"); parsed.ok())
    value = parsed->value();
  *node = std::move(value);
  overrides[path] = raw;
  if (!made.empty())
    overrides.emplace(made, raw);
  return okStatus();
}

/// Whether `path` is, or lies in, something that an override made.
bool fromOverride(const std::string &path, const Overrides &overrides) {
  for (const auto &entry : overrides) {
    const std::string &made = entry.first;
    if (startsWith(path, made) &&
        (path.size() == made.size() || path[made.size()] == '.' ||
         path[made.size()] == '['))
      return true;
  }
  return false;
}

bool isLayoutText(std::string_view text) {
  if (text == "B")
    return true;
  if (!startsWith(text, "S(") || !endsWith(text, ")"))
    return false;
  std::string_view inner = text.substr(2, text.size() - 3);
  size_t comma = inner.find(',');
  std::optional<int64_t> dimension = parseInteger(trim(inner.substr(0, comma)));
  if (!dimension || *dimension < 0 || *dimension > 15)
    return false;
  if (comma == std::string_view::npos)
    return true;
  std::string_view unit = trim(inner.substr(comma + 1));
  if (!startsWith(unit, "unit="))
    return false;
  std::optional<int64_t> size = parseInteger(unit.substr(5));
  return size && *size >= 1;
}

/// Fills in what depends on several keys and checks what does.
class Resolver {
public:
  Resolver(Job &job, Raw &raw, const JsonView &root, const JobOptions &options,
           std::vector<Problem> &problems)
      : job(job), raw(raw), root(root), options(options), problems(problems) {}

  void run(const std::string &path) {
    if (job.name.empty()) {
      job.name = fileName(path);
      size_t dot = job.name.rfind('.');
      if (dot != std::string::npos && dot != 0)
        job.name.resize(dot);
    }
    model();
    data();
    mesh();
    layouts();
    training();
    if (job.logFolder.empty()) {
      // The name is free text; a slash in it would make folders of its own.
      std::string name = job.name;
      std::replace(name.begin(), name.end(), '/', '-');
      if (name == "." || name == "..")
        name = "run";
      job.logFolder =
          resolvePath(parentPath(absolutePath(path)), "runs/" + name);
    }
  }

private:
  void problem(const char *path, std::string text) {
    problems.push_back({path, std::move(text)});
  }
  bool given(const char *section, const char *key) const {
    std::optional<JsonView> view = root.find(section);
    return view && view->find(key).has_value();
  }

  void model() {
    JobModel &m = job.model;
    if (!root.find("model"))
      return;
    int kinds = !m.folder.empty() + !m.family.empty() + !m.mlir.empty();
    if (kinds != 1) {
      // A misspelt family has been reported already.
      if (kinds > 1 || !given("model", "family"))
        problem("model", kinds == 0
                             ? "needs one of folder, family and mlir"
                             : "has more than one of folder, family and mlir");
      return;
    }
    m.kind = !m.folder.empty()   ? ModelKind::Folder
             : !m.family.empty() ? ModelKind::Family
                                 : ModelKind::Mlir;
    if (m.kind != ModelKind::Family) {
      if (given("model", "config"))
        problem("model.config", "belongs to family only");
      return;
    }
    ModelConfig &c = m.config;
    if (!given("model", "config")) {
      problem("model.config", "is required with family");
      return;
    }
    bool gpt2 = m.family == "gpt2";
    if (c.kvHeads == 0)
      c.kvHeads = c.heads;
    if (c.heads > 0 && c.heads % c.kvHeads != 0)
      problem("model.config.kv_heads", "expects a divisor of heads (" +
                                           std::to_string(c.heads) + "), got " +
                                           std::to_string(c.kvHeads));
    if (gpt2 && c.kvHeads != c.heads)
      problem("model.config.kv_heads", "gpt2 has as many as heads");
    if (c.headDim == 0 && c.heads > 0) {
      if (c.width % c.heads != 0)
        problem("model.config.width", "expects a multiple of heads (" +
                                          std::to_string(c.heads) + "), got " +
                                          std::to_string(c.width));
      c.headDim = std::max<int64_t>(1, c.width / c.heads);
    }
    if (gpt2 && c.heads > 0 && c.width % c.heads == 0 &&
        c.headDim * c.heads != c.width)
      problem("model.config.head_dim", "gpt2 has width / heads");
    if (!gpt2 && c.headDim % 2 != 0)
      problem("model.config.head_dim",
              "expects an even number for the rotary embedding, got " +
                  std::to_string(c.headDim));
    if (c.intermediate == 0) {
      if (!gpt2)
        problem("model.config.intermediate", "is required by llama");
      c.intermediate = 4 * c.width;
    }
    if (c.vocab == 0) {
      if (job.data.kind != DataKind::Text)
        problem("model.config.vocab", "is required unless data.kind is text");
      c.vocab = 256;
    }
    if (c.context == 0)
      c.context = job.sequence;
    if (c.context < job.sequence)
      problem("sequence", "expects at most the model's context of " +
                              std::to_string(c.context) + ", got " +
                              std::to_string(job.sequence));
    if (c.activation.empty())
      c.activation = gpt2 ? "gelu_new" : "silu";
    if (!c.tie)
      c.tie = gpt2;
    if (c.normEpsilon == 0)
      c.normEpsilon = gpt2 ? 1e-5 : 1e-6;
    if (c.ropeTheta == 0)
      c.ropeTheta = gpt2 ? 0 : 10000;
    else if (gpt2)
      problem("model.config.rope_theta", "belongs to llama only");
    if (gpt2 && (c.attentionBias || c.mlpBias))
      problem("model.config", "attention_bias and mlp_bias belong to llama "
                              "only; gpt2 always has biases");
    if (!gpt2 && c.dropout != 0)
      problem("model.config.dropout", "belongs to gpt2 only");
  }

  void data() {
    JobData &d = job.data;
    if (!root.find("data")) {
      if (options.needsData)
        problem("data", "is required");
      return;
    }
    if (d.kind == DataKind::None)
      return;
    bool text = d.kind == DataKind::Text;
    if (!text && !d.separator.empty())
      problem("data.separator", "belongs to text only");
    if (d.separator.find('\n') != std::string::npos)
      problem("data.separator", "expects one line without its end");
    if (text && d.dtype != TokenType::Auto)
      problem("data.dtype", "belongs to bin only");
    if (d.validationEvery > 0 && !d.validationPath.empty())
      problem("data.validation", "has both every and path");
    if (d.validationEvery > 0 && d.separator.empty())
      problem("data.validation.every",
              text ? "needs data.separator, which says what an entry is"
                   : "belongs to text only; give data.validation.path");
    if (d.vocab == 0 && text)
      d.vocab = 256;
    if (text && d.vocab < 256)
      problem("data.vocab",
              "expects at least 256 for text, got " + std::to_string(d.vocab));
    int64_t vocab = job.model.config.vocab;
    if (vocab > 0 && d.vocab > vocab)
      problem("data.vocab", "expects at most the model's vocabulary of " +
                                std::to_string(vocab) + ", got " +
                                std::to_string(d.vocab));
  }

  void mesh() {
    StatusOr<std::vector<MeshAxis>> mesh = parseMesh(raw.mesh);
    if (!mesh.ok()) {
      problem("mesh", mesh.status().message());
      return;
    }
    job.mesh = *std::move(mesh);
    for (const MeshAxis &axis : job.mesh) {
      std::optional<Strategy> strategy = defaultStrategy(axis.name);
      for (const auto &[name, word] : raw.strategy)
        if (name == axis.name)
          strategy = parseStrategy(word);
      if (!strategy)
        problems.push_back(
            {jsonPath("strategy", axis.name),
             "is required, because the axis has no default; one of " +
                 join(strategyWords(), ", ")});
      job.strategies.push_back(strategy.value_or(Strategy::None));
    }
    for (const auto &entry : raw.strategy)
      if (!isAxis(entry.first))
        problems.push_back(
            {jsonPath("strategy", entry.first),
             "the mesh has no such axis" + axisHint(entry.first)});
  }

  bool isAxis(const std::string &name) const {
    for (const MeshAxis &axis : job.mesh)
      if (axis.name == name)
        return true;
    return false;
  }
  std::string axisHint(const std::string &name) const {
    std::vector<std::string> names;
    for (const MeshAxis &axis : job.mesh)
      names.push_back(axis.name);
    return suggestion(name, names);
  }

  void layouts() {
    for (size_t i = 0; i < job.layouts.size(); ++i) {
      std::string path = jsonPath("layouts", i);
      if (job.layouts[i].layouts.empty())
        problems.push_back(
            {path, "names no mesh axis; expects such as \"tp\": \"S(0)\""});
      for (const auto &[axis, text] : job.layouts[i].layouts) {
        if (!isAxis(axis))
          problems.push_back({jsonPath(path, axis),
                              "the mesh has no such axis" + axisHint(axis)});
        if (!isLayoutText(text))
          problems.push_back(
              {jsonPath(path, axis), "expects B, S(i) or S(i, unit=n), got '" +
                                         printable(text) + "'"});
      }
    }
  }

  void training() {
    if (job.batch > 0 && job.microBatches > job.batch)
      problem("micro_batches", "expects at most batch (" +
                                   std::to_string(job.batch) + "), got " +
                                   std::to_string(job.microBatches));
    if (!raw.betas.empty()) {
      job.optimizer.beta1 = raw.betas[0];
      job.optimizer.beta2 = raw.betas[1];
    }
    if (job.optimizer.kind != OptimizerKind::Sgd && job.optimizer.momentum != 0)
      problem("optimizer.momentum", "belongs to sgd only");
    // A warm-up longer than the schedule is legal: a run may be cut short
    // (`--set steps=20`), and its resolved job must read back.
    if (job.schedule.steps == 0)
      job.schedule.steps = job.steps;
    if (job.evaluate.every > 0 && job.data.kind != DataKind::None &&
        !job.data.hasValidation())
      problem("evaluate", "needs data.validation");
  }

  Job &job;
  Raw &raw;
  const JsonView &root;
  const JobOptions &options;
  std::vector<Problem> &problems;
};

} // namespace

int64_t Job::ranks() const {
  int64_t product = 1;
  for (const MeshAxis &axis : mesh)
    product *= axis.size;
  return product;
}

StatusOr<Job> parseJob(std::string_view text, const std::string &path,
                       const JobOptions &options) {
  JsonOptions json;
  json.allowComments = true;
  WEIR_ASSIGN_OR_RETURN(JsonView parsed, parseJson(text, path, json));
  if (!parsed.isObject())
    return parsed.error(std::string("expects an object, got ") + parsed.kind());
  auto document = std::make_shared<Json>(parsed.value());
  Overrides overrides;
  for (const std::string &override : options.overrides)
    WEIR_RETURN_IF_ERROR(applyOverride(*document, override, overrides));

  JsonView root(document, path);
  std::string folder = parentPath(absolutePath(path));
  Job job;
  Raw raw;
  JobReader reader(root, folder, overrides);
  visitJob(reader, job, raw);
  reader.finish();
  Resolver(job, raw, root, options, reader.problems).run(path);
  if (reader.problems.empty())
    return job;

  constexpr size_t most = 50;
  bool allOverrides = true;
  std::vector<std::string> lines;
  for (const Problem &problem : reader.problems) {
    if (lines.size() == most) {
      lines.push_back(path + ": and more");
      break;
    }
    bool ours = fromOverride(problem.path, overrides);
    allOverrides &= ours;
    std::string line =
        (ours ? "--set " : path + ": ") + problem.path + ": " + problem.text;
    // A key that is both required and wrong in a second way is told once.
    if (std::find(lines.begin(), lines.end(), line) == lines.end())
      lines.push_back(std::move(line));
  }
  return Status(allOverrides ? StatusCode::CommandLine
                             : StatusCode::InvalidInput,
                join(lines, "\n"));
}

StatusOr<Job> readJob(const std::string &path, const JobOptions &options) {
  WEIR_ASSIGN_OR_RETURN(std::string text, readFile(path));
  return parseJob(text, path, options);
}

StatusOr<std::vector<MeshAxis>> parseMesh(std::string_view text) {
  auto fail = [&](const std::string &reason) {
    return invalidInput("mesh '" + printable(text) + "': " + reason);
  };
  constexpr int64_t maxDevices = 1 << 20;
  std::vector<MeshAxis> mesh;
  int64_t product = 1;
  if (trim(text).empty())
    return mesh;
  for (const std::string &part : split(text, ',')) {
    size_t equals = part.find('=');
    if (equals == std::string::npos)
      return fail("expects name=size, such as dp=2,tp=2");
    MeshAxis axis;
    axis.name = trim(std::string_view(part).substr(0, equals));
    std::string_view size = trim(std::string_view(part).substr(equals + 1));
    bool legal = !axis.name.empty() && axis.name.size() <= 32 &&
                 !(axis.name[0] >= '0' && axis.name[0] <= '9');
    for (char c : axis.name)
      legal &= (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               (c >= '0' && c <= '9') || c == '_';
    if (!legal)
      return fail("expects an axis name of letters, digits and '_', got '" +
                  printable(axis.name) + "'");
    std::optional<int64_t> number = parseInteger(size);
    if (!number || *number < 1 || *number > maxDevices)
      return fail("expects a size from 1 to 1048576 for axis '" + axis.name +
                  "', got '" + printable(size) + "'");
    axis.size = *number;
    product *= axis.size;
    if (product > maxDevices)
      return fail("expects at most 1048576 devices");
    for (const MeshAxis &other : mesh)
      if (other.name == axis.name)
        return fail("axis '" + axis.name + "' is there twice");
    mesh.push_back(std::move(axis));
  }
  return mesh;
}

std::string formatMesh(const std::vector<MeshAxis> &mesh) {
  std::vector<std::string> parts;
  for (const MeshAxis &axis : mesh)
    parts.push_back(axis.name + "=" + std::to_string(axis.size));
  return join(parts, ",");
}

} // namespace weir
