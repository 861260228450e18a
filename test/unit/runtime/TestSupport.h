// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TEST_UNIT_RUNTIME_TESTSUPPORT_H
#define WEIR_TEST_UNIT_RUNTIME_TESTSUPPORT_H

#include "runtime/base/Status.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <string>
#include <string_view>

namespace weir {
namespace test {

/// A folder of its own that goes away with the object.
class TempFolder {
public:
  TempFolder() {
    std::string name =
        (std::filesystem::temp_directory_path() / "weir-test-XXXXXX").string();
    if (::mkdtemp(name.data()))
      root = name;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(root, ignored);
  }
  TempFolder(const TempFolder &) = delete;
  TempFolder &operator=(const TempFolder &) = delete;

  const std::string &path() const { return root; }
  std::string path(const std::string &name) const { return root + "/" + name; }
  /// Writes a file and returns its path.
  std::string write(const std::string &name, std::string_view content) const {
    std::ofstream stream(path(name), std::ios::binary);
    stream.write(content.data(), static_cast<std::streamsize>(content.size()));
    return path(name);
  }

private:
  std::string root;
};

/// The whole of a file, read without the code under test.
inline std::string slurp(const std::string &path) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream content;
  content << stream.rdbuf();
  return content.str();
}

template <typename T> const Status &statusOf(const StatusOr<T> &value) {
  return value.status();
}
inline const Status &statusOf(const Status &status) { return status; }

} // namespace test
} // namespace weir

#define EXPECT_OK(expr)                                                        \
  do {                                                                         \
    const auto &weirResult = (expr);                                           \
    EXPECT_TRUE(weirResult.ok())                                               \
        << ::weir::test::statusOf(weirResult).message();                       \
  } while (false)
#define ASSERT_OK(expr)                                                        \
  do {                                                                         \
    const auto &weirResult = (expr);                                           \
    ASSERT_TRUE(weirResult.ok())                                               \
        << ::weir::test::statusOf(weirResult).message();                       \
  } while (false)
/// Expects failure with `statusCode` and a message that holds `part`.
#define EXPECT_FAILS(expr, statusCode, part)                                   \
  do {                                                                         \
    const auto &weirResult = (expr);                                           \
    ASSERT_FALSE(weirResult.ok());                                             \
    EXPECT_EQ(static_cast<int>(::weir::test::statusOf(weirResult).code()),     \
              static_cast<int>(statusCode));                                   \
    EXPECT_NE(::weir::test::statusOf(weirResult).message().find(part),         \
              std::string::npos)                                               \
        << ::weir::test::statusOf(weirResult).message();                       \
  } while (false)

#endif // WEIR_TEST_UNIT_RUNTIME_TESTSUPPORT_H
