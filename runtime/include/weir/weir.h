/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_WEIR_H
#define WEIR_WEIR_H

/*
 * The C API of the Weir runtime: loads an artifact that `weir compile` wrote,
 * keeps the state of its variables and runs its entries.
 *
 *   weir_runtime_t *runtime = NULL;
 *   weir_program_t *program = NULL;
 *   weir_session_t *session = NULL;
 *   weir_status_t *status = weir_runtime_create(0, &runtime);
 *   if (!status) status = weir_program_load(runtime, "model.weir", &program);
 *   if (!status) status = weir_session_create(program, NULL, &session);
 *   if (!status) status = weir_session_load_weights(session, "weights", 0);
 *   if (!status) status = weir_session_bind_input(session, "forward", "tokens",
 *                                                 tokens, sizeof(tokens));
 *   if (!status) status = weir_session_bind_output(session, "forward",
 * "logits", logits, sizeof(logits)); if (!status) status =
 * weir_session_run(session, "forward"); if (status) fprintf(stderr, "%s\n",
 * weir_status_message(status)); weir_status_free(status);
 *   weir_session_free(session);
 *   weir_program_free(program);
 *   weir_runtime_free(runtime);
 *
 * Conventions
 *   - Functions that can fail return a weir_status_t*: NULL is success,
 * anything else is owned by the caller and freed with weir_status_free.
 *   - Handles are owned by the caller and freed with their `_free` function,
 *     which takes NULL. They hold what they were made from: a program may be
 *     freed before its sessions.
 *   - Strings that go in are UTF-8, end with 0 and are not kept. Strings that
 *     come out belong to the handle they came from and live as long as it.
 *   - Sizes are bytes, shapes are elements outermost first, tensors row-major.
 *   - A runtime and a program may be used from any threads at once. A session
 *     may be used from any thread, by one at a time; weir_session_cancel alone
 *     may be called beside a running call.
 *   - No function throws or ends the process; a null handle where one is needed
 *     is an error with code 2.
 */

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define WEIR_API __attribute__((visibility("default")))
#else
#define WEIR_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weir_status weir_status_t;
typedef struct weir_runtime weir_runtime_t;
typedef struct weir_program weir_program_t;
typedef struct weir_session weir_session_t;

/* ---- Status ------------------------------------------------------------- */

/* Why something failed; the same numbers are the exit codes of the tools. */
typedef enum weir_code {
  WEIR_OK = 0,
  WEIR_COMMAND_LINE = 2,          /* the call itself is wrong */
  WEIR_INVALID_INPUT = 3,         /* a file or name is unreadable or wrong */
  WEIR_INFEASIBLE = 5,            /* does not fit */
  WEIR_OUTPUT_ERROR = 6,          /* a file cannot be written */
  WEIR_INCOMPATIBLE_ARTIFACT = 8, /* for another version or processor */
  WEIR_RUNTIME_ERROR = 9,         /* an action failed */
  WEIR_STOPPED = 10,              /* cancelled */
  WEIR_INTERNAL = 70
} weir_code_t;

/* The code of a status; WEIR_OK for NULL. */
WEIR_API int weir_status_code(const weir_status_t *status);
/* What failed, where, and what helps; "" for NULL. Lives as long as the status.
 */
WEIR_API const char *weir_status_message(const weir_status_t *status);
WEIR_API void weir_status_free(weir_status_t *status);

/* The library's version, "0.1.0". */
WEIR_API const char *weir_version(void);

/* ---- Runtime ------------------------------------------------------------ */

/* Starts worker threads: `workers` of them, the calling one included, or one
 * for each core that the process may use where it is 0. */
WEIR_API weir_status_t *weir_runtime_create(int workers,
                                            weir_runtime_t **runtime);
WEIR_API void weir_runtime_free(weir_runtime_t *runtime);

/* ---- Program ------------------------------------------------------------ */

/* Loads an artifact: checks version, digests, processor features and plan, then
 * loads its machine code, so load only files that you trust. */
WEIR_API weir_status_t *weir_program_load(weir_runtime_t *runtime,
                                          const char *path,
                                          weir_program_t **program);
WEIR_API void weir_program_free(weir_program_t *program);

/* Element types. */
typedef enum weir_dtype {
  WEIR_F32 = 0,
  WEIR_F64 = 1,
  WEIR_F16 = 2,
  WEIR_BF16 = 3,
  WEIR_I64 = 4,
  WEIR_I32 = 5,
  WEIR_I8 = 6,
  WEIR_U8 = 7,
  WEIR_BOOL = 8
} weir_dtype_t;

/* A tensor as it must be bound: the strings and the shape belong to the
 * program.
 */
typedef struct weir_tensor_info {
  const char *name;
  weir_dtype_t dtype;
  size_t rank;          /* 0: a single element, which set_scalar can set */
  const int64_t *shape; /* `rank` sizes */
  size_t bytes;
} weir_tensor_info_t;

/* Ranks (devices) that the program runs on, all within this process. */
WEIR_API size_t weir_program_rank_count(const weir_program_t *program);

/* Entries by index; NULL beyond the count. */
WEIR_API size_t weir_program_entry_count(const weir_program_t *program);
WEIR_API const char *weir_program_entry_name(const weir_program_t *program,
                                             size_t index);
/* Inputs, outputs and variables. The counts are 0 for an unknown entry. */
WEIR_API size_t weir_program_input_count(const weir_program_t *program,
                                         const char *entry);
WEIR_API weir_status_t *weir_program_input(const weir_program_t *program,
                                           const char *entry, size_t index,
                                           weir_tensor_info_t *info);
WEIR_API size_t weir_program_output_count(const weir_program_t *program,
                                          const char *entry);
WEIR_API weir_status_t *weir_program_output(const weir_program_t *program,
                                            const char *entry, size_t index,
                                            weir_tensor_info_t *info);
WEIR_API size_t weir_program_variable_count(const weir_program_t *program);
WEIR_API weir_status_t *weir_program_variable(const weir_program_t *program,
                                              size_t index,
                                              weir_tensor_info_t *info);

/* ---- Session ------------------------------------------------------------ */

/* Initialise with weir_session_options_init, then change what you need. */
typedef struct weir_session_options {
  size_t size;             /* sizeof(weir_session_options_t) of the caller */
  uint32_t seed;           /* of the variables' first values; 0 */
  int checked;             /* watch every action's writes (slow); 0 */
  int traced;              /* note times for weir_session_write_trace; 0 */
  double watchdog_seconds; /* give up a run in which nothing happens; 300 */
} weir_session_options_t;

WEIR_API void weir_session_options_init(weir_session_options_t *options);

/* Allocates the program's memory and sets its variables to their first values.
 * `options` may be NULL. Several sessions of one program are independent. */
WEIR_API weir_status_t *
weir_session_create(const weir_program_t *program,
                    const weir_session_options_t *options,
                    weir_session_t **session);
WEIR_API void weir_session_free(weir_session_t *session);

/* Reads the model's weights from a safetensors file, a shard index, or a folder
 * that holds one. All tensors that are missing, of another shape or unknown are
 * named in one error; `allow_extra` passes over the unknown ones. */
WEIR_API weir_status_t *weir_session_load_weights(weir_session_t *session,
                                                  const char *path,
                                                  int allow_extra);
/* Writes the model's weights as a safetensors file, under the names and shapes
 * that they had in the checkpoint the model was compiled from. */
WEIR_API weir_status_t *weir_session_save_weights(const weir_session_t *session,
                                                  const char *path);
/* Writes and reads all variables, optimizer state included. */
WEIR_API weir_status_t *weir_session_save_state(const weir_session_t *session,
                                                const char *path);
WEIR_API weir_status_t *weir_session_load_state(weir_session_t *session,
                                                const char *path);

/* Copies a variable out or in: the whole tensor, whatever its distribution.
 * `bytes` must be its size. */
WEIR_API weir_status_t *
weir_session_read_variable(const weir_session_t *session, const char *name,
                           void *data, size_t bytes);
WEIR_API weir_status_t *weir_session_write_variable(weir_session_t *session,
                                                    const char *name,
                                                    const void *data,
                                                    size_t bytes);

/* Binds the caller's memory to an input or output of an entry. Nothing is
 * copied: runs read and write this very memory, which must stay until it is
 * bound anew or the session is freed. `bytes` must be the tensor's size.
 * Outputs that are not bound are kept by the session. */
WEIR_API weir_status_t *weir_session_bind_input(weir_session_t *session,
                                                const char *entry,
                                                const char *name,
                                                const void *data, size_t bytes);
WEIR_API weir_status_t *weir_session_bind_output(weir_session_t *session,
                                                 const char *entry,
                                                 const char *name, void *data,
                                                 size_t bytes);
/* Sets an input of rank 0 (step number, learning rate), converted to its type.
 */
WEIR_API weir_status_t *weir_session_set_scalar(weir_session_t *session,
                                                const char *entry,
                                                const char *name, double value);

/* Runs one step of an entry and returns when it is complete. Every input must
 * be bound or set. After a failure inside the run the session is spent. */
WEIR_API weir_status_t *weir_session_run(weir_session_t *session,
                                         const char *entry);
/* Ends the running call, and all to come, with WEIR_STOPPED. Any thread. */
WEIR_API void weir_session_cancel(weir_session_t *session);

/* Reads an output of one element (a loss) as a number. */
WEIR_API weir_status_t *weir_session_read_metric(const weir_session_t *session,
                                                 const char *entry,
                                                 const char *name,
                                                 double *value);
/* Copies an output that the entry's last run left. */
WEIR_API weir_status_t *weir_session_read_output(const weir_session_t *session,
                                                 const char *entry,
                                                 const char *name, void *data,
                                                 size_t bytes);

typedef struct weir_memory {
  size_t plan_bytes;     /* all segments of all ranks */
  size_t overhead_bytes; /* tables, scratch, outputs that are not bound */
  size_t allocations;    /* by this library since each entry's first run */
} weir_memory_t;
WEIR_API weir_status_t *weir_session_memory(const weir_session_t *session,
                                            weir_memory_t *memory);

/* Writes the last run of an entry as Chrome trace JSON; needs `traced`. */
WEIR_API weir_status_t *weir_session_write_trace(const weir_session_t *session,
                                                 const char *entry,
                                                 const char *path);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* WEIR_WEIR_H */
