// SPDX-License-Identifier: Apache-2.0
#include "PlanBuilder.h"

#include "runtime/base/CpuFeatures.h"
#include "runtime/base/Sha256.h"
#include "runtime/plan/Artifact.h"

#include <functional>
#include <set>

using namespace weir;
using namespace weir::plan;
using weir::test::PlanBuilder;
using weir::test::Random;

namespace {

std::string temporaryPath(const std::string &name) {
  return ::testing::TempDir() + "weir-artifact-test-" + name;
}

Plan smallPlan() {
  PlanBuilder b;
  int stream = b.stream("compute");
  int x = b.input("x", {8}), y = b.output("y", {8});
  int eight = b.constant(8), zero = b.constant(0);
  b.once("main", stream, {b.kernel("act", "twice", {x}, {y}, {eight, zero})});
  return b.plan;
}

/// Writes an artifact and returns its bytes.
std::string makeArtifact(const std::vector<std::string> &features = {},
                         const std::string &architecture = hostArchitecture()) {
  std::string path = temporaryPath("made.weir");
  StatusOr<ArtifactWriter> writer = ArtifactWriter::create(path);
  EXPECT_TRUE(writer.ok());
  EXPECT_TRUE(writer->addPlan(smallPlan()).ok());
  EXPECT_TRUE(
      writer->addKernels(test::kernelObject(), architecture, features).ok());
  EXPECT_TRUE(writer->addMember("debug/00-graph.mlir", "module {}\n").ok());
  writer->setProducer("weir test");
  writer->setIgnoredWeights({"*.attn.bias"});
  writer->setProperty("model", "small");
  EXPECT_TRUE(writer->finish().ok());
  StatusOr<std::string> bytes = readFile(path);
  EXPECT_TRUE(bytes.ok());
  return *bytes;
}

/// The bytes with the archive written anew around changed members.
std::string rewrite(const std::string &bytes, const std::string &member,
                    const std::function<void(std::string &)> &change,
                    bool remove = false) {
  StatusOr<ZipReader> zip = ZipReader::parse(bytes, "a.weir");
  EXPECT_TRUE(zip.ok());
  std::string path = temporaryPath("rewritten.weir");
  StatusOr<ZipWriter> writer = ZipWriter::create(path);
  EXPECT_TRUE(writer.ok());
  for (const ZipEntry &entry : zip->entries()) {
    std::string content(*zip->read(entry));
    if (entry.name == member) {
      if (remove)
        continue;
      change(content);
    }
    EXPECT_TRUE(writer->add(entry.name, content).ok());
  }
  EXPECT_TRUE(writer->finish().ok());
  return *readFile(path);
}

void replaceIn(std::string &text, const std::string &from,
               const std::string &to) {
  size_t at = text.find(from);
  ASSERT_NE(at, std::string::npos) << from;
  text.replace(at, from.size(), to);
}

/// Everything that a user of an artifact does short of running it.
Status readAll(const std::string &bytes) {
  StatusOr<ArtifactReader> reader = ArtifactReader::parse(bytes, "a.weir");
  if (!reader.ok())
    return reader.status();
  WEIR_ASSIGN_OR_RETURN(Plan plan, reader->readPlan());
  WEIR_ASSIGN_OR_RETURN(auto kernels, reader->selectKernels());
  return kernels ? okStatus() : internalError("no kernels");
}

} // namespace

TEST(Artifact, HoldsWhatWasPutIn) {
  std::string bytes = makeArtifact();
  StatusOr<ArtifactReader> reader = ArtifactReader::parse(bytes, "a.weir");
  ASSERT_TRUE(reader.ok()) << reader.status().message();
  const Manifest &manifest = reader->manifest();
  EXPECT_EQ(manifest.formatVersion, artifactFormatVersion);
  EXPECT_EQ(manifest.producer, "weir test");
  EXPECT_EQ(manifest.schemaHash, planSchemaHash());
  EXPECT_EQ(manifest.properties.at("model"), "small");
  EXPECT_EQ(manifest.ignoredWeights.at(0), "*.attn.bias");
  ASSERT_EQ(manifest.entries.size(), 1u);
  EXPECT_EQ(manifest.entries[0].inputs.at(0).name, "x");
  EXPECT_EQ(manifest.entries[0].outputs.at(0).shape, (std::vector<int64_t>{8}));
  EXPECT_EQ(manifest.members.size(), 3u);
  StatusOr<Plan> plan = reader->readPlan();
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  EXPECT_EQ(printPlan(*plan), printPlan(smallPlan()));
  auto kernels = reader->selectKernels();
  ASSERT_TRUE(kernels.ok());
  EXPECT_EQ(**kernels, test::kernelObject());
  EXPECT_EQ(*reader->member("debug/00-graph.mlir"), "module {}\n");
  // Same input, same bytes.
  EXPECT_EQ(makeArtifact(), bytes);
}

TEST(Artifact, AnotherVersionOrProcessorIsIncompatible) {
  std::string bytes = makeArtifact();
  auto statusOf = [&](const std::string &from, const std::string &to) {
    return readAll(rewrite(bytes, "manifest.json", [&](std::string &text) {
      replaceIn(text, from, to);
    }));
  };
  Status version = statusOf("\"formatVersion\":1", "\"formatVersion\":2");
  EXPECT_EQ(version.code(), StatusCode::IncompatibleArtifact);
  EXPECT_NE(version.message().find("compile the model again"),
            std::string::npos);
  Status schema = statusOf(planSchemaHash(), std::string(64, '0'));
  EXPECT_EQ(schema.code(), StatusCode::IncompatibleArtifact);

  Status feature = readAll(makeArtifact({"avx2", "quantum"}));
  EXPECT_EQ(feature.code(), StatusCode::IncompatibleArtifact);
  EXPECT_NE(feature.message().find("quantum"), std::string::npos)
      << feature.message();
  Status architecture = readAll(makeArtifact({}, "vax"));
  EXPECT_EQ(architecture.code(), StatusCode::IncompatibleArtifact);
  EXPECT_NE(architecture.message().find("vax"), std::string::npos);
}

TEST(Artifact, TheFirstRunnableKernelsAreTaken) {
  std::string path = temporaryPath("several.weir");
  StatusOr<ArtifactWriter> writer = ArtifactWriter::create(path);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE(writer->addPlan(smallPlan()).ok());
  ASSERT_TRUE(writer->addKernels("new", hostArchitecture(), {"quantum"}).ok());
  ASSERT_TRUE(writer->addKernels("old", hostArchitecture(), {}).ok());
  ASSERT_TRUE(writer->finish().ok());
  StatusOr<ArtifactReader> reader = ArtifactReader::open(path);
  ASSERT_TRUE(reader.ok()) << reader.status().message();
  auto kernels = reader->selectKernels();
  ASSERT_TRUE(kernels.ok());
  EXPECT_EQ(**kernels, "old");
}

TEST(Artifact, BrokenMembersAreInvalid) {
  std::string bytes = makeArtifact();
  auto expect = [](const Status &status, const char *text) {
    EXPECT_EQ(status.code(), StatusCode::InvalidInput) << status.message();
    EXPECT_NE(status.message().find(text), std::string::npos)
        << status.message();
  };
  expect(readAll(rewrite(bytes, "plan/role0.json",
                         [](std::string &text) { text += " "; })),
         "digest");
  expect(readAll(rewrite(bytes, "manifest.json", {}, true)),
         "no manifest.json");
  expect(readAll(rewrite(bytes, "plan/role0.json", {}, true)), "is missing");
  expect(readAll(rewrite(bytes, "kernels/cpu-0.so", {}, true)), "is missing");
  expect(readAll(rewrite(bytes, "manifest.json",
                         [](std::string &text) { text = "[]"; })),
         "expects an object");
  expect(readAll(rewrite(bytes, "manifest.json",
                         [](std::string &text) {
                           replaceIn(text, "\"producer\"", "\"producerr\"");
                         })),
         "expected member 'producer'");
  // A plan that fits its digest but not the manifest.
  expect(readAll(rewrite(bytes, "manifest.json",
                         [](std::string &text) {
                           replaceIn(text, "\"teamSize\":1", "\"teamSize\":2");
                         })),
         "does not fit the manifest");
  expect(readAll(rewrite(bytes, "debug/00-graph.mlir",
                         [](std::string &text) { text += "x"; })),
         "digest");
  expect(ArtifactReader::open(temporaryPath("absent.weir")).status(), "");
}

TEST(Artifact, PlansAreVerifiedBeforeTheyAreWritten) {
  StatusOr<ArtifactWriter> writer =
      ArtifactWriter::create(temporaryPath("bad.weir"));
  ASSERT_TRUE(writer.ok());
  Plan plan = smallPlan();
  plan.entries[0].schedule[0].clear();
  EXPECT_FALSE(writer->addPlan(plan).ok());
}

TEST(Artifact, TruncationsAndFlippedBitsNeverCrash) {
  std::string bytes = makeArtifact();
  // Cuts at each boundary of the archive's sections and around it.
  std::set<size_t> cuts = {0, 1, 4, bytes.size() - 1, bytes.size() - 22};
  StatusOr<ZipReader> zip = ZipReader::parse(bytes, "a.weir");
  ASSERT_TRUE(zip.ok());
  for (const ZipEntry &entry : zip->entries())
    for (int64_t delta : {-1, 0, 1})
      for (size_t edge : {entry.offset, entry.offset + entry.size})
        if (edge + delta < bytes.size())
          cuts.insert(edge + delta);
  for (size_t cut : cuts)
    EXPECT_EQ(readAll(bytes.substr(0, cut)).code(), StatusCode::InvalidInput)
        << "cut at " << cut;

  Random random(11);
  int accepted = 0;
  for (int round = 0; round < 300; ++round) {
    std::string changed = bytes;
    size_t at = random.below(static_cast<int64_t>(changed.size()));
    changed[at] = static_cast<char>(changed[at] ^ (1 << random.below(8)));
    Status status = readAll(changed);
    // A bit of padding between members may go unnoticed; no other may.
    bool padding = true;
    for (const ZipEntry &entry : zip->entries())
      padding &= at < entry.offset || at >= entry.offset + entry.size;
    EXPECT_TRUE(padding || !status.ok()) << "bit at " << at;
    accepted += status.ok();
  }
  EXPECT_LT(accepted, 300);
}

TEST(KernelLibrary, LoadsSeveralAtOnceAndNamesWhatIsMissing) {
  {
    device::KernelLibrary first = test::testKernels();
    device::KernelLibrary second = test::testKernels();
    ASSERT_TRUE(first.find("add").ok());
    ASSERT_TRUE(second.find("add").ok());
    // Two files, two copies of the code.
    EXPECT_NE(reinterpret_cast<void *>(*first.find("add")),
              reinterpret_cast<void *>(*second.find("add")));
    StatusOr<device::KernelFunction> absent = first.find("subtract");
    EXPECT_EQ(absent.status().code(), StatusCode::InvalidInput);
    EXPECT_NE(absent.status().message().find("'subtract'"), std::string::npos);
  }
  StatusOr<device::KernelLibrary> broken =
      device::KernelLibrary::load("no object", "broken");
  EXPECT_EQ(broken.status().code(), StatusCode::IncompatibleArtifact);
}
