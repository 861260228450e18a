/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluates a compiled language model on the first tokens of a file and prints
 * the loss, in C:
 *
 *   evaluate MODEL.weir WEIGHTS TOKENS.bin
 *
 * WEIGHTS is a safetensors file or a model folder, TOKENS.bin holds 16-bit
 * tokens. On the way it makes the mistakes that a caller can make and expects
 * an error for each. */
#include <weir/weir.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ends the program with the status' code where a call failed. */
static void require(weir_status_t *status) {
  if (!status)
    return;
  int code = weir_status_code(status);
  fprintf(stderr, "evaluate: %s\n", weir_status_message(status));
  weir_status_free(status);
  exit(code);
}

static int failures = 0;

static void expect(int holds, const char *what) {
  if (holds)
    return;
  fprintf(stderr, "evaluate: expects %s\n", what);
  ++failures;
}

/* Expects a failure with `code` whose message names `part`. */
static void expectError(weir_status_t *status, int code, const char *part) {
  if (weir_status_code(status) != code ||
      !strstr(weir_status_message(status), part)) {
    fprintf(stderr,
            "evaluate: expects code %d and a message with '%s', got %d: %s\n",
            code, part, weir_status_code(status), weir_status_message(status));
    ++failures;
  }
  weir_status_free(status);
}

/* The tensor of that name among the entry's inputs or outputs. */
static weir_tensor_info_t find(const weir_program_t *program, const char *entry,
                               const char *name, int output) {
  size_t count = output ? weir_program_output_count(program, entry)
                        : weir_program_input_count(program, entry);
  for (size_t i = 0; i < count; ++i) {
    weir_tensor_info_t info;
    require(output ? weir_program_output(program, entry, i, &info)
                   : weir_program_input(program, entry, i, &info));
    if (strcmp(info.name, name) == 0)
      return info;
  }
  fprintf(stderr, "evaluate: entry '%s' has no '%s'\n", entry, name);
  exit(3);
}

static void printEntries(const weir_program_t *program) {
  for (size_t e = 0; e < weir_program_entry_count(program); ++e) {
    const char *entry = weir_program_entry_name(program, e);
    printf("%s\n", entry);
    for (size_t i = 0; i < weir_program_input_count(program, entry); ++i) {
      weir_tensor_info_t info;
      require(weir_program_input(program, entry, i, &info));
      printf("  %s: %zu bytes, shape", info.name, info.bytes);
      for (size_t d = 0; d < info.rank; ++d)
        printf(" %lld", (long long)info.shape[d]);
      printf("\n");
    }
  }
}

/* `count` tokens of 16 bits, little-endian, into 32. */
static int32_t *readTokens(const char *path, size_t count) {
  int32_t *tokens = malloc(count * sizeof(*tokens));
  FILE *file = fopen(path, "rb");
  for (size_t i = 0; tokens && file && i < count; ++i) {
    int low = fgetc(file), high = fgetc(file);
    if (high == EOF) {
      fprintf(stderr, "evaluate: %s: holds fewer than %zu tokens\n", path,
              count);
      exit(3);
    }
    tokens[i] = low | high << 8;
  }
  if (!tokens || !file) {
    fprintf(stderr, "evaluate: cannot read %s\n", path);
    exit(3);
  }
  fclose(file);
  return tokens;
}

static double lossOf(weir_session_t *session) {
  double sum = 0, count = 0;
  require(weir_session_run(session, "evaluate"));
  require(weir_session_read_metric(session, "evaluate", "loss_sum", &sum));
  require(weir_session_read_metric(session, "evaluate", "count", &count));
  return sum / count;
}

/* Mistakes a caller can make. Each is told with its place, and nothing is
 * broken by it. */
static void makeMistakes(weir_runtime_t *runtime, const weir_program_t *program,
                         weir_session_t *session, int32_t *ids, size_t bytes) {
  weir_program_t *none = NULL;
  expectError(weir_program_load(runtime, "no-such.weir", &none),
              WEIR_INVALID_INPUT, "no-such.weir");
  expect(none == NULL, "no program from a missing file");
  expectError(weir_program_load(NULL, "model.weir", &none), WEIR_COMMAND_LINE,
              "runtime is NULL");
  expectError(weir_session_load_weights(session, "no-such.safetensors", 0),
              WEIR_INVALID_INPUT, "no-such.safetensors");
  expectError(weir_session_run(session, "evaluate"), WEIR_INVALID_INPUT,
              "labels");
  expectError(weir_session_run(session, "evaluation"), WEIR_INVALID_INPUT,
              "its entries are");
  weir_status_t *status =
      weir_session_bind_input(session, "evaluate", "tokens", ids, bytes);
  if (weir_status_code(status) == WEIR_INVALID_INPUT)
    fprintf(stderr, "as expected: %s\n", weir_status_message(status));
  expectError(status, WEIR_INVALID_INPUT,
              "no input 'tokens'; it has 'ids', 'labels'");
  expectError(
      weir_session_bind_input(session, "evaluate", "ids", ids, bytes - 4),
      WEIR_INVALID_INPUT, "expects");
  expectError(weir_session_bind_input(session, "evaluate", "ids", NULL, bytes),
              WEIR_INVALID_INPUT, "ids");
  double value;
  expectError(weir_session_read_metric(session, "forward", "logits", &value),
              WEIR_INVALID_INPUT, "not a number");
  expectError(weir_session_read_metric(session, "evaluate", "loss_sum", &value),
              WEIR_INVALID_INPUT, "has not run yet");
  weir_tensor_info_t info;
  expectError(weir_program_input(program, "evaluate", 99, &info),
              WEIR_COMMAND_LINE, "asked for 99");
  weir_session_options_t options;
  memset(&options, 0, sizeof(options));
  expectError(weir_session_create(program, &options, &session),
              WEIR_COMMAND_LINE, "weir_session_options_init");
  weir_status_free(NULL);
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: evaluate MODEL.weir WEIGHTS TOKENS.bin\n");
    return 2;
  }
  weir_runtime_t *runtime = NULL;
  weir_program_t *program = NULL;
  weir_session_t *session = NULL;
  require(weir_runtime_create(0, &runtime));
  require(weir_program_load(runtime, argv[1], &program));
  require(weir_session_create(program, NULL, &session));
  require(weir_session_load_weights(session, argv[2], 0));
  printEntries(program);

  weir_tensor_info_t batch = find(program, "evaluate", "ids", 0);
  size_t tokens = batch.bytes / sizeof(int32_t);
  int32_t *ids = readTokens(argv[3], tokens + 1);
  int32_t *labels = malloc(batch.bytes);
  if (!labels)
    return 9;
  memcpy(labels, ids + 1, batch.bytes);
  makeMistakes(runtime, program, session, ids, batch.bytes);

  require(
      weir_session_bind_input(session, "evaluate", "ids", ids, batch.bytes));
  require(weir_session_bind_input(session, "evaluate", "labels", labels,
                                  batch.bytes));
  double loss = lossOf(session);
  printf("loss %.9g\n", loss);

  /* The session reads this very memory: a changed label changes the loss. */
  int32_t last = labels[tokens - 1];
  labels[tokens - 1] = labels[0] != last ? labels[0] : labels[1];
  expect(lossOf(session) != loss, "another loss for other labels");
  labels[tokens - 1] = -100; /* a label that does not count */
  double count = 0;
  (void)lossOf(session);
  require(weir_session_read_metric(session, "evaluate", "count", &count));
  expect(count == (double)(tokens - 1), "one label less");
  labels[tokens - 1] = last;
  expect(lossOf(session) == loss, "the same bits again");

  /* Outputs are written where the caller says. */
  weir_tensor_info_t prompt = find(program, "forward", "ids", 0);
  weir_tensor_info_t result = find(program, "forward", "logits", 1);
  float *logits = malloc(result.bytes);
  if (!logits)
    return 9;
  memset(logits, 0xFF, result.bytes); /* not a number, each of them */
  require(
      weir_session_bind_input(session, "forward", "ids", ids, prompt.bytes));
  require(weir_session_bind_output(session, "forward", "logits", logits,
                                   result.bytes));
  require(weir_session_run(session, "forward"));
  size_t finite = 0, elements = result.bytes / sizeof(float);
  for (size_t i = 0; i < elements; ++i)
    finite += isfinite(logits[i]) != 0;
  expect(finite == elements, "every logit in the caller's memory");

  /* The mean cross entropy of these logits over the first row is what the
   * compiled entry computes from the same weights. */
  size_t vocab = (size_t)result.shape[result.rank - 1];
  size_t length = (size_t)prompt.shape[prompt.rank - 1];
  double sum = 0;
  for (size_t t = 0; t < length; ++t) {
    double total = 0;
    for (size_t v = 0; v < vocab; ++v)
      total += exp(logits[t * vocab + v]);
    sum += log(total) - logits[t * vocab + labels[t]];
  }
  for (size_t i = length; i < tokens; ++i)
    labels[i] = -100;
  double row = lossOf(session);
  if (fabs(sum / (double)length - row) > 1e-5 * row) {
    fprintf(stderr, "evaluate: expects the loss %.9g of the logits, got %.9g\n",
            sum / (double)length, row);
    ++failures;
  }

  weir_memory_t memory;
  require(weir_session_memory(session, &memory));
  printf("memory %zu bytes, %zu allocations after the first runs\n",
         memory.plan_bytes, memory.allocations);
  expect(memory.plan_bytes > 0, "a plan that needs memory");
  expect(memory.allocations == 0, "no allocation after an entry's first run");

  /* Any order: the session keeps what it needs. */
  weir_program_free(program);
  weir_runtime_free(runtime);
  require(weir_session_run(session, "forward"));
  weir_session_free(session);
  free(logits);
  free(labels);
  free(ids);
  if (failures)
    fprintf(stderr, "evaluate: %d expectations failed\n", failures);
  return failures ? 1 : 0;
}
