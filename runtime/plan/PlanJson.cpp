// SPDX-License-Identifier: Apache-2.0
#include "runtime/base/Sha256.h"
#include "runtime/plan/PlanFields.h"

namespace weir::plan {

std::string_view name(DType type) { return enumName(type); }

StatusOr<Plan> parsePlan(std::string_view text, const std::string &path) {
  WEIR_ASSIGN_OR_RETURN(JsonView document, parseJson(text, path));
  Plan plan;
  Reader reader(document.value());
  reader.readObject(plan);
  if (reader.failed())
    return invalidInput(path + ": " + reader.message() +
                        "; write the artifact again with weir compile");
  return plan;
}

std::string planSchemaHash() {
  Describer describer;
  Plan plan;
  describer.writeObject(plan);
  return sha256Hex(describer.text);
}

std::string printPlan(const Plan &plan) {
  Writer writer;
  // `fields` serves both directions; writing changes nothing.
  writer.writeObject(const_cast<Plan &>(plan));
  writer.text += '\n';
  return std::move(writer.text);
}

} // namespace weir::plan
