// SPDX-License-Identifier: Apache-2.0
#include "tools/weir-run/Inputs.h"
#include "runtime/base/Half.h"
#include "runtime/base/Strings.h"
#include "runtime/session/StoredTypes.h"

#include <cmath>
#include <cstring>
#include <limits>

namespace weir {

using plan::Binding;
using plan::DType;

static std::string bindingText(const Binding &binding) {
  std::vector<std::string> sizes;
  for (int64_t size : binding.shape)
    sizes.push_back(std::to_string(size));
  return std::string(plan::name(binding.dtype)) + "[" + join(sizes, ",") + "]";
}

/// Range of an integer type, or false for a float.
static bool integerRange(DType type, int64_t &low, int64_t &high) {
  auto limits = [&](auto zero) {
    using T = decltype(zero);
    low = static_cast<int64_t>(std::numeric_limits<T>::min());
    high = static_cast<int64_t>(std::numeric_limits<T>::max());
    return true;
  };
  switch (type) {
  case DType::I64:
    return limits(int64_t());
  case DType::I32:
    return limits(int32_t());
  case DType::I8:
    return limits(int8_t());
  case DType::U8:
    return limits(uint8_t());
  case DType::I1:
    low = 0, high = 1;
    return true;
  default:
    return false;
  }
}

static void storeInteger(DType type, std::byte *at, int64_t value) {
  switch (type) {
  case DType::I64:
    std::memcpy(at, &value, 8);
    return;
  case DType::I32: {
    int32_t narrow = static_cast<int32_t>(value);
    std::memcpy(at, &narrow, 4);
    return;
  }
  default: {
    uint8_t narrow = static_cast<uint8_t>(value);
    std::memcpy(at, &narrow, 1);
    return;
  }
  }
}

static Status storeFloat(DType type, std::byte *at, double value,
                         const std::string &place) {
  float narrow = static_cast<float>(value);
  switch (type) {
  case DType::F64:
    std::memcpy(at, &value, 8);
    return okStatus();
  case DType::F32:
    std::memcpy(at, &narrow, 4);
    return okStatus();
  case DType::BF16: {
    uint16_t bits = floatToBfloat16(narrow);
    std::memcpy(at, &bits, 2);
    return okStatus();
  }
  default:
    return Status(StatusCode::IncompatibleArtifact,
                  place + ": inputs of this type cannot be given");
  }
}

/// Every element the number `text`.
static Status fill(const Binding &binding, const std::string &text,
                   std::vector<std::byte> &data, const std::string &place) {
  int64_t count = plan::elementCount(binding.shape);
  int64_t width = plan::byteSize(binding.dtype);
  data.resize(count * width);
  int64_t low, high;
  if (integerRange(binding.dtype, low, high)) {
    std::optional<int64_t> value = parseInteger(text);
    if (!value || *value < low || *value > high)
      return Status(StatusCode::CommandLine,
                    place + ": expects an integer of " +
                        std::string(plan::name(binding.dtype)) + ", got '" +
                        printable(text) + "'");
    for (int64_t i = 0; i < count; ++i)
      storeInteger(binding.dtype, data.data() + i * width, *value);
    return okStatus();
  }
  std::optional<double> value = parseNumber(text);
  if (!value)
    return Status(StatusCode::CommandLine,
                  place + ": expects a number, got '" + printable(text) + "'");
  for (int64_t i = 0; i < count; ++i)
    WEIR_RETURN_IF_ERROR(
        storeFloat(binding.dtype, data.data() + i * width, *value, place));
  return okStatus();
}

static int64_t readInteger(StoredType type, const uint8_t *at) {
  auto load = [at](auto value) {
    std::memcpy(&value, at, sizeof(value));
    return static_cast<int64_t>(value);
  };
  switch (type) {
  case StoredType::I64:
    return load(int64_t());
  case StoredType::I32:
    return load(int32_t());
  case StoredType::I16:
    return load(int16_t());
  case StoredType::I8:
    return load(int8_t());
  default:
    return load(uint8_t());
  }
}

static Status readTensor(const Binding &binding, const SafetensorsFile &file,
                         const StoredTensor &tensor,
                         std::vector<std::byte> &data,
                         const std::string &place) {
  if (tensor.shape != binding.shape)
    return invalidInput(place + ": expects " + bindingText(binding) +
                        ", tensor '" + printable(tensor.name) + "' of " +
                        file.path() + " is " + tensor.typeText());
  int64_t count = tensor.elements();
  int64_t width = plan::byteSize(binding.dtype);
  data.resize(count * width);
  bool storedFloat =
      tensor.type == StoredType::F64 || tensor.type == StoredType::F32 ||
      tensor.type == StoredType::F16 || tensor.type == StoredType::BF16;
  int64_t low, high;
  bool wantsInteger = integerRange(binding.dtype, low, high);
  if (wantsInteger == storedFloat)
    return invalidInput(place + ": expects " + bindingText(binding) +
                        ", tensor '" + printable(tensor.name) + "' of " +
                        file.path() + " is " + tensor.typeText());
  if (wantsInteger) {
    uint64_t step = storedTypeSize(tensor.type);
    const uint8_t *from = file.data(tensor);
    for (int64_t i = 0; i < count; ++i) {
      int64_t value = readInteger(tensor.type, from + i * step);
      if (value < low || value > high)
        return invalidInput(place + ": element " + std::to_string(i) +
                            " of tensor '" + printable(tensor.name) + "' is " +
                            std::to_string(value) + ", beyond " +
                            std::string(plan::name(binding.dtype)));
      storeInteger(binding.dtype, data.data() + i * width, value);
    }
    return okStatus();
  }
  std::vector<float> values(count);
  WEIR_RETURN_IF_ERROR(file.readFloats(tensor, values.data()));
  for (int64_t i = 0; i < count; ++i)
    WEIR_RETURN_IF_ERROR(
        storeFloat(binding.dtype, data.data() + i * width, values[i], place));
  return okStatus();
}

Status EntryInputs::bind(Session &session, const plan::Entry &entry,
                         const std::vector<std::string> &items,
                         const std::string &file) {
  auto give = [&](const Binding &binding) {
    std::vector<std::byte> &data = storage[binding.name];
    return session.bindInput(entry.name, binding.name, data.data(),
                             static_cast<int64_t>(data.size()));
  };
  if (!file.empty()) {
    WEIR_ASSIGN_OR_RETURN(SafetensorsFile tensors, SafetensorsFile::open(file));
    bool any = false;
    for (const Binding &binding : entry.inputs) {
      const StoredTensor *tensor = tensors.find(binding.name);
      if (!tensor)
        continue;
      any = true;
      WEIR_RETURN_IF_ERROR(readTensor(binding, tensors, *tensor,
                                      storage[binding.name],
                                      "input '" + binding.name + "'"));
      WEIR_RETURN_IF_ERROR(give(binding));
    }
    if (!any)
      return invalidInput(file +
                          ": has no tensor with the name of an input of "
                          "entry '" +
                          entry.name + "'");
  }
  for (const std::string &item : items) {
    size_t equals = item.find('=');
    std::string name = item.substr(0, equals);
    std::string place = "--input " + printable(name);
    if (equals == std::string::npos || equals == 0 || equals + 1 == item.size())
      return Status(StatusCode::CommandLine,
                    "--input: expects name=value or name=FILE[:tensor], got '" +
                        printable(item) + "'");
    const Binding *binding = nullptr;
    std::vector<std::string> names;
    for (const Binding &candidate : entry.inputs) {
      names.push_back(candidate.name);
      if (candidate.name == name)
        binding = &candidate;
    }
    if (!binding)
      return Status(StatusCode::CommandLine,
                    place + ": entry '" + entry.name +
                        "' has no such input; it has " + join(names, ", ") +
                        suggestion(name, names));
    std::string value = item.substr(equals + 1);
    if (parseNumber(value) || parseInteger(value)) {
      WEIR_RETURN_IF_ERROR(fill(*binding, value, storage[name], place));
    } else {
      // A colon may be part of the path; what follows the ending is not.
      std::string path = value, tensorName = name;
      size_t ending = value.rfind(".safetensors:");
      if (ending != std::string::npos) {
        path = value.substr(0, ending + 12);
        tensorName = value.substr(ending + 13);
      }
      WEIR_ASSIGN_OR_RETURN(SafetensorsFile tensors,
                            SafetensorsFile::open(path));
      const StoredTensor *tensor = tensors.find(tensorName);
      if (!tensor) {
        std::vector<std::string> known;
        for (const StoredTensor &candidate : tensors.tensors())
          known.push_back(candidate.name);
        return invalidInput(place + ": " + path + " has no tensor '" +
                            printable(tensorName) + "'" +
                            suggestion(tensorName, known));
      }
      WEIR_RETURN_IF_ERROR(
          readTensor(*binding, tensors, *tensor, storage[name], place));
    }
    WEIR_RETURN_IF_ERROR(give(*binding));
  }
  return okStatus();
}

Status saveOutputs(const Session &session, const plan::Entry &entry,
                   const std::string &path) {
  std::vector<TensorSpec> specs;
  for (const Binding &output : entry.outputs)
    specs.push_back({output.name, storedTypeOf(output.dtype), output.shape});
  WEIR_ASSIGN_OR_RETURN(SafetensorsWriter writer,
                        SafetensorsWriter::create(path, std::move(specs)));
  std::vector<std::byte> data;
  for (const Binding &output : entry.outputs) {
    data.resize(plan::elementCount(output.shape) *
                plan::byteSize(output.dtype));
    WEIR_RETURN_IF_ERROR(
        session.readOutput(entry.name, output.name, data.data(), data.size()));
    WEIR_RETURN_IF_ERROR(writer.write(output.name, data.data(), data.size()));
  }
  return writer.finish();
}

} // namespace weir
