// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_PLAN_ARTIFACT_H
#define WEIR_RUNTIME_PLAN_ARTIFACT_H

#include "runtime/io/Zip.h"
#include "runtime/plan/Plan.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// The artifact `model.weir`: a ZIP archive of stored, aligned members.
///
///   manifest.json     what is inside, for whom, and the digest of each member
///   plan/role0.json   the plan
///   kernels/cpu-N.so  compiled kernels, one for each set of CPU features
///   debug/*, model/*  optional: IR dumps, the source model's own files
///
/// Digests guard against damage, not against malice: an artifact holds machine
/// code, so load only what you trust.
namespace weir::plan {

/// Raised when readers of an older version could misread a newer artifact.
constexpr int64_t artifactFormatVersion = 1;

/// One compiled object and what it needs of the processor.
struct KernelMember {
  std::string member;                // "kernels/cpu-0.so"
  std::string architecture;          // "x86_64"
  std::vector<std::string> features; // LLVM's names
};

/// What the manifest says of an entry.
struct EntrySignature {
  std::string name;
  int64_t microBatches = 1;
  std::vector<Binding> inputs, outputs;
};

/// What the manifest says of a variable; its shape is the logical one.
struct VariableSignature {
  std::string name;
  Variable::Kind kind = Variable::Kind::Parameter;
  DType dtype = DType::F32;
  std::vector<int64_t> shape;
  std::string storedName; // empty: not in checkpoints
  std::vector<int64_t> storedShape;
};

struct Manifest {
  int64_t formatVersion = artifactFormatVersion;
  std::string schemaHash; // planSchemaHash() of the producer
  std::string producer;   // "weir 0.1.0"
  std::vector<MeshAxis> mesh;
  int64_t teamSize = 1;
  std::vector<KernelMember> kernels;
  std::vector<EntrySignature> entries;
  std::vector<VariableSignature> variables;
  /// Patterns (`*`, `?`) of tensors in the model's own checkpoints that are no
  /// variables and are passed over in silence: masks, tied copies.
  std::vector<std::string> ignoredWeights;
  /// Anything that the producer wants to say, shown by weir inspect.
  std::map<std::string, std::string> properties;
  /// Digest (64 hexadecimal digits) of every other member by name.
  std::map<std::string, std::string> members;
};

/// Writes an artifact; nothing appears at the path before `finish`.
class ArtifactWriter {
public:
  static StatusOr<ArtifactWriter> create(const std::string &path);

  /// Verifies the plan (verifyPlan), adds it as `plan/role0.json` and fills in
  /// the manifest's mesh, team size, entries and variables. Once.
  Status addPlan(const Plan &plan);
  /// Adds a shared object compiled for `features` of `architecture` (see
  /// base/CpuFeatures.h). The loader takes the first one that its host can run,
  /// so add the most demanding first.
  Status addKernels(std::string_view object, const std::string &architecture,
                    std::vector<std::string> features);
  /// Adds any other member: "debug/03-shard.mlir", "model/config.json".
  Status addMember(const std::string &name, std::string_view content);

  void setProducer(std::string producer) {
    manifest.producer = std::move(producer);
  }
  void setIgnoredWeights(std::vector<std::string> patterns) {
    manifest.ignoredWeights = std::move(patterns);
  }
  void setProperty(const std::string &key, std::string value) {
    manifest.properties[key] = std::move(value);
  }

  /// Writes the manifest and puts the file in its place.
  Status finish();

private:
  explicit ArtifactWriter(ZipWriter zip) : zip(std::move(zip)) {}

  ZipWriter zip;
  Manifest manifest;
  bool hasPlan = false;
};

/// Reads an artifact. Never loads code: inspecting a file is safe.
class ArtifactReader {
public:
  /// Opens the archive and checks format version, schema and the digest of each
  /// member. IncompatibleArtifact for another version, InvalidInput for a file
  /// that is damaged or no artifact.
  static StatusOr<ArtifactReader> open(const std::string &path);
  /// The same from memory that the caller keeps alive.
  static StatusOr<ArtifactReader> parse(std::string_view bytes,
                                        const std::string &name);

  const std::string &path() const { return zip.path(); }
  const Manifest &manifest() const { return info; }
  /// All members in the order of the file, manifest included.
  const std::vector<ZipEntry> &members() const { return zip.entries(); }
  /// The content of a member, a view that lives as long as the reader.
  StatusOr<std::string_view> member(const std::string &name) const {
    return zip.read(name);
  }

  /// Parses and verifies the plan and compares it with the manifest.
  StatusOr<Plan> readPlan() const;
  /// The first compiled object that this machine can run. IncompatibleArtifact
  /// with the missing features where there is none; nothing for an artifact
  /// without kernels.
  StatusOr<std::optional<std::string_view>> selectKernels() const;

private:
  explicit ArtifactReader(ZipReader zip) : zip(std::move(zip)) {}
  static StatusOr<ArtifactReader> check(ZipReader zip);

  ZipReader zip;
  Manifest info;
};

/// Element count of a shape.
int64_t elementCount(const std::vector<int64_t> &shape);

} // namespace weir::plan

#endif // WEIR_RUNTIME_PLAN_ARTIFACT_H
