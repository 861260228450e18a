// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_BASE_CPUFEATURES_H
#define WEIR_RUNTIME_BASE_CPUFEATURES_H

#include "runtime/base/Status.h"

#include <string>
#include <string_view>
#include <vector>

namespace weir {

/// What this machine's processor and operating system offer, under LLVM's names
/// ("avx2", "avx512f", "fma", ...), sorted. A feature whose registers the
/// operating system does not save is not offered. Empty on processors other
/// than x86-64.
const std::vector<std::string> &hostCpuFeatures();

/// Whether `hostCpuFeatures` holds `name`.
bool hostHasCpuFeature(std::string_view name);

/// The architecture as the first part of an LLVM triple: "x86_64", "aarch64".
const char *hostArchitecture();

/// Ok when this machine offers all of `required`; otherwise
/// IncompatibleArtifact with all missing names and the remedy, so that code is
/// never loaded only to end in SIGILL.
Status checkCpuFeatures(const std::vector<std::string> &required);

} // namespace weir

#endif // WEIR_RUNTIME_BASE_CPUFEATURES_H
