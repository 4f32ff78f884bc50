// Work on elements that stand alone. All arrays have n elements; a thread does EACH of them.
#include "common.cuh"

constexpr int EACH = 8;

__device__ __forceinline__ size_t first_element() {
  return (size_t(blockIdx.x) * blockDim.x + threadIdx.x) * EACH;
}

// y = f(a).
template <class A, class Y, class F>
__device__ __forceinline__ void map(const A* a, Y* y, u32 n, bool vector, F f) {
  size_t i = first_element();
  float v[EACH];
  load(v, a, i, n, vector);
  for (int k = 0; k < EACH; ++k) v[k] = f(v[k]);
  store(y, v, i, n, vector);
}

template <class A, class B>
__device__ __forceinline__ void add_assign(A* sum, const B* addend, u32 n, bool vector) {
  size_t i = first_element();
  float v[EACH], w[EACH];
  load(v, sum, i, n, vector);
  load(w, addend, i, n, vector);
  for (int k = 0; k < EACH; ++k) v[k] += w[k];
  store(sum, v, i, n, vector);
}

// y = x with the mask applied, and a copy of it in another format unless `half` is null.
template <class X, class H>
__device__ void dropout(const X* x, X* y, H* half, Mask mask, u32 n, bool vector) {
  size_t i = first_element();
  float v[EACH];
  load(v, x, i, n, vector);
  for (int k = 0; k < EACH; ++k) v[k] *= mask.factor(u32(i) + k);
  store(y, v, i, n, vector);
  if (half) store(half, v, i, n, vector);
}

// x [rows, width] of n elements -> y [rows, masks * width]: beside each other x under each of the masks, whose
// keys are [masks, 2]. The grid is (elements, masks).
template <class Y>
__device__ void dropout_each(const float* x, Y* y, const u32* keys, u32 threshold, float scale,
                             u32 n, u32 width, bool vector) {
  size_t i = first_element();
  u32 which = blockIdx.y, masks = gridDim.y;
  Mask mask{keys[2 * which], keys[2 * which + 1], threshold, scale};
  float v[EACH];
  load(v, x, i, n, vector);
  for (int k = 0; k < EACH; ++k) v[k] *= mask.factor(u32(i) + k);
  if (vector) {
    // All in one row.
    if (i < n) store(y + (i / width * masks + which) * width, v, i % width, width, true);
  } else {
    for (size_t k = 0; k < EACH && i + k < n; ++k)
      y[((i + k) / width * masks + which) * width + (i + k) % width] = from_float<Y>(v[k]);
  }
}

// The sum of the gradients of the blocks of y that dropout_each gave, that of the last mask first: gradient
// [rows, masks * width] -> by_x [rows, width] of n elements.
KERNEL(256) dropout_each_backward(const float* gradient, float* by_x, const u32* keys, u32 masks,
                                  u32 threshold, float scale, u32 n, u32 width, u32 vector) {
  size_t i = first_element();
  if (i >= n) return;
  float sums[EACH] = {};
  for (u32 which = masks; which-- > 0;) {
    Mask mask{keys[2 * which], keys[2 * which + 1], threshold, scale};
    float v[EACH];
    if (vector) {
      load(v, gradient + (i / width * masks + which) * width, i % width, width, true);
    } else {
      for (size_t k = 0; k < EACH; ++k) {
        size_t at = min(u32(i + k), n - 1);
        v[k] = gradient[(at / width * masks + which) * width + at % width];
      }
    }
    for (int k = 0; k < EACH; ++k) sums[k] += v[k] * mask.factor(u32(i) + k);
  }
  store(by_x, sums, i, n, vector);
}
REGISTER(dropout_each_backward)

KERNEL(256) zero(float* values, u32 n, u32 vector) {
  float v[EACH] = {};
  store(values, v, first_element(), n, vector);
}
REGISTER(zero)

#define ELEMENTWISE(T, format)                                                                 \
  KERNEL(256) sigmoid_##format(const T* x, float* y, u32 n, u32 vector) {                      \
    map(x, y, n, vector, [](float v) { return 1.0f / (1.0f + expf(-v)); });                    \
  }                                                                                            \
  REGISTER(sigmoid_##format)                                                                   \
  KERNEL(256) dropout_each_##format(const float* x, T* y, const u32* keys, u32 threshold,      \
                                    float scale, u32 n, u32 width, u32 vector) {               \
    dropout_each<T>(x, y, keys, threshold, scale, n, width, vector);                           \
  }                                                                                            \
  REGISTER(dropout_each_##format)
FORMATS(ELEMENTWISE)

#define ELEMENTWISE_PAIR(X, x_format, Y, y_format)                                             \
  KERNEL(256) add_assign_##x_format##_##y_format(X* sum, const Y* addend, u32 n, u32 vector) { \
    add_assign(sum, addend, n, vector);                                                        \
  }                                                                                            \
  REGISTER(add_assign_##x_format##_##y_format)                                                 \
  KERNEL(256) cast_##x_format##_##y_format(const X* x, Y* y, u32 n, u32 vector) {              \
    map(x, y, n, vector, [](float v) { return v; });                                           \
  }                                                                                            \
  REGISTER(cast_##x_format##_##y_format)                                                       \
  KERNEL(256) dropout_##x_format##_##y_format(const X* x, X* y, Y* half, u32 key0, u32 key1,   \
                                              u32 threshold, float scale, u32 n, u32 vector) { \
    dropout<X, Y>(x, y, half, Mask{key0, key1, threshold, scale}, n, vector);                  \
  }                                                                                            \
  REGISTER(dropout_##x_format##_##y_format)
FORMAT_PAIRS(ELEMENTWISE_PAIR)
