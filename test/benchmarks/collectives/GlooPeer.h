// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TEST_BENCHMARKS_COLLECTIVES_GLOOPEER_H
#define WEIR_TEST_BENCHMARKS_COLLECTIVES_GLOOPEER_H

#include "runtime/plan/Plan.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace weir::bench {

/// What a collective does between two ranks, f32. `count` elements is the
/// larger of one rank's input and output; shards are halves.
struct Shape {
  plan::Collective::Op op = plan::Collective::Op::AllReduce;
  int64_t count = 0;

  int64_t inCount() const {
    return op == plan::Collective::Op::AllGather ? count / 2 : count;
  }
  int64_t outCount() const {
    return op == plan::Collective::Op::ReduceScatter ? count / 2 : count;
  }
};

/// Gloo between two threads of this process: two contexts, each with a TCP
/// device of its own on the loopback interface, as two processes would have.
/// Its threads sleep between runs.
class GlooPeer {
public:
  GlooPeer();
  ~GlooPeer();

  /// The algorithms of Gloo for `op`, to choose the fastest of.
  static std::vector<std::string> algorithms(plan::Collective::Op op);

  /// Makes buffers and Gloo's own preparations for what `run` shall repeat.
  /// Throws what Gloo throws.
  void prepare(const Shape &shape, const std::string &algorithm);
  float *input(int rank);
  /// The result of `rank`; the input where Gloo works in place.
  const float *output(int rank);
  /// Seconds for `repeats` collectives one after the other on both threads,
  /// from when both have started to when both are done.
  double run(int repeats);

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

} // namespace weir::bench

#endif // WEIR_TEST_BENCHMARKS_COLLECTIVES_GLOOPEER_H
