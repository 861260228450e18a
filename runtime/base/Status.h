// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_BASE_STATUS_H
#define WEIR_RUNTIME_BASE_STATUS_H

#include <cassert>
#include <optional>
#include <string>
#include <utility>

namespace weir {

/// Why an operation failed. The values of the user-visible codes are the exit
/// codes of the tools (docs/reference/exit-codes.md).
enum class StatusCode : int {
  Ok = 0,
  CompileError = 1,
  CommandLine = 2,
  InvalidInput = 3,
  UnsupportedModel = 4,
  Infeasible = 5,
  OutputError = 6,
  ToolFailed = 7,
  IncompatibleArtifact = 8,
  RuntimeError = 9,
  Stopped = 10,
  Diverged = 11,
  PeerLost = 12,
  Internal = 70,
};

/// The result of an operation that can fail: a code and, unless ok, a message
/// that names the place and the remedy. Context is added outward by
/// `withContext`, so that the message reads from the outermost operation in.
class [[nodiscard]] Status {
public:
  Status() = default;
  Status(StatusCode code, std::string message)
      : statusCode(code), text(std::move(message)) {}

  bool ok() const { return statusCode == StatusCode::Ok; }
  explicit operator bool() const { return ok(); }
  StatusCode code() const { return statusCode; }
  const std::string &message() const { return text; }

  /// Prefixes the message with "`context`: "; ok stays ok.
  Status withContext(const std::string &context) && {
    if (!ok())
      text = context + ": " + text;
    return std::move(*this);
  }

private:
  StatusCode statusCode = StatusCode::Ok;
  std::string text;
};

/// A value or the status that explains its absence.
template <typename T> class [[nodiscard]] StatusOr {
public:
  StatusOr(T value) : payload(std::move(value)) {}
  StatusOr(Status status) : failure(std::move(status)) {
    assert(!failure.ok() && "a StatusOr without a value needs a reason");
  }

  bool ok() const { return payload.has_value(); }
  explicit operator bool() const { return ok(); }
  const Status &status() const & { return failure; }
  Status status() && { return std::move(failure); }
  T &operator*() & { return *payload; }
  const T &operator*() const & { return *payload; }
  T &&operator*() && { return std::move(*payload); }
  T *operator->() { return &*payload; }
  const T *operator->() const { return &*payload; }

private:
  Status failure;
  std::optional<T> payload;
};

inline Status okStatus() { return Status(); }
inline Status invalidInput(std::string message) {
  return Status(StatusCode::InvalidInput, std::move(message));
}
inline Status runtimeError(std::string message) {
  return Status(StatusCode::RuntimeError, std::move(message));
}
inline Status internalError(std::string message) {
  return Status(StatusCode::Internal, std::move(message));
}

#define WEIR_CONCAT_IMPL(a, b) a##b
#define WEIR_CONCAT(a, b) WEIR_CONCAT_IMPL(a, b)
/// Returns from the enclosing function when `expr` is not ok.
#define WEIR_RETURN_IF_ERROR(expr)                                             \
  do {                                                                         \
    if (::weir::Status weirStatus = (expr); !weirStatus.ok())                  \
      return weirStatus;                                                       \
  } while (false)
/// `WEIR_ASSIGN_OR_RETURN(auto x, f());` binds the value or returns the status.
#define WEIR_ASSIGN_OR_RETURN(lhs, expr)                                       \
  auto WEIR_CONCAT(weirOr, __LINE__) = (expr);                                 \
  if (!WEIR_CONCAT(weirOr, __LINE__).ok())                                     \
    return std::move(WEIR_CONCAT(weirOr, __LINE__)).status();                  \
  lhs = *std::move(WEIR_CONCAT(weirOr, __LINE__))

} // namespace weir

#endif // WEIR_RUNTIME_BASE_STATUS_H
