// What surrounds the matrix products of a linear layer: its bias, and the bias's gradient.
#include "columns.cuh"

// x[row, column] += bias[column] in place: x [rows, width], bias f32 in blocks of `block` elements whose begins
// are `distance` apart. The grid is (columns / COLUMNS_A_BLOCK, chunks of rows).
template <class T>
__device__ void add_bias(T* x, const float* bias, u32 block, u32 distance, u32 rows, u32 width,
                         u32 rows_a_chunk, bool vector) {
  u32 column = first_column();
  if (column >= width) return;
  float b[COLUMNS];
  for (u32 k = 0; k < COLUMNS; ++k) {
    u32 i = min(column + k, width - 1);
    b[k] = bias[size_t(i / block) * distance + i % block];
  }
  u32 end = min(rows, (blockIdx.y + 1) * rows_a_chunk);
  for (u32 row = blockIdx.y * rows_a_chunk + threadIdx.x / 32; row < end; row += 8) {
    T* values = x + size_t(row) * width;
    float v[COLUMNS];
    load(v, values, column, width, vector);
    for (int k = 0; k < COLUMNS; ++k) v[k] += b[k];
    store(values, v, column, width, vector);
  }
}

// The sums over the rows of x [rows, width]; see finish_sums.
template <class T>
__device__ void column_sums(const T* x, const Sums& to, float* partial, u32* arrived, u32 rows,
                            u32 width, u32 rows_a_chunk, bool vector) {
  u32 column = first_column();
  u32 end = min(rows, (blockIdx.y + 1) * rows_a_chunk);
  float sums[COLUMNS] = {};
  for (u32 row = blockIdx.y * rows_a_chunk + threadIdx.x / 32; row < end && column < width;
       row += 8) {
    float v[COLUMNS];
    load(v, x + size_t(row) * width, column, width, vector);
    for (int k = 0; k < COLUMNS; ++k) sums[k] += v[k];
  }
  finish_sums(sums, to, partial, arrived, width, vector);
}

#define LINEAR(T, format)                                                                      \
  KERNEL(256) add_bias_##format(T* x, const float* bias, u32 block, u32 distance, u32 rows,    \
                                u32 width, u32 rows_a_chunk, u32 vector) {                     \
    add_bias<T>(x, bias, block, distance, rows, width, rows_a_chunk, vector);                  \
  }                                                                                            \
  REGISTER(add_bias_##format)                                                                  \
  KERNEL(256) column_sums_##format(const T* x, float* to, u32 block, u32 distance, u32 add,    \
                                   float* partial, u32* arrived, u32 rows, u32 width,          \
                                   u32 rows_a_chunk, u32 vector) {                             \
    column_sums<T>(x, Sums{to, block, distance, add != 0}, partial, arrived, rows, width,      \
                   rows_a_chunk, vector);                                                      \
  }                                                                                            \
  REGISTER(column_sums_##format)
FORMATS(LINEAR)
