// SPDX-License-Identifier: Apache-2.0
// What the generated kernels of a GPT-2 124M training step cost: time to form
// and compile them, and for each distinct kernel its time, the bytes it has to
// move, and its bandwidth as a share of a plain copy's in the same run. Kernels
// run on as many threads as they have chunks, as the runtime would.
//
// usage: KernelBenchmark [chunks] [layers] [repetitions]
#include "compiler/API/InitDialects.h"
#include "compiler/Autodiff/Passes.h"
#include "compiler/Builders/Families.h"
#include "compiler/Kernels/Passes.h"
#include "test/unit/codegen/CompiledModule.h"

#include "mlir/Pass/PassManager.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <thread>

using namespace mlir;
using namespace weir;
using namespace weir::compiler;

namespace {

double now() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// Runs `function(chunk)` on one thread a chunk, `repetitions` times in each,
/// and returns the seconds of the best repetition, roughly (threads run
/// freely).
template <typename Function>
double measure(int64_t chunks, int repetitions, Function function) {
  std::vector<double> best(chunks, 1e9);
  auto work = [&](int64_t chunk) {
    for (int i = 0; i < repetitions; ++i) {
      double start = now();
      function(chunk);
      best[chunk] = std::min(best[chunk], now() - start);
    }
  };
  std::vector<std::thread> threads;
  for (int64_t chunk = 1; chunk < chunks; ++chunk)
    threads.emplace_back(work, chunk);
  work(0);
  for (std::thread &thread : threads)
    thread.join();
  return *std::max_element(best.begin(), best.end());
}

int64_t bytesOf(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  return tensor.getNumElements() *
         std::max<int64_t>(1, tensor.getElementTypeBitWidth() / 8);
}

} // namespace

int main(int argc, char **argv) {
  int64_t chunks = argc > 1 ? std::atoll(argv[1]) : 2;
  int64_t layers = argc > 2 ? std::atoll(argv[2]) : 12;
  int repetitions = argc > 3 ? std::atoi(argv[3]) : 5;

  DialectRegistry registry;
  registerAllWeirDialects(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  Gpt2Config config;
  config.layers = layers;
  EntryShapes shapes;
  shapes.batch = 4;
  shapes.sequence = 64;
  OwningOpRef<ModuleOp> module = buildGpt2(&context, config, shapes);
  PassManager autodiff(&context);
  autodiff.addPass(createBuildTrainEntryPass());
  if (failed(autodiff.run(*module)))
    return 1;
  double start = now();
  PassManager manager(&context);
  FormKernelsPassOptions options;
  options.chunks = chunks;
  manager.addPass(createFormKernelsPass(options));
  if (failed(manager.run(*module)))
    return 1;
  double formed = now();
  test::CompiledModule compiled(context, *module);
  if (!compiled.ok())
    return 1;
  double done = now();
  if (argc > 4)
    module->print(llvm::outs());

  std::map<std::string, int> launches;
  auto train = module->lookupSymbol<graph::EntryOp>("train");
  int contracts = 0;
  train.walk([&](Operation *op) {
    if (auto launch = dyn_cast<kernel::LaunchOp>(op))
      ++launches[launch.getKernel().str()];
    contracts += isa<kernel::ContractOp>(op);
  });
  int64_t total = std::distance(module->getOps<kernel::FuncOp>().begin(),
                                module->getOps<kernel::FuncOp>().end());
  std::printf("%lld kernels formed in %.2f s, compiled in %.2f s (%zu bytes); "
              "train: %d contractions\n",
              static_cast<long long>(total), formed - start, done - formed,
              compiled.sharedObject.size(), contracts);

  constexpr int64_t large = 256 << 20;
  std::vector<char> from(large, 1), to(large, 2);
  double copy = measure(chunks, repetitions, [&](int64_t chunk) {
    std::memcpy(to.data() + large / chunks * chunk,
                from.data() + large / chunks * chunk, large / chunks);
  });
  double bandwidth = 2.0 * large / copy;
  std::printf("copy of 256 MiB: %.1f GB/s\n", bandwidth * 1e-9);
  std::printf("%9s %6s %10s %9s %7s %9s  %s\n", "us", "times", "sum us", "MB",
              "GB/s", "of copy", "kernel");
  double sum = 0;
  for (kernel::FuncOp func : module->getOps<kernel::FuncOp>()) {
    int times = launches[func.getSymName().str()];
    if (!times)
      continue;
    Block &body = func.getBody().front();
    std::vector<std::vector<char>> memory;
    std::vector<void *> buffers;
    double bytes = 0;
    for (auto [index, argument] : llvm::enumerate(body.getArguments())) {
      bytes += bytesOf(argument.getType());
      bool tied = index >= func.getNumInputs() &&
                  func.getTied()[index - func.getNumInputs()] >= 0;
      int64_t size = 64;
      auto type = cast<RankedTensorType>(argument.getType());
      auto strides =
          cast<DenseI64ArrayAttr>(func.getStrides()[index]).asArrayRef();
      int64_t elements = 1;
      for (auto [extent, stride] : llvm::zip(type.getShape(), strides))
        elements += (extent - 1) * stride;
      size +=
          elements * std::max<int64_t>(1, type.getElementTypeBitWidth() / 8);
      memory.emplace_back(tied ? 0 : size);
      if (!tied && type.getElementType().isF32()) {
        auto *values = reinterpret_cast<float *>(memory.back().data());
        for (int64_t i = 0; i < elements; ++i)
          values[i] = 0.5f + (i % 97) * 0.01f;
      }
      buffers.push_back(
          tied ? buffers[func.getTied()[index - func.getNumInputs()]]
               : memory.back().data());
    }
    test::KernelFunction kernel = compiled.function(func.getSymName().str());
    double seconds = measure(func.getChunks(), repetitions, [&](int64_t chunk) {
      kernel(buffers.data(), nullptr, chunk);
    });
    sum += seconds * times;
    std::printf("%9.1f %6d %10.0f %9.3f %7.1f %8.0f%%  %s (%lld)\n",
                seconds * 1e6, times, seconds * times * 1e6, bytes * 1e-6,
                bytes / seconds * 1e-9, 100 * bytes / seconds / bandwidth,
                func.getSymName().str().c_str(),
                static_cast<long long>(func.getChunks()));
  }
  std::printf("all generated kernels of a step: %.1f ms\n", sum * 1e3);
  return 0;
}
