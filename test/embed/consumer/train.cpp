// SPDX-License-Identifier: Apache-2.0
// Trains a compiled language model for some steps, in C++ over the C API:
//
//   train MODEL.weir WEIGHTS TOKENS.bin STEPS SAVED.safetensors
//
// prints a loss a step, saves the weights and reads them back. AdamW's settings
// are inputs of the entry: the program computes a schedule, nothing is
// compiled.
#include <weir/weir.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

// A status as an exception, as this program likes it; the library throws none.
struct Error : std::runtime_error {
  Error(int code, const std::string &text)
      : std::runtime_error(text), code(code) {}
  int code;
};

void check(weir_status_t *status) {
  if (!status)
    return;
  Error error(weir_status_code(status), weir_status_message(status));
  weir_status_free(status);
  throw error;
}

template <typename T, void (*release)(T *)> struct Release {
  void operator()(T *handle) const { release(handle); }
};
using Runtime =
    std::unique_ptr<weir_runtime_t, Release<weir_runtime_t, weir_runtime_free>>;
using Program =
    std::unique_ptr<weir_program_t, Release<weir_program_t, weir_program_free>>;
using Session =
    std::unique_ptr<weir_session_t, Release<weir_session_t, weir_session_free>>;

Runtime makeRuntime() {
  weir_runtime_t *runtime = nullptr;
  check(weir_runtime_create(2, &runtime));
  return Runtime(runtime);
}

Program loadProgram(const Runtime &runtime, const char *path) {
  weir_program_t *program = nullptr;
  check(weir_program_load(runtime.get(), path, &program));
  return Program(program);
}

Session makeSession(const Program &program) {
  weir_session_options_t options;
  weir_session_options_init(&options);
  options.seed = 7;
  weir_session_t *session = nullptr;
  check(weir_session_create(program.get(), &options, &session));
  return Session(session);
}

std::vector<int32_t> readTokens(const char *path) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file),
                    std::istreambuf_iterator<char>()};
  std::vector<int32_t> tokens;
  for (size_t i = 0; i + 1 < bytes.size(); i += 2)
    tokens.push_back(uint8_t(bytes[i]) | uint8_t(bytes[i + 1]) << 8);
  if (tokens.empty())
    throw Error(WEIR_INVALID_INPUT, std::string(path) + ": no tokens");
  return tokens;
}

double metric(const Session &session, const char *name) {
  double value = 0;
  check(weir_session_read_metric(session.get(), "train", name, &value));
  return value;
}

// Sets the scalars of the entry `train` for step `step`, counted from 0. Which
// it has depends on the optimizer; a name that is not there is an error.
void setScalars(const Program &program, const Session &session, int step) {
  const double beta1 = 0.9, beta2 = 0.999, rate = 1e-3;
  // The program sees the betas in f32, and so must their corrections.
  const std::map<std::string, double> values = {
      {"seed", 1},
      {"step", double(step)},
      {"group0.learning_rate", rate},
      {"group0.weight_decay", 0.1},
      {"group1.learning_rate", rate},
      {"group1.weight_decay", 0},
      {"beta1", beta1},
      {"beta2", beta2},
      {"epsilon", 1e-8},
      {"correction1", 1 - std::pow(double(float(beta1)), step + 1)},
      {"correction2", 1 - std::pow(double(float(beta2)), step + 1)},
      {"max_norm", 0},
  };
  for (size_t i = 0; i < weir_program_input_count(program.get(), "train");
       ++i) {
    weir_tensor_info_t info;
    check(weir_program_input(program.get(), "train", i, &info));
    if (info.rank == 0)
      check(weir_session_set_scalar(session.get(), "train", info.name,
                                    values.at(info.name)));
  }
}

std::vector<float> readVariable(const Session &session,
                                const weir_tensor_info_t &info) {
  std::vector<float> values(info.bytes / sizeof(float));
  check(weir_session_read_variable(session.get(), info.name, values.data(),
                                   info.bytes));
  return values;
}

int run(char **argv) {
  Runtime runtime = makeRuntime();
  Program program = loadProgram(runtime, argv[1]);
  Session session = makeSession(program);
  check(weir_session_load_weights(session.get(), argv[2], 0));
  std::vector<int32_t> tokens = readTokens(argv[3]);
  int steps = std::atoi(argv[4]);

  weir_tensor_info_t batch{};
  for (size_t i = 0; i < weir_program_input_count(program.get(), "train");
       ++i) {
    check(weir_program_input(program.get(), "train", i, &batch));
    if (std::string(batch.name) == "ids")
      break;
  }
  size_t size = batch.bytes / sizeof(int32_t);
  if (tokens.size() < steps * size + 1)
    throw Error(WEIR_INVALID_INPUT,
                std::string(argv[3]) + ": holds too few tokens");

  for (int step = 0; step < steps; ++step) {
    // The tokens lie in memory already: the session reads them there.
    const int32_t *ids = tokens.data() + step * size;
    check(weir_session_bind_input(session.get(), "train", "ids", ids,
                                  batch.bytes));
    check(weir_session_bind_input(session.get(), "train", "labels", ids + 1,
                                  batch.bytes));
    setScalars(program, session, step);
    check(weir_session_run(session.get(), "train"));
    std::printf("loss %.9g\n", metric(session, "loss"));
    if (metric(session, "applied") != 1 ||
        !(metric(session, "gradient_norm") > 0))
      throw Error(WEIR_RUNTIME_ERROR, "expects an update that was applied");
  }

  // What was trained is what is saved.
  check(weir_session_save_weights(session.get(), argv[5]));
  Session other = makeSession(program);
  weir_tensor_info_t parameter{};
  check(weir_program_variable(program.get(), 0, &parameter));
  if (readVariable(other, parameter) == readVariable(session, parameter))
    throw Error(WEIR_RUNTIME_ERROR,
                "expects first values that differ from trained ones");
  check(weir_session_load_weights(other.get(), argv[5], 0));
  if (readVariable(other, parameter) != readVariable(session, parameter))
    throw Error(WEIR_RUNTIME_ERROR, "expects the weights that were saved");

  // Cancelling ends runs from any thread, with a code of its own.
  std::thread([&] { weir_session_cancel(session.get()); }).join();
  weir_status_t *status = weir_session_run(session.get(), "train");
  int code = weir_status_code(status);
  weir_status_free(status);
  if (code != WEIR_STOPPED)
    throw Error(WEIR_RUNTIME_ERROR, "expects a cancelled session to say so");
  std::printf("trained with weir %s\n", weir_version());
  return 0;
}

} // namespace

int main(int argc, char **argv) {
  if (argc != 6) {
    std::fprintf(
        stderr,
        "usage: train MODEL.weir WEIGHTS TOKENS.bin STEPS SAVED.safetensors\n");
    return 2;
  }
  try {
    return run(argv);
  } catch (const Error &error) {
    std::fprintf(stderr, "train: %s\n", error.what());
    return error.code;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "train: %s\n", error.what());
    return WEIR_INTERNAL;
  }
}
