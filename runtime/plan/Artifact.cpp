// SPDX-License-Identifier: Apache-2.0
#include "runtime/plan/Artifact.h"

#include "runtime/base/CpuFeatures.h"
#include "runtime/base/Sha256.h"
#include "runtime/plan/PlanFields.h"

namespace weir::plan {

template <typename A> void fields(A &a, KernelMember &x) {
  a.required("member", x.member);
  a.required("architecture", x.architecture);
  a.required("features", x.features);
}
template <typename A> void fields(A &a, EntrySignature &x) {
  a.required("name", x.name);
  a.required("microBatches", x.microBatches);
  a.list("inputs", x.inputs);
  a.list("outputs", x.outputs);
}
template <typename A> void fields(A &a, VariableSignature &x) {
  a.required("name", x.name);
  a.required("kind", x.kind);
  a.required("dtype", x.dtype);
  a.required("shape", x.shape);
  a.optional("storedName", x.storedName, {});
  a.optional("storedShape", x.storedShape, {});
}
template <typename A> void fields(A &a, Manifest &x) {
  a.required("formatVersion", x.formatVersion);
  a.required("schemaHash", x.schemaHash);
  a.required("producer", x.producer);
  a.list("mesh", x.mesh);
  a.required("teamSize", x.teamSize);
  a.list("kernels", x.kernels);
  a.list("entries", x.entries);
  a.list("variables", x.variables);
  a.optional("ignoredWeights", x.ignoredWeights, {});
  a.optional("properties", x.properties, {});
  a.required("members", x.members);
}
template <> struct Spread<Manifest> : std::true_type {};

namespace {

constexpr const char *manifestName = "manifest.json";
constexpr const char *planName = "plan/role0.json";
constexpr const char *rewrite = "; write it again with weir compile";

/// The part of the manifest that repeats the plan, for reading it alone.
void describePlan(const Plan &plan, Manifest &manifest) {
  manifest.mesh = plan.mesh;
  manifest.teamSize = plan.teamSize;
  manifest.entries.clear();
  for (const Entry &entry : plan.entries)
    manifest.entries.push_back(
        {entry.name, entry.microBatches, entry.inputs, entry.outputs});
  manifest.variables.clear();
  for (const Variable &variable : plan.variables) {
    VariableSignature signature;
    signature.name = variable.name;
    signature.kind = variable.kind;
    signature.dtype = variable.layout.dtype;
    for (const DimLayout &dim : variable.layout.dims)
      signature.shape.push_back(dim.size);
    signature.storedName = variable.storedName;
    signature.storedShape = variable.storedShape;
    manifest.variables.push_back(std::move(signature));
  }
}

std::string printManifest(Manifest &manifest) {
  Writer writer;
  writer.writeObject(manifest);
  writer.text += '\n';
  return std::move(writer.text);
}

} // namespace

StatusOr<ArtifactWriter> ArtifactWriter::create(const std::string &path) {
  WEIR_ASSIGN_OR_RETURN(ZipWriter zip, ZipWriter::create(path));
  ArtifactWriter writer(std::move(zip));
  writer.manifest.schemaHash = planSchemaHash();
  writer.manifest.producer = "weir";
  return writer;
}

Status ArtifactWriter::addPlan(const Plan &plan) {
  if (hasPlan)
    return internalError("an artifact was given two plans");
  WEIR_RETURN_IF_ERROR(verifyPlan(plan));
  hasPlan = true;
  describePlan(plan, manifest);
  return addMember(planName, printPlan(plan));
}

Status ArtifactWriter::addKernels(std::string_view object,
                                  const std::string &architecture,
                                  std::vector<std::string> features) {
  std::string name =
      "kernels/cpu-" + std::to_string(manifest.kernels.size()) + ".so";
  manifest.kernels.push_back({name, architecture, std::move(features)});
  return addMember(name, object);
}

Status ArtifactWriter::addMember(const std::string &name,
                                 std::string_view content) {
  manifest.members[name] = sha256Hex(content);
  return zip.add(name, content);
}

Status ArtifactWriter::finish() {
  if (!hasPlan)
    return internalError("an artifact was finished without a plan");
  WEIR_RETURN_IF_ERROR(zip.add(manifestName, printManifest(manifest)));
  return zip.finish();
}

StatusOr<ArtifactReader> ArtifactReader::open(const std::string &path) {
  WEIR_ASSIGN_OR_RETURN(ZipReader zip, ZipReader::open(path));
  return check(std::move(zip));
}

StatusOr<ArtifactReader> ArtifactReader::parse(std::string_view bytes,
                                               const std::string &name) {
  WEIR_ASSIGN_OR_RETURN(ZipReader zip, ZipReader::parse(bytes, name));
  return check(std::move(zip));
}

StatusOr<ArtifactReader> ArtifactReader::check(ZipReader zip) {
  ArtifactReader reader(std::move(zip));
  const std::string &path = reader.path();
  if (!reader.zip.has(manifestName))
    return invalidInput(path + ": has no manifest.json, so it is no Weir "
                               "artifact; make one with weir compile");
  WEIR_ASSIGN_OR_RETURN(std::string_view text, reader.zip.read(manifestName));
  std::string where = path + ": " + manifestName;
  WEIR_ASSIGN_OR_RETURN(JsonView document, parseJson(text, where));

  // Version first: the members of another version may be others.
  WEIR_ASSIGN_OR_RETURN(int64_t version, document.integer("formatVersion"));
  if (version != artifactFormatVersion)
    return Status(StatusCode::IncompatibleArtifact,
                  path + ": has format version " + std::to_string(version) +
                      ", this program reads version " +
                      std::to_string(artifactFormatVersion) +
                      "; compile the model again with this version's weir "
                      "compile");
  WEIR_ASSIGN_OR_RETURN(std::string schema, document.string("schemaHash"));
  if (schema != planSchemaHash())
    return Status(StatusCode::IncompatibleArtifact,
                  path +
                      ": was written by another version of the compiler "
                      "(plan schema " +
                      printable(schema, 12) + ", expected " +
                      planSchemaHash().substr(0, 12) +
                      "); compile the model again with this version's weir "
                      "compile");
  Reader manifestReader(document.value());
  manifestReader.readObject(reader.info);
  if (manifestReader.failed())
    return invalidInput(where + ": " + manifestReader.message() + rewrite);

  const StringMap &digests = reader.info.members;
  for (const auto &[name, digest] : digests)
    if (!reader.zip.has(name))
      return invalidInput(path + ": member '" + printable(name, 80) +
                          "' is missing" + rewrite);
  for (const ZipEntry &entry : reader.zip.entries()) {
    if (entry.name == manifestName)
      continue;
    auto it = digests.find(entry.name);
    if (it == digests.end())
      return invalidInput(path + ": member '" + printable(entry.name, 80) +
                          "' is not in the manifest" + rewrite);
    WEIR_ASSIGN_OR_RETURN(std::string_view content, reader.zip.read(entry));
    if (sha256Hex(content) != it->second)
      return invalidInput(path + ": member '" + printable(entry.name, 80) +
                          "' does not have the digest that the manifest says; "
                          "the file is damaged" +
                          rewrite);
  }
  for (const KernelMember &kernels : reader.info.kernels)
    if (!reader.zip.has(kernels.member))
      return invalidInput(path + ": member '" + printable(kernels.member, 80) +
                          "' is missing" + rewrite);
  return reader;
}

StatusOr<Plan> ArtifactReader::readPlan() const {
  if (!zip.has(planName))
    return invalidInput(path() + ": has no " + planName + rewrite);
  WEIR_ASSIGN_OR_RETURN(std::string_view text, zip.read(planName));
  std::string where = path() + ": " + planName;
  WEIR_ASSIGN_OR_RETURN(Plan plan, parsePlan(text, where));
  WEIR_RETURN_IF_ERROR(verifyPlan(plan).withContext(where));
  Manifest expected = info;
  describePlan(plan, expected);
  Manifest given = info;
  if (printManifest(expected) != printManifest(given))
    return invalidInput(where + ": does not fit the manifest" + rewrite);
  return plan;
}

StatusOr<std::optional<std::string_view>>
ArtifactReader::selectKernels() const {
  Status reason;
  for (const KernelMember &kernels : info.kernels) {
    Status fit = kernels.architecture == hostArchitecture()
                     ? checkCpuFeatures(kernels.features)
                     : Status(StatusCode::IncompatibleArtifact,
                              "was compiled for '" +
                                  printable(kernels.architecture, 40) +
                                  "', this machine is '" + hostArchitecture() +
                                  "'; compile the model again on this machine");
    if (fit.ok()) {
      WEIR_ASSIGN_OR_RETURN(std::string_view object, zip.read(kernels.member));
      return std::optional<std::string_view>(object);
    }
    reason = std::move(fit).withContext(path() + ": " + kernels.member);
  }
  if (!reason.ok())
    return reason;
  return std::optional<std::string_view>();
}

int64_t elementCount(const std::vector<int64_t> &shape) {
  int64_t count = 1;
  for (int64_t size : shape)
    count *= size;
  return count;
}

} // namespace weir::plan
