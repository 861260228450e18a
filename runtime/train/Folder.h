// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_TRAIN_FOLDER_H
#define WEIR_RUNTIME_TRAIN_FOLDER_H

#include "runtime/base/Status.h"

#include <string>

namespace weir {

/// A folder in the making: filled under a temporary name beside `path`, put in
/// its place by `commit` in one step, so that `path` is always either the old
/// folder or the whole new one. Without commit nothing is left behind.
class AtomicFolder {
public:
  /// OutputError, before any work is done, where the place cannot be written or
  /// is a file.
  static StatusOr<AtomicFolder> create(const std::string &path);

  AtomicFolder(AtomicFolder &&other) noexcept;
  AtomicFolder &operator=(AtomicFolder &&) = delete;
  ~AtomicFolder();

  /// Where to write until then.
  const std::string &path() const { return temporary; }
  /// Puts the folder in its place. Files of an older folder that the new one
  /// lacks (a tokenizer, notes) are carried over.
  Status commit();

private:
  AtomicFolder() = default;

  std::string target, temporary;
};

} // namespace weir

#endif // WEIR_RUNTIME_TRAIN_FOLDER_H
