// Bias and the exact GELU in one pass: y = z Phi(z), z = product + bias (see gelu.rs beside cuda/).
#include "columns.cuh"

__device__ __forceinline__ float normal_cdf(float z) {
  return 0.5f + 0.5f * erff(z * 0.707106781f);
}

__device__ __forceinline__ float normal_density(float z) {
  return 0.398942280f * expf(-0.5f * z * z);
}

// product [rows, width], bias f32 [width] -> y [rows, width]. The grid is as add_bias's.
template <class T>
__device__ void gelu_forward(const T* product, const float* bias, T* y, u32 rows, u32 width,
                             u32 rows_a_chunk, bool vector) {
  u32 column = first_column();
  if (column >= width) return;
  float b[COLUMNS];
  load(b, bias, column, width, vector);
  u32 end = min(rows, (blockIdx.y + 1) * rows_a_chunk);
  for (u32 row = blockIdx.y * rows_a_chunk + threadIdx.x / 32; row < end; row += 8) {
    size_t at = size_t(row) * width;
    float v[COLUMNS];
    load(v, product + at, column, width, vector);
    for (int k = 0; k < COLUMNS; ++k) {
      float z = v[k] + b[k];
      v[k] = z * normal_cdf(z);
    }
    store(y + at, v, column, width, vector);
  }
}

// gradient [rows, width] of y -> by_product [rows, width] and the sums of its columns: the gradient of the
// bias.
template <class T>
__device__ void gelu_backward(const T* gradient, const T* product, const float* bias,
                              T* by_product, const Sums& by_bias, float* partial, u32* arrived,
                              u32 rows, u32 width, u32 rows_a_chunk, bool vector) {
  u32 column = first_column();
  float b[COLUMNS], sums[COLUMNS] = {};
  load(b, bias, column, width, vector);
  u32 end = min(rows, (blockIdx.y + 1) * rows_a_chunk);
  for (u32 row = blockIdx.y * rows_a_chunk + threadIdx.x / 32; row < end && column < width;
       row += 8) {
    size_t at = size_t(row) * width;
    float v[COLUMNS], g[COLUMNS];
    load(v, product + at, column, width, vector);
    load(g, gradient + at, column, width, vector);
    for (int k = 0; k < COLUMNS; ++k) {
      float z = v[k] + b[k];
      v[k] = g[k] * (normal_cdf(z) + z * normal_density(z));
      sums[k] += v[k];
    }
    store(by_product + at, v, column, width, vector);
  }
  finish_sums(sums, by_bias, partial, arrived, width, vector);
}

#define GELU(T, format)                                                                        \
  KERNEL(256) gelu_forward_##format(const T* product, const float* bias, T* y, u32 rows,       \
                                    u32 width, u32 rows_a_chunk, u32 vector) {                 \
    gelu_forward<T>(product, bias, y, rows, width, rows_a_chunk, vector);                      \
  }                                                                                            \
  REGISTER(gelu_forward_##format)                                                              \
  KERNEL(256) gelu_backward_##format(const T* gradient, const T* product, const float* bias,   \
                                     T* by_product, float* by_bias, u32 add, float* partial,   \
                                     u32* arrived, u32 rows, u32 width, u32 rows_a_chunk,      \
                                     u32 vector) {                                             \
    gelu_backward<T>(gradient, product, bias, by_product,                                      \
                     Sums{by_bias, width, width, add != 0}, partial, arrived, rows, width,     \
                     rows_a_chunk, vector);                                                    \
  }                                                                                            \
  REGISTER(gelu_backward_##format)
FORMATS(GELU)
