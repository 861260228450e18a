// SPDX-License-Identifier: Apache-2.0
#include "runtime/base/Format.h"
#include "runtime/base/Json.h"
#include "runtime/base/Strings.h"
#include "runtime/io/Job.h"
#include "runtime/io/JobSchema.h"

#include <functional>

namespace weir {

using namespace job;

namespace {

/// Writes the values of a job. What is unset (an empty text, an absent
/// optional, an integer below its range) and sections without members are left
/// out.
class JobWriter {
public:
  explicit JobWriter(const Job &job) : job(job) {}

  std::string take() {
    for (; opened > 0; --opened)
      out.endObject();
    return out.take();
  }
  void begin() {
    out.beginObject();
    opened = 1;
  }

  void text(const char *key, const std::string &field, Need, const char *) {
    if (!field.empty())
      named(key).value(field);
  }
  void path(const char *key, const std::string &field, const char *,
            Need = Optional) {
    text(key, field, Optional, nullptr);
  }
  void word(const char *key, const std::string &field,
            const std::vector<std::string> &, const char *) {
    text(key, field, Optional, nullptr);
  }
  template <typename E, size_t N>
  void choice(const char *key, E field, const Choice<E> (&choices)[N], Need,
              const char *) {
    for (const Choice<E> &choice : choices)
      if (choice.value == field)
        named(key).value(choice.name);
  }
  void integer(const char *key, int64_t field, int64_t low, int64_t high, Need,
               const char *) {
    if (field >= low && field <= high)
      named(key).value(field);
  }
  void number(const char *key, double field, Range, const char *,
              Standard standard = Fixed) {
    if (standard == Fixed || field != 0)
      named(key).value(field);
  }
  void number(const char *key, const std::optional<double> &field, Range,
              const char *) {
    if (field)
      named(key).value(*field);
  }
  void numbers(const char *key, const std::vector<double> &field, size_t, Range,
               const char *) {
    named(key).list(field);
  }
  void flag(const char *key, bool field, const char *) {
    named(key).value(field);
  }
  void flag(const char *key, const std::optional<bool> &field, const char *) {
    if (field)
      named(key).value(*field);
  }
  void section(const char *key, Need, const char *,
               const std::function<void()> &body) {
    std::string name = key;
    if ((name == "config" && job.model.kind != ModelKind::Family) ||
        (name == "data" && job.data.kind == DataKind::None))
      return;
    pending.push_back(name);
    size_t depth = pending.size(), before = opened;
    body();
    // Still pending: nothing was written in it.
    if (opened == before && pending.size() == depth) {
      pending.pop_back();
      return;
    }
    out.endObject();
    --opened;
  }
  template <typename T, typename Body>
  void list(const char *key, std::vector<T> &items, const char *,
            const Body &body) {
    if (items.empty())
      return;
    named(key).beginArray();
    for (T &item : items) {
      out.beginObject();
      body(item);
      out.endObject();
    }
    out.endArray();
  }
  void map(const char *key,
           const std::vector<std::pair<std::string, std::string>> &items,
           const std::vector<std::string> &, const char *) {
    if (items.empty())
      return;
    named(key).beginObject();
    for (const auto &[name, value] : items)
      out.member(name, value);
    out.endObject();
  }
  void rest(const char *,
            const std::vector<std::pair<std::string, std::string>> &items,
            const char *) {
    for (const auto &[name, value] : items)
      out.member(name, value);
  }

private:
  /// Opens the sections that were waiting for a first member.
  JsonWriter &named(const char *key) {
    for (const std::string &section : pending) {
      out.key(section).beginObject();
      ++opened;
    }
    pending.clear();
    return out.key(key);
  }

  const Job &job;
  JsonWriter out;
  std::vector<std::string> pending;
  size_t opened = 0;
};

/// Collects a table row for each key.
class JobDocumenter {
public:
  struct Section {
    std::string title;
    std::string text;
    std::string rows;
  };
  std::vector<Section> sections = {{"Top level", "", ""}};

  void text(const char *key, const std::string &field, Need need,
            const char *doc) {
    row(key, "text", quoted(field), need, doc);
  }
  void path(const char *key, const std::string &field, const char *doc,
            Need need = Optional) {
    row(key, "path", quoted(field), need, doc);
  }
  void word(const char *key, const std::string &field,
            const std::vector<std::string> &words, const char *doc) {
    row(key, oneOf(words), quoted(field), Optional, doc);
  }
  template <typename E, size_t N>
  void choice(const char *key, E field, const Choice<E> (&choices)[N],
              Need need, const char *doc) {
    std::vector<std::string> words;
    std::string standard;
    for (const Choice<E> &choice : choices) {
      words.push_back(choice.name);
      if (choice.value == field)
        standard = quoted(choice.name);
    }
    row(key, oneOf(words), standard, need, doc);
  }
  void integer(const char *key, int64_t field, int64_t low, int64_t high,
               Need need, const char *doc) {
    row(key, "integer, " + std::to_string(low) + " to " + std::to_string(high),
        field >= low ? "`" + std::to_string(field) + "`" : "", need, doc);
  }
  void number(const char *key, double field, Range range, const char *doc,
              Standard standard = Fixed) {
    row(key, "number" + rangeText(range),
        standard == Derived ? "" : "`" + formatDouble(field) + "`", Optional,
        doc);
  }
  void number(const char *key, const std::optional<double> &, Range range,
              const char *doc) {
    row(key, "number" + rangeText(range), "", Optional, doc);
  }
  void numbers(const char *key, const std::vector<double> &field, size_t count,
               Range range, const char *doc) {
    JsonWriter standard(1);
    standard.list(field);
    row(key, std::to_string(count) + " numbers" + rangeText(range),
        "`" + std::string(trim(standard.take())) + "`", Optional, doc);
  }
  void flag(const char *key, bool field, const char *doc) {
    row(key, "true or false", field ? "`true`" : "`false`", Optional, doc);
  }
  void flag(const char *key, const std::optional<bool> &, const char *doc) {
    row(key, "true or false", "", Optional, doc);
  }
  void section(const char *key, Need need, const char *doc,
               const std::function<void()> &body) {
    enter(key, need == Required ? std::string("Required. ") + doc : doc, body);
  }
  template <typename T, typename Body>
  void list(const char *key, std::vector<T> &, const char *doc,
            const Body &body) {
    T item;
    enter(std::string(key) + "[]", doc, [&] { body(item); });
  }
  void map(const char *key,
           const std::vector<std::pair<std::string, std::string>> &,
           const std::vector<std::string> &words, const char *doc) {
    row((std::string(key) + ".AXIS").c_str(), oneOf(words), "", Optional, doc);
  }
  void rest(const char *key,
            const std::vector<std::pair<std::string, std::string>> &,
            const char *doc) {
    row(key, "text", "", Optional, doc);
  }

private:
  static std::string quoted(const std::string &text) {
    return text.empty() ? "" : "`" + text + "`";
  }
  static std::string oneOf(const std::vector<std::string> &words) {
    return "`" + join(words, "`, `") + "`";
  }
  static std::string rangeText(Range range) {
    std::string text;
    if (range.low > -infinity)
      text += (range.lowOpen ? ", above " : ", at least ") +
              formatDouble(range.low);
    if (range.high < infinity)
      text += (range.highOpen ? ", below " : ", at most ") +
              formatDouble(range.high);
    return text;
  }
  void enter(const std::string &key, const std::string &doc,
             const std::function<void()> &body) {
    std::string outer = prefix;
    prefix += prefix.empty() ? key : "." + key;
    sections.push_back({"`" + prefix + "`", doc, ""});
    size_t outerSection = current;
    current = sections.size() - 1;
    body();
    current = outerSection;
    prefix = outer;
  }
  void row(const char *key, const std::string &type,
           const std::string &standard, Need need, const char *doc) {
    std::string path = prefix.empty() ? key : prefix + "." + key;
    sections[current].rows += "| `" + path + "` | " + type + " | " +
                              (need == Required ? "required" : standard) +
                              " | " + doc + " |\n";
  }

  std::string prefix;
  size_t current = 0;
};

const char introduction[] =
    R"(<!-- Generated from runtime/io/JobSchema.h; do not edit. -->
# Job file

A job file says what is trained, on what and how. It is JSON in which `//` and
`/* */` comments are allowed. Only what the tables call required must be there;
a key set to `null` counts as absent. An unknown key, a value of the wrong kind
or out of range is an error; all errors of a file are printed at once, and the
exit code is 3.

* Relative paths, those given with `--set` included, count from the folder of
  the job file.
* `--set optimizer.lr=3e-5` on the command line sets any key. The value is JSON
  where it reads as JSON and text otherwise (`--set mesh=dp=4`); list items go
  by position (`--set optimizer.groups.0.lr_scale=0.1`); `null` brings the
  default back. Errors in such values end with exit code 2.
* The job with every value in force is written beside the metrics and each
  checkpoint; it is a job file itself.

```json
)";

} // namespace

std::string jobExample() {
  return R"({
  // A byte-level GPT-2 of about a million parameters on four devices.
  "name": "fortunes",
  "model": {
    "family": "gpt2",
    "config": {"layers": 4, "width": 144, "heads": 4, "context": 128}
  },
  "data": {
    "kind": "text",
    "path": "/usr/share/games/fortunes",
    "separator": "%",
    "validation": {"every": 20}
  },
  "batch": 16,
  "sequence": 128,
  "mesh": "dp=2,tp=2",
  "steps": 2000,
  "optimizer": {"lr": 3e-3, "betas": [0.9, 0.95], "weight_decay": 0.1},
  "clip": 1.0,
  "schedule": {"kind": "cosine", "warmup": 100, "min_ratio": 0.1},
  "evaluate": {"every": 200, "batches": 20},
  "sample": {"prompt": "The ", "tokens": 200, "temperature": 0.8}
}
)";
}

std::string writeJob(const Job &job) {
  Job copy = job;
  Raw raw;
  raw.mesh = formatMesh(job.mesh);
  raw.betas = {job.optimizer.beta1, job.optimizer.beta2};
  if (job.data.hasValidation())
    raw.evaluateData = "validation";
  for (size_t i = 0; i < job.mesh.size() && i < job.strategies.size(); ++i)
    raw.strategy.emplace_back(job.mesh[i].name,
                              strategyName(job.strategies[i]));
  JobWriter writer(job);
  writer.begin();
  visitJob(writer, copy, raw);
  return writer.take();
}

std::string jobReference() {
  Job job;
  Raw raw;
  raw.betas = {job.optimizer.beta1, job.optimizer.beta2};
  raw.evaluateData = "validation";
  JobDocumenter documenter;
  visitJob(documenter, job, raw);
  std::string page = introduction + jobExample() + "```\n";
  for (const JobDocumenter::Section &section : documenter.sections) {
    page += "\n## " + section.title + "\n\n";
    if (!section.text.empty())
      page += section.text + "\n\n";
    if (!section.rows.empty())
      page += "| key | value | default | meaning |\n|---|---|---|---|\n" +
              section.rows;
  }
  return page;
}

} // namespace weir
