// SPDX-License-Identifier: Apache-2.0
#include "runtime/train/Resident.h"

#include <cstdio>

namespace weir {

int64_t anonymousResidentBytes() {
  std::FILE *file = std::fopen("/proc/self/status", "r");
  if (!file)
    return 0;
  char line[256];
  long long kibibytes = 0;
  while (std::fgets(line, sizeof(line), file))
    if (std::sscanf(line, "RssAnon: %lld kB", &kibibytes) == 1)
      break;
  std::fclose(file);
  return static_cast<int64_t>(kibibytes) * 1024;
}

} // namespace weir
