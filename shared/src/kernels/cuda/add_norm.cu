// Layer normalisation of a sum: y = gamma * hat + beta, hat = (s - mean(s)) / deviation(s), with
// s = dropout(x + bias) + residual, or s = x alone (see add_norm.rs beside cuda/).
//
// A block has a row at a time; between its passes the row lies in shared memory, each element used
// only by the thread that put it there.
#include "common.cuh"

constexpr int EACH = 4;

// Blocks whose sums over rows the last of them adds up; what the groups have is added up by the last group.
constexpr u32 GROUP = 16;

// x [rows, width]; bias [width] and residual [rows, width] are null for s = x. -> y [rows, width],
// the same in another format unless `half` is null, and for the backward pass `hat` [rows, width]
// and 1 / deviation [rows]. One block a row; `width` floats of shared memory.
template <class X, class H>
__device__ void add_norm_forward(const X* x, const float* bias, const float* residual, Mask mask,
                                 const float* gamma, const float* beta, float eps, float* y,
                                 H* half, float* hat, float* inverse_deviation, u32 width,
                                 bool vector) {
  DYNAMIC_SHARED(shared);
  float* s = reinterpret_cast<float*>(shared);
  size_t start = size_t(blockIdx.x) * width;
  u32 step = blockDim.x * EACH;

  float sum = 0;
  for (u32 i = threadIdx.x * EACH; i < width; i += step) {
    float v[EACH];
    load(v, x + start, i, width, vector);
    if (bias) {
      float b[EACH], r[EACH];
      load(b, bias, i, width, vector);
      load(r, residual + start, i, width, vector);
      for (int k = 0; k < EACH; ++k)
        v[k] = (v[k] + b[k]) * mask.factor(u32(start) + i + k) + r[k];
    }
    for (int k = 0; k < EACH && i + k < width; ++k) {
      s[i + k] = v[k];
      sum += v[k];
    }
  }
  float mean = block_sum(sum) / width;

  float squares = 0;
  for (u32 i = threadIdx.x * EACH; i < width; i += step)
    for (int k = 0; k < EACH && i + k < width; ++k) {
      float centred = s[i + k] - mean;
      squares += centred * centred;
    }
  float inverse = 1.0f / sqrtf(block_sum(squares) / width + eps);
  if (threadIdx.x == 0) inverse_deviation[blockIdx.x] = inverse;

  for (u32 i = threadIdx.x * EACH; i < width; i += step) {
    float v[EACH], g[EACH], b[EACH];
    load(g, gamma, i, width, vector);
    load(b, beta, i, width, vector);
    for (int k = 0; k < EACH; ++k) v[k] = i + k < width ? (s[i + k] - mean) * inverse : 0.0f;
    store(hat + start, v, i, width, vector);
    for (int k = 0; k < EACH; ++k) v[k] = v[k] * g[k] + b[k];
    store(y + start, v, i, width, vector);
    if (half) store(half + start, v, i, width, vector);
  }
}

// The places of the gradients of gamma, beta and the bias, each [width], replaced or added to.
struct Targets {
  float *gamma, *beta, *bias;
  u32 add_gamma, add_beta, add_bias;

  // Takes the sum of a column of [2 or 3, width].
  __device__ __forceinline__ void put(u32 column, u32 width, float sum) const {
    u32 which = column / width;
    float* at = (which == 0 ? gamma : which == 1 ? beta : bias) + column % width;
    u32 add = which == 0 ? add_gamma : which == 1 ? add_beta : add_bias;
    *at = add ? *at + sum : sum;
  }
};

// Adds up rows of partial [blocks, all] that other blocks have written and hands each sum to `put`.
template <class F>
__device__ __forceinline__ void sum_rows(const float* partial, u32 rows, u32 all, bool vector, F put) {
  for (u32 i = threadIdx.x * EACH; i < all; i += blockDim.x * EACH) {
    float sums[EACH] = {};
#pragma unroll 8
    for (u32 row = 0; row < rows; ++row) {
      float v[EACH];
      load_fresh(v, partial + size_t(row) * all, i, all, vector);
      for (int k = 0; k < EACH; ++k) sums[k] += v[k];
    }
    put(i, sums);
  }
}

// gradient [rows, width] of y -> by_sum [rows, width]; by_x [rows, width] unless null; and the sums over
// rows that are the gradients of gamma, beta and, with by_x, the bias. partial [blocks + groups, 2 or 3,
// width] is scratch; `arrived` has a counter for the groups, and one for each. 4 * width floats of shared memory.
template <class X>
__device__ void add_norm_backward(const float* gradient, const float* hat,
                                  const float* inverse_deviation, const float* gamma, Mask mask,
                                  float* by_sum, X* by_x, const Targets& targets, float* partial,
                                  u32* arrived, u32 rows, u32 width, u32 rows_a_block,
                                  bool vector) {
  DYNAMIC_SHARED(shared);
  float* h = reinterpret_cast<float*>(shared);
  float *by_gamma = h + width, *by_beta = by_gamma + width, *by_bias = by_beta + width;
  u32 step = blockDim.x * EACH;
  for (u32 i = threadIdx.x * EACH; i < width; i += step)
    for (int k = 0; k < EACH && i + k < width; ++k)
      by_gamma[i + k] = by_beta[i + k] = by_bias[i + k] = 0;

  u32 end = min(rows, (blockIdx.x + 1) * rows_a_block);
  for (u32 row = blockIdx.x * rows_a_block; row < end; ++row) {
    size_t start = size_t(row) * width;
    float sums[2] = {};
    for (u32 i = threadIdx.x * EACH; i < width; i += step) {
      float g[EACH], n[EACH], w[EACH];
      load(g, gradient + start, i, width, vector);
      load(n, hat + start, i, width, vector);
      load(w, gamma, i, width, vector);
      for (int k = 0; k < EACH && i + k < width; ++k) {
        float scaled = g[k] * w[k];
        h[i + k] = scaled;
        sums[0] += scaled;
        sums[1] += scaled * n[k];
        by_gamma[i + k] += g[k] * n[k];
        by_beta[i + k] += g[k];
      }
    }
    block_sums(sums);
    float mean = sums[0] / width, correlation = sums[1] / width;
    float inverse = inverse_deviation[row];
    for (u32 i = threadIdx.x * EACH; i < width; i += step) {
      float v[EACH], n[EACH];
      load(n, hat + start, i, width, vector);
      for (int k = 0; k < EACH; ++k)
        v[k] = i + k < width ? inverse * (h[i + k] - mean - n[k] * correlation) : 0.0f;
      store(by_sum + start, v, i, width, vector);
      if (!by_x) continue;
      for (int k = 0; k < EACH && i + k < width; ++k) {
        v[k] *= mask.factor(u32(start) + i + k);
        by_bias[i + k] += v[k];
      }
      store(by_x + start, v, i, width, vector);
    }
  }

  u32 vectors = by_x ? 3 : 2;
  float* to = partial + size_t(blockIdx.x) * vectors * width;
  for (u32 i = threadIdx.x * EACH; i < width; i += step)
    for (int k = 0; k < EACH && i + k < width; ++k) {
      to[i + k] = by_gamma[i + k];
      to[width + i + k] = by_beta[i + k];
      if (by_x) to[2 * width + i + k] = by_bias[i + k];
    }

  u32 all = vectors * width, group = blockIdx.x / GROUP, groups = (gridDim.x + GROUP - 1) / GROUP;
  u32 members = min(GROUP, gridDim.x - group * GROUP);
  if (!is_last(arrived + 1 + group, members)) return;
  auto to_targets = [&](u32 i, const float (&sums)[EACH]) {
    for (int k = 0; k < EACH && i + k < all; ++k) targets.put(i + k, width, sums[k]);
  };
  const float* of_blocks = partial + size_t(group) * GROUP * all;
  float* of_groups = partial + size_t(gridDim.x) * all;
  if (groups == 1) {
    sum_rows(of_blocks, members, all, vector, to_targets);
    return;
  }
  sum_rows(of_blocks, members, all, vector, [&](u32 i, const float (&sums)[EACH]) {
    store(of_groups + size_t(group) * all, sums, i, all, vector);
  });
  if (is_last(arrived, groups)) sum_rows(of_groups, groups, all, vector, to_targets);
}

#define ADD_NORM_FORWARD(X, x_format, H, half_format)                                          \
  KERNEL(256) add_norm_forward_##x_format##_##half_format(                                     \
      const X* x, const float* bias, const float* residual, u32 key0, u32 key1, u32 threshold, \
      float scale, const float* gamma, const float* beta, float eps, float* y, H* half,        \
      float* hat, float* inverse_deviation, u32 width, u32 vector) {                           \
    add_norm_forward<X, H>(x, bias, residual, Mask{key0, key1, threshold, scale}, gamma, beta, \
                           eps, y, half, hat, inverse_deviation, width, vector);               \
  }                                                                                            \
  REGISTER(add_norm_forward_##x_format##_##half_format)
FORMAT_PAIRS(ADD_NORM_FORWARD)

#define ADD_NORM_BACKWARD(X, format)                                                           \
  KERNEL(256) add_norm_backward_##format(                                                      \
      const float* gradient, const float* hat, const float* inverse_deviation,                 \
      const float* gamma, u32 key0, u32 key1, u32 threshold, float scale, float* by_sum,       \
      X* by_x, float* by_gamma, float* by_beta, float* by_bias, u32 add_gamma, u32 add_beta,   \
      u32 add_bias, float* partial, u32* arrived, u32 rows, u32 width, u32 rows_a_block,       \
      u32 vector) {                                                                            \
    add_norm_backward<X>(gradient, hat, inverse_deviation, gamma,                              \
                         Mask{key0, key1, threshold, scale}, by_sum, by_x,                     \
                         Targets{by_gamma, by_beta, by_bias, add_gamma, add_beta, add_bias},   \
                         partial, arrived, rows, width, rows_a_block, vector);                 \
  }                                                                                            \
  REGISTER(add_norm_backward_##format)
FORMATS(ADD_NORM_BACKWARD)
