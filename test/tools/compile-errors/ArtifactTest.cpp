// SPDX-License-Identifier: Apache-2.0
// Artifacts that the compiler wrote and somebody damaged, and data that a
// compiled job cannot use.
#include "runtime/base/Json.h"
#include "runtime/base/Sha256.h"
#include "runtime/io/Zip.h"
#include "test/tools/compile-errors/ToolRun.h"

#include <functional>
#include <map>
#include <nlohmann/json.hpp>

namespace weir::test {
namespace {

const std::vector<std::string> forward = {"--entry=forward", "--input=ids=0"};

std::vector<std::string> runArguments(const std::string &path) {
  std::vector<std::string> arguments = {path};
  arguments.insert(arguments.end(), forward.begin(), forward.end());
  return arguments;
}

class Artifact : public ::testing::Test {
protected:
  void SetUp() override {
    ASSERT_FALSE(tinyArtifact().empty());
    bytes = slurp(tinyArtifact());
    StatusOr<ZipReader> zip = ZipReader::open(tinyArtifact());
    ASSERT_OK(zip);
    for (const ZipEntry &entry : zip->entries())
      members.emplace_back(entry.name, std::string(*zip->read(entry)));
    sections = zip->entries();
  }

  /// The artifact with a changed manifest and members, digests made to fit
  /// where `repair`.
  void write(const std::string &name, bool repair,
             const std::function<void(
                 Json &, std::vector<std::pair<std::string, std::string>> &)>
                 &change) {
    auto changed = members;
    Json manifest;
    for (const auto &[member, content] : changed)
      if (member == "manifest.json")
        manifest = Json::parse(content);
    change(manifest, changed);
    StatusOr<ZipWriter> zip = ZipWriter::create(folder.path(name));
    ASSERT_OK(zip);
    if (repair)
      for (const auto &[member, content] : changed)
        if (member != "manifest.json" && manifest["members"].contains(member))
          manifest["members"][member] = sha256Hex(content);
    for (const auto &[member, content] : changed)
      ASSERT_OK(
          zip->add(member, member == "manifest.json" && !manifest.is_null()
                               ? manifest.dump()
                               : content));
    ASSERT_OK(zip->finish());
  }

  void expectBoth(const std::string &name, int code,
                  const std::vector<std::string> &parts) {
    expectEnd("weir-run", runArguments(name), folder.path(), code, parts);
    expectEnd("weir-inspect", {name}, folder.path(), code, parts);
  }

  TempFolder folder;
  std::string bytes;
  std::vector<ZipEntry> sections;
  std::vector<std::pair<std::string, std::string>> members;
};

TEST_F(Artifact, WholeOneRuns) {
  folder.write("model.weir", bytes);
  expectBoth("model.weir", 0, {"logits"});
}

TEST_F(Artifact, CutAtEverySectionIsRefused) {
  std::map<size_t, std::string> cuts = {{0, "nothing"}, {1, "one byte"}};
  size_t end = 0;
  for (const ZipEntry &entry : sections) {
    cuts[end] = "in front of " + entry.name;
    cuts[entry.offset] = "in front of the content of " + entry.name;
    cuts[entry.offset + entry.size / 2] = "within " + entry.name;
    end = entry.offset + entry.size;
    cuts[end - 1] = "one byte of " + entry.name + " missing";
  }
  cuts[end] = "in front of the directory";
  cuts[(end + bytes.size()) / 2] = "within the directory";
  cuts[bytes.size() - 22] = "in front of the end record";
  cuts[bytes.size() - 1] = "one byte missing";
  ASSERT_GE(cuts.size(), 16u);
  for (const auto &[size, what] : cuts) {
    SCOPED_TRACE(what);
    folder.write("cut.weir", bytes.substr(0, size));
    expectBoth("cut.weir", 3, {"cut.weir"});
  }
}

TEST_F(Artifact, FlippedBitOfAnyMemberIsFound) {
  for (const ZipEntry &entry : sections) {
    SCOPED_TRACE(entry.name);
    std::string damaged = bytes;
    damaged[entry.offset + entry.size / 3] ^= 0x10;
    folder.write("damaged.weir", damaged);
    expectBoth("damaged.weir", 3, {"damaged.weir", entry.name});
  }
}

TEST_F(Artifact, MissingMemberIsNamed) {
  for (const ZipEntry &entry : sections) {
    SCOPED_TRACE(entry.name);
    write("missing.weir", false, [&](Json &, auto &members) {
      for (size_t i = 0; i < members.size(); ++i)
        if (members[i].first == entry.name)
          members.erase(members.begin() + i);
    });
    expectBoth("missing.weir", 3, {"missing.weir", entry.name});
  }
}

TEST_F(Artifact, MemberOfNobodyIsNamed) {
  write("more.weir", false, [](Json &, auto &members) {
    members.push_back({"kernels/extra.so", "x"});
  });
  expectBoth("more.weir", 3, {"'kernels/extra.so' is not in the manifest"});
}

TEST_F(Artifact, OtherVersionsAreIncompatible) {
  write("newer.weir", false,
        [](Json &manifest, auto &) { manifest["formatVersion"] = 99; });
  expectBoth("newer.weir", 8, {"format version 99", "compile the model again"});
  write("schema.weir", false, [](Json &manifest, auto &) {
    manifest["schemaHash"] = std::string(64, 'a');
  });
  expectBoth("schema.weir", 8, {"plan schema aaaa", "compile the model again"});
}

TEST_F(Artifact, OtherProcessorsAreRefusedBeforeCodeIsLoaded) {
  write("feature.weir", false, [](Json &manifest, auto &) {
    manifest["kernels"][0]["features"].push_back("quantum");
  });
  expectEnd("weir-run", runArguments("feature.weir"), folder.path(), 8,
            {"quantum"});
  // Looking at it is fine.
  expectEnd("weir-inspect", {"feature.weir"}, folder.path(), 0, {"quantum"});
  write("machine.weir", false, [](Json &manifest, auto &) {
    manifest["kernels"][0]["architecture"] = "riscv64";
  });
  expectEnd("weir-run", runArguments("machine.weir"), folder.path(), 8,
            {"riscv64"});
  expectEnd("weir-inspect", {"machine.weir"}, folder.path(), 0, {"riscv64"});
}

TEST_F(Artifact, ManifestThatIsNoneIsRefused) {
  for (const char *text : {"", "{", "[]", "{\"formatVersion\": \"1\"}", "{}"}) {
    SCOPED_TRACE(text);
    write("manifest.weir", false, [&](Json &manifest, auto &members) {
      manifest = nullptr;
      for (auto &[name, content] : members)
        if (name == "manifest.json")
          content = text;
    });
    expectBoth("manifest.weir", 3, {"manifest.weir: manifest.json"});
  }
}

/// Changed plans whose digests fit: the checks of the plan itself have to see
/// it.
TEST_F(Artifact, PlanThatDoesNotHoldTogetherIsRefused) {
  struct {
    const char *what;
    std::function<void(Json &)> change;
  } changes[] = {
      {"no entries", [](Json &plan) { plan["entries"] = Json::array(); }},
      {"no such key", [](Json &plan) { plan["more"] = 1; }},
      {"a list for a number",
       [](Json &plan) { plan["teamSize"] = Json::array(); }},
      {"variables gone", [](Json &plan) { plan["variables"] = Json::array(); }},
      {"entry without a name",
       [](Json &plan) { plan["entries"][0]["name"] = ""; }},
      {"a number too large", [](Json &plan) { plan["teamSize"] = 1e300; }},
      {"segments gone", [](Json &plan) { plan["segments"] = Json::array(); }},
  };
  for (const auto &item : changes) {
    SCOPED_TRACE(item.what);
    write("plan.weir", true, [&](Json &, auto &members) {
      for (auto &[name, content] : members)
        if (name == "plan/role0.json") {
          Json plan = Json::parse(content);
          item.change(plan);
          content = plan.dump();
        }
    });
    expectBoth("plan.weir", 3, {"plan.weir", "plan/role0.json"});
  }
}

TEST_F(Artifact, CodeThatIsNoneIsRefused) {
  write("code.weir", true, [](Json &, auto &members) {
    for (auto &[name, content] : members)
      if (name.find(".so") != std::string::npos)
        content = "no machine code";
  });
  expectEnd("weir-run", runArguments("code.weir"), folder.path(), 8,
            {"code.weir: the kernels cannot be loaded"});
  // Inspecting never loads code.
  expectEnd("weir-inspect", {"code.weir"}, folder.path(), 0,
            {"kernels/cpu-0.so"});
}

//===----------------------------------------------------------------------===//
// Data of a job
//===----------------------------------------------------------------------===//

class Data : public ::testing::Test {
protected:
  void SetUp() override { ASSERT_FALSE(tinyArtifact().empty()); }

  void expectTraining(const std::string &data, int code,
                      const std::vector<std::string> &parts) {
    std::string job = tinyJob();
    std::string given = R"({"kind": "text", "path": "text.txt"})";
    job.replace(job.find(given), given.size(), data);
    folder.write("job.json", job);
    expectEnd("weir-run",
              {tinyArtifact(), "--train=job.json", "--progress=none"},
              folder.path(), code, parts);
  }

  /// `count` tokens of 16 bits behind an llm.c header that says `said`.
  static std::string tokens(uint32_t magic, uint32_t version, uint32_t said,
                            size_t count) {
    std::string bytes;
    auto word = [&](uint32_t value) {
      for (int i = 0; i < 4; ++i)
        bytes += char(value >> 8 * i);
    };
    word(magic);
    word(version);
    word(said);
    bytes.resize(1024, '\0');
    for (size_t i = 0; i < count; ++i)
      bytes += {char(i % 200), '\0'};
    return bytes;
  }

  TempFolder folder;
};

TEST_F(Data, OfEnoughTokensTrains) {
  folder.write("text.txt", std::string(500, 'a'));
  expectTraining(R"({"kind": "text", "path": "text.txt"})", 0,
                 {"trained 2 steps"});
  folder.write("tokens.bin", tokens(20240520, 1, 500, 500));
  expectTraining(R"({"kind": "bin", "path": "tokens.bin"})", 0,
                 {"trained 2 steps"});
}

TEST_F(Data, ThatIsTooShortIsRefused) {
  folder.write("text.txt", "");
  expectTraining(R"({"kind": "text", "path": "text.txt"})", 3, {"text.txt"});
  folder.write("text.txt", "hello");
  expectTraining(R"({"kind": "text", "path": "text.txt"})", 3,
                 {"text.txt", "5"});
  folder.write("tokens.bin", std::string(10, '\0'));
  expectTraining(R"({"kind": "bin", "path": "tokens.bin"})", 3, {"tokens.bin"});
}

TEST_F(Data, ThatIsCutIsRefusedAtEverySection) {
  std::string whole = tokens(20240520, 1, 500, 500);
  for (size_t size : {size_t(0), size_t(3), size_t(5), size_t(12), size_t(1023),
                      size_t(1024), size_t(1025), whole.size() - 1}) {
    SCOPED_TRACE(size);
    folder.write("tokens.bin", whole.substr(0, size));
    expectTraining(R"({"kind": "bin", "path": "tokens.bin"})", 3,
                   {"tokens.bin"});
  }
}

TEST_F(Data, OfAnotherKindIsRefused) {
  folder.write("tokens.bin", tokens(20240520, 2, 500, 500));
  expectTraining(R"({"kind": "bin", "path": "tokens.bin"})", 3, {"version 2"});
  folder.write("tokens.bin", std::string(4000, '\x7f'));
  expectTraining(R"({"kind": "bin", "path": "tokens.bin"})", 3,
                 {"token 0 is 32639", "256"});
  expectTraining(R"({"kind": "bin", "path": "nowhere.bin"})", 3,
                 {"nowhere.bin", "No such file"});
  std::filesystem::create_directory(folder.path("empty"));
  expectTraining(R"({"kind": "text", "path": "empty"})", 3, {"empty"});
}

} // namespace
} // namespace weir::test
