// What surrounds the matrix products of a linear layer: its bias, and the bias's gradient.
#include "columns.cuh"

// x[row, column] += bias[column] in place: x [rows, width] of n elements, bias f32 [width]. The grid
// is (columns / COLUMNS_A_BLOCK, chunks of rows).
template <class T>
__device__ void add_bias(T* x, const float* bias, u32 rows, u32 width, u32 rows_a_chunk,
                         bool vector) {
  u32 column = first_column();
  if (column >= width) return;
  float b[COLUMNS];
  load(b, bias, column, width, vector);
  u32 end = min(rows, (blockIdx.y + 1) * rows_a_chunk);
  for (u32 row = blockIdx.y * rows_a_chunk + threadIdx.x / 32; row < end; row += 8) {
    T* values = x + size_t(row) * width;
    float v[COLUMNS];
    load(v, values, column, width, vector);
    for (int k = 0; k < COLUMNS; ++k) v[k] += b[k];
    store(values, v, column, width, vector);
  }
}

// The sums of chunks of rows: x [rows, width] -> output f32 [chunks, width]; a single chunk may be
// added to what is there.
template <class T>
__device__ void column_sums(const T* x, float* output, u32 rows, u32 width, u32 rows_a_chunk,
                            bool add, bool vector) {
  u32 column = first_column();
  u32 end = min(rows, (blockIdx.y + 1) * rows_a_chunk);
  float sums[COLUMNS] = {};
  for (u32 row = blockIdx.y * rows_a_chunk + threadIdx.x / 32; row < end && column < width;
       row += 8) {
    float v[COLUMNS];
    load(v, x + size_t(row) * width, column, width, vector);
    for (int k = 0; k < COLUMNS; ++k) sums[k] += v[k];
  }
  sum_over_warps(sums);
  if (threadIdx.x >= 32) return;
  for (int k = 0; k < COLUMNS && column + k < width; ++k) {
    float* to = output + size_t(blockIdx.y) * width + column + k;
    *to = add ? *to + sums[k] : sums[k];
  }
}

// The sums over chunks of one to three vectors at once: partial [chunks, count, width] -> targets
// [width] each, replaced or added to.
KERNEL(256) sum_partials(const float* partial, u32 chunks, u32 width, u32 count, float* target0,
                         float* target1, float* target2, u32 add0, u32 add1, u32 add2,
                         u32 vector) {
  u32 column = first_column(), all = count * width;
  float sums[COLUMNS] = {};
  for (u32 chunk = threadIdx.x / 32; chunk < chunks && column < all; chunk += 8) {
    float v[COLUMNS];
    load(v, partial + size_t(chunk) * all, column, all, vector);
    for (int k = 0; k < COLUMNS; ++k) sums[k] += v[k];
  }
  sum_over_warps(sums);
  if (threadIdx.x >= 32) return;
  for (int k = 0; k < COLUMNS && column + k < all; ++k) {
    u32 which = (column + k) / width;
    float* to = (which == 0 ? target0 : which == 1 ? target1 : target2) + (column + k) % width;
    u32 add = which == 0 ? add0 : which == 1 ? add1 : add2;
    *to = add ? *to + sums[k] : sums[k];
  }
}
REGISTER(sum_partials)

#define LINEAR(T, format)                                                                      \
  KERNEL(256) add_bias_##format(T* x, const float* bias, u32 rows, u32 width,                  \
                                u32 rows_a_chunk, u32 vector) {                                \
    add_bias<T>(x, bias, rows, width, rows_a_chunk, vector);                                   \
  }                                                                                            \
  REGISTER(add_bias_##format)                                                                  \
  KERNEL(256) column_sums_##format(const T* x, float* output, u32 rows, u32 width,             \
                                   u32 rows_a_chunk, u32 add, u32 vector) {                    \
    column_sums<T>(x, output, rows, width, rows_a_chunk, add, vector);                         \
  }                                                                                            \
  REGISTER(column_sums_##format)
FORMATS(LINEAR)
