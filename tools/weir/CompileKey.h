// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TOOLS_WEIR_COMPILEKEY_H
#define WEIR_TOOLS_WEIR_COMPILEKEY_H

#include "runtime/io/Job.h"

#include <string>

namespace weir {

/// Everything that decides what compiling a job gives, as JSON text: the job
/// without its run-time settings (name, data, steps, seed, rates, decays,
/// betas, clipping, schedule, evaluation, saving, sample, weights, workers,
/// logs), digests of the model's own files (of weights only names, types and
/// shapes), the digest of the compiler `compilerPath`, and this machine's
/// processor. Fails as reading those files does.
StatusOr<std::string> describeCompilation(const Job &job,
                                          const std::string &compilerPath);

/// Where artifacts are kept: `WEIR_CACHE`, else `weir` in `XDG_CACHE_HOME`,
/// else
/// `.cache/weir` in `HOME`. CommandLine where none is set.
StatusOr<std::string> cacheFolder();

} // namespace weir

#endif // WEIR_TOOLS_WEIR_COMPILEKEY_H
