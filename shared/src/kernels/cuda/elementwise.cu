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

KERNEL(256) zero(u32* words, u32 n) {
  size_t i = first_element();
  for (int k = 0; k < EACH; ++k)
    if (i + k < n) words[i + k] = 0;
}
REGISTER(zero)

#define ELEMENTWISE(T, format)                                                                 \
  KERNEL(256) sigmoid_##format(const T* x, float* y, u32 n, u32 vector) {                      \
    map(x, y, n, vector, [](float v) { return 1.0f / (1.0f + expf(-v)); });                    \
  }                                                                                            \
  REGISTER(sigmoid_##format)
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
