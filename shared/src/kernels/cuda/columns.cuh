// Sums over the rows of a matrix: chunks of rows first, and where a chunk is the last of its columns to be
// summed, over the chunks.
#pragma once
#include "common.cuh"

// Blocks of 32 x 8 threads; a thread has COLUMNS neighbouring columns of every eighth row.
constexpr int COLUMNS = 4;
constexpr u32 COLUMNS_A_BLOCK = 32 * COLUMNS;

// Where this thread's columns begin.
__device__ __forceinline__ u32 first_column() {
  return (blockIdx.x * 32 + threadIdx.x % 32) * COLUMNS;
}

// Sums what the eight warps of a block have found for their columns; the first gets the sums.
__device__ __forceinline__ void sum_over_warps(float (&sums)[COLUMNS]) {
  __shared__ float of_warps[8][COLUMNS_A_BLOCK];
  u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (int k = 0; k < COLUMNS; ++k) of_warps[warp][lane * COLUMNS + k] = sums[k];
  __syncthreads();
  if (warp == 0)
    for (int k = 0; k < COLUMNS; ++k) {
      float sum = of_warps[0][lane * COLUMNS + k];
      for (int other = 1; other < 8; ++other) sum += of_warps[other][lane * COLUMNS + k];
      sums[k] = sum;
    }
}

// The place of sums over rows: blocks of `block` neighbouring elements whose begins are `distance` apart,
// one block where the sums belong to one vector. They are replaced or added to.
struct Sums {
  float* to;
  u32 block, distance;
  bool add;

  __device__ __forceinline__ void put(u32 column, float sum) const {
    float* at = to + size_t(column / block) * distance + column % block;
    *at = add ? *at + sum : sum;
  }
};

// Puts the sums over all rows, given those of each thread's rows and columns. The grid is (columns /
// COLUMNS_A_BLOCK, chunks of rows); partial [chunks, width] is scratch, and `arrived` has a counter for
// each block of columns.
__device__ __forceinline__ void finish_sums(float (&sums)[COLUMNS], const Sums& to, float* partial,
                                            u32* arrived, u32 width, bool vector) {
  u32 column = first_column(), chunks = gridDim.y;
  sum_over_warps(sums);
  if (chunks > 1) {
    if (threadIdx.x < 32)
      store(partial + size_t(blockIdx.y) * width, sums, column, width, vector);
    if (!is_last(arrived + blockIdx.x, chunks)) return;
    for (int k = 0; k < COLUMNS; ++k) sums[k] = 0;
    for (u32 chunk = threadIdx.x / 32; chunk < chunks && column < width; chunk += 8) {
      float v[COLUMNS];
      load_fresh(v, partial + size_t(chunk) * width, column, width, vector);
      for (int k = 0; k < COLUMNS; ++k) sums[k] += v[k];
    }
    sum_over_warps(sums);
  }
  if (threadIdx.x >= 32) return;
  for (int k = 0; k < COLUMNS && column + k < width; ++k) to.put(column + k, sums[k]);
}
