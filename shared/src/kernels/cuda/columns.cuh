// Sums over the rows of a matrix, in two launches: chunks of rows first, then over the chunks.
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
