/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels for the executor's tests, with the signature of generated ones. */
#include <stdint.h>
#include <unistd.h>

#define KERNEL(name)                                                           \
  __attribute__((visibility("default"))) int name(                             \
      void *const *buffers, const int64_t *scalars, int64_t chunk)

/* out[i] = x[i] + y[i]; scalars: count, chunks. */
KERNEL(add) {
  const float *x = buffers[0], *y = buffers[1];
  float *out = buffers[2];
  int64_t count = scalars[0], chunks = scalars[1];
  for (int64_t i = count * chunk / chunks; i < count * (chunk + 1) / chunks;
       ++i)
    out[i] = x[i] + y[i];
  return 0;
}

/* out[i] = 2 x[offset + i] + 1; scalars: count, offset. */
KERNEL(twice) {
  (void)chunk;
  const float *x = buffers[0];
  float *out = buffers[1];
  for (int64_t i = 0; i < scalars[0]; ++i)
    out[i] = 2 * x[scalars[1] + i] + 1;
  return 0;
}

/* out[i] += x[i]; scalars: count. */
KERNEL(accumulate) {
  (void)chunk;
  const float *x = buffers[0];
  float *out = buffers[1];
  for (int64_t i = 0; i < scalars[0]; ++i)
    out[i] += x[i];
  return 0;
}

/* out[0] = sum of x; scalars: count. */
KERNEL(total) {
  (void)chunk;
  const float *x = buffers[0];
  float sum = 0;
  for (int64_t i = 0; i < scalars[0]; ++i)
    sum += x[i];
  *(float *)buffers[1] = sum;
  return 0;
}

/* out[i] = x[i]; scalars: count. */
KERNEL(copy) {
  (void)chunk;
  const float *x = buffers[0];
  float *out = buffers[1];
  for (int64_t i = 0; i < scalars[0]; ++i)
    out[i] = x[i];
  return 0;
}

/* Fails from chunk 2 on, with the chunk as its code. */
KERNEL(fail) {
  (void)buffers;
  (void)scalars;
  return chunk >= 2 ? (int)chunk : 0;
}

/* Writes one element ahead of its buffer. */
KERNEL(stray) {
  (void)scalars;
  (void)chunk;
  ((float *)buffers[0])[-1] = 1;
  return 0;
}

/* Writes `scalars[0]` elements into its buffer. */
KERNEL(overrun) {
  (void)chunk;
  for (int64_t i = 0; i < scalars[0]; ++i)
    ((float *)buffers[0])[i] = 1;
  return 0;
}

/* Takes a while: 20 ms. */
KERNEL(slow) {
  (void)buffers;
  (void)scalars;
  (void)chunk;
  usleep(20000);
  return 0;
}
