// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/SplitPrograms.h"

using namespace mlir;

namespace weir::compiler {

StringRef programOf(Operation *op, dist::MeshAttr mesh, unsigned axis) {
  auto programs = op->getAttrOfType<DictionaryAttr>(
      dist::DistDialect::getProgramsAttrName());
  if (!programs)
    return "";
  auto name = dyn_cast_or_null<StringAttr>(programs.get(mesh.getNames()[axis]));
  return name ? name.getValue() : "";
}

void setPrograms(Operation *op, dist::MeshAttr mesh,
                 ArrayRef<StringRef> programs) {
  NamedAttrList decided;
  for (auto [axis, name] : llvm::enumerate(programs))
    if (!name.empty())
      decided.set(mesh.getNames()[axis],
                  StringAttr::get(op->getContext(), name));
  StringRef attribute = dist::DistDialect::getProgramsAttrName();
  if (decided.empty())
    op->removeAttr(attribute);
  else
    op->setAttr(attribute, decided.getDictionary(op->getContext()));
}

bool allowsProgram(const OpSignature &signature, dist::MeshAttr mesh,
                   unsigned axis, ArrayRef<StringRef> programs) {
  if (!signature.isProgram())
    return true;
  return !mesh.isTime(axis) && llvm::all_of(programs, [&](StringRef other) {
    return other.empty() || other == signature.program;
  });
}

double programBytes(const OpSignature &signature, int64_t parts) {
  double bytes = 0;
  for (const graph::ProgramMessage &message : signature.messages)
    bytes += message.received(parts);
  return bytes;
}

int64_t programMessages(const OpSignature &signature, int64_t parts) {
  int64_t count = 0;
  for (const graph::ProgramMessage &message : signature.messages)
    count += message.count(parts);
  return count;
}

} // namespace weir::compiler
