// SPDX-License-Identifier: Apache-2.0
// Kernels of a bigram model: logits of the next token are a row of a table,
// W[V, V]. Scalars: B * T tokens, V. Written in plain C with the ABI of
// generated kernels, so that the run side is tested without a compiler.
#include <math.h>
#include <stdint.h>
#include <string.h>

// Adds the loss of each label to *lossSum and, where `gradient` is not null,
// its gradient to it. Returns the number of labels.
static int64_t pass(const int32_t *ids, const int32_t *labels, const float *w,
                    int64_t tokens, int64_t vocab, double *lossSum,
                    float *gradient) {
  int64_t count = 0;
  for (int64_t i = 0; i < tokens; ++i) {
    if (labels[i] < 0)
      continue;
    const float *row = w + ids[i] * vocab;
    double largest = row[0], sum = 0;
    for (int64_t v = 1; v < vocab; ++v)
      if (row[v] > largest)
        largest = row[v];
    for (int64_t v = 0; v < vocab; ++v)
      sum += exp(row[v] - largest);
    *lossSum += largest + log(sum) - row[labels[i]];
    ++count;
    if (gradient)
      for (int64_t v = 0; v < vocab; ++v)
        gradient[ids[i] * vocab + v] +=
            (float)(exp(row[v] - largest) / sum - (v == labels[i]));
  }
  return count;
}

// ids, labels, group0.learning_rate, max_norm, W | loss, count, gradient_norm,
// applied, gradient (scratch), W
int bigram_train(void *const *buffers, const int64_t *scalars, int64_t chunk) {
  (void)chunk;
  int64_t tokens = scalars[0], vocab = scalars[1];
  float rate = *(const float *)buffers[2], limit = *(const float *)buffers[3];
  float *gradient = buffers[9], *w = buffers[10];
  memset(gradient, 0, sizeof(float) * vocab * vocab);
  double lossSum = 0, squares = 0;
  int64_t count =
      pass(buffers[0], buffers[1], w, tokens, vocab, &lossSum, gradient);
  for (int64_t i = 0; i < vocab * vocab; ++i)
    squares += (double)gradient[i] * gradient[i];
  double norm = sqrt(squares) / count;
  double scale = limit > 0 && norm > limit ? limit / norm : 1;
  int apply = isfinite(lossSum) && isfinite(norm);
  for (int64_t i = 0; i < vocab * vocab && apply; ++i)
    w[i] -= (float)(rate * scale / count * gradient[i]);
  *(float *)buffers[5] = (float)(lossSum / count);
  *(float *)buffers[6] = (float)count;
  *(float *)buffers[7] = (float)norm;
  *(float *)buffers[8] = (float)apply;
  return 0;
}

// ids, labels, W | loss_sum, count
int bigram_evaluate(void *const *buffers, const int64_t *scalars,
                    int64_t chunk) {
  (void)chunk;
  double lossSum = 0;
  int64_t count = pass(buffers[0], buffers[1], buffers[2], scalars[0],
                       scalars[1], &lossSum, 0);
  *(float *)buffers[3] = (float)lossSum;
  *(float *)buffers[4] = (float)count;
  return 0;
}

// ids, W | logits
int bigram_forward(void *const *buffers, const int64_t *scalars,
                   int64_t chunk) {
  (void)chunk;
  int64_t vocab = scalars[1];
  const int32_t *ids = buffers[0];
  for (int64_t i = 0; i < scalars[0]; ++i)
    memcpy((float *)buffers[2] + i * vocab,
           (const float *)buffers[1] + ids[i] * vocab, sizeof(float) * vocab);
  return 0;
}

// Fails, as a kernel on broken hardware would.
int bigram_fail(void *const *buffers, const int64_t *scalars, int64_t chunk) {
  (void)buffers;
  (void)scalars;
  (void)chunk;
  return 1;
}
