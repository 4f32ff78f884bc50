// Tiles of matrices in shared memory, and their products by a whole block.
#pragma once
#include "common.cuh"

#ifndef QUINTET_EMULATOR
#include <mma.h>

#include <type_traits>
#endif

// Rows of tiles begin so many elements beyond their width apart: rows then begin in different
// banks, and every 16 x 16 block at a multiple of 32 bytes.
template <class T>
constexpr u32 PADDING = 16 / sizeof(T);

// Hands out parts of the dynamic shared memory.
struct Shared {
  unsigned char* next;

  template <class T>
  __device__ __forceinline__ T* take(u32 elements) {
    T* begin = reinterpret_cast<T*>(next);
    next += (elements * sizeof(T) + 127) / 128 * 128;
    return begin;
  }
};

// Columns column..column + size of the rows first..first + rows of a matrix `from`, rows `stride`
// apart, into a tile `to` [rows, padded]. Rows outside 0..end and columns beyond size are zero.
template <class T>
__device__ __forceinline__ void load_tile(T* to, u32 rows, u32 padded, const T* from, int first,
                                          int end, u32 stride, u32 column, u32 size,
                                          bool vector) {
  constexpr u32 EACH = 16 / sizeof(T);
  u32 pieces = padded / EACH, to_stride = padded + PADDING<T>;
  for (u32 piece = threadIdx.x; piece < rows * pieces; piece += blockDim.x) {
    u32 row = piece / pieces, i = piece % pieces * EACH;
    int from_row = first + int(row);
    bool inside = from_row >= 0 && from_row < end;
    T* target = to + row * to_stride + i;
    const T* source = from + size_t(inside ? from_row : 0) * stride + column + i;
    if (vector && (i + EACH <= size || !inside)) {
      Word<16> word = {};
      if (inside) word = *reinterpret_cast<const Word<16>*>(source);
      *reinterpret_cast<Word<16>*>(target) = word;
    } else {
      for (u32 k = 0; k < EACH; ++k)
        target[k] = inside && i + k < size ? source[k] : from_float<T>(0);
    }
  }
}

// Whether the card has matrix units for a format.
template <class T>
constexpr bool MATRIX_UNITS = false;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 700
template <>
constexpr bool MATRIX_UNITS<f16> = true;
#endif
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
template <>
constexpr bool MATRIX_UNITS<bf16> = true;
#endif

// A product a b over `depth`, a multiple of 16, of matrices in shared memory. With A_TURNED element a(i, k)
// lies at a[k * a_stride + i], else at a[i * a_stride + k]; likewise b(k, j) at b[j * b_stride + k] or
// b[k * b_stride + j].
template <bool A_TURNED, bool B_TURNED, class T>
struct Factors {
  const T* a;
  u32 a_stride;
  const T* b;
  u32 b_stride, depth;

  // Adds one warp's 16 x 16 block from (i, j) on, by plain multiplication and addition: each thread has two
  // rows and four columns.
  __device__ __forceinline__ void add_block(float (&sums)[2][4], u32 i, u32 j) const {
    u32 lane = threadIdx.x % 32;
    i += lane / 4 * 2, j += lane % 4 * 4;
    for (u32 k = 0; k < depth; ++k) {
      float left[2], right[4];
      for (u32 row = 0; row < 2; ++row)
        left[row] = to_float(A_TURNED ? a[k * a_stride + i + row] : a[(i + row) * a_stride + k]);
      for (u32 column = 0; column < 4; ++column)
        right[column] =
            to_float(B_TURNED ? b[(j + column) * b_stride + k] : b[k * b_stride + j + column]);
      for (int row = 0; row < 2; ++row)
        for (int column = 0; column < 4; ++column) sums[row][column] += left[row] * right[column];
    }
  }

#ifndef QUINTET_EMULATOR
  // The same by the matrix units.
  template <class Sums>
  __device__ __forceinline__ void add_block_wmma(Sums& sums, u32 i, u32 j) const {
    using namespace nvcuda::wmma;
    using ALayout = std::conditional_t<A_TURNED, col_major, row_major>;
    using BLayout = std::conditional_t<B_TURNED, col_major, row_major>;
    for (u32 k = 0; k < depth; k += 16) {
      fragment<matrix_a, 16, 16, 16, T, ALayout> left;
      fragment<matrix_b, 16, 16, 16, T, BLayout> right;
      load_matrix_sync(left, a + (A_TURNED ? k * a_stride + i : i * a_stride + k), a_stride);
      load_matrix_sync(right, b + (B_TURNED ? j * b_stride + k : k * b_stride + j), b_stride);
      mma_sync(sums, left, right, sums);
    }
  }
#endif
};

// c = the sum of all products, or added to c: [m, n], multiples of 16. c is f32, in shared or global memory.
//
// Each 16 x 16 block of c is one warp's work, block t that of warp t + first_warp: several of these between two
// barriers keep all warps busy, and two that add to one c with the same first_warp need none between them.
template <class T, class... F>
__device__ __forceinline__ void tile_products(float* c, u32 c_stride, u32 m, u32 n, bool add,
                                              u32 first_warp, const F&... factors) {
  u32 warps = blockDim.x / 32, across = n / 16, blocks = m / 16 * across;
  u32 warp = (threadIdx.x / 32 + warps - first_warp % warps) % warps;
  for (u32 block = warp; block < blocks; block += warps) {
    u32 i = block / across * 16, j = block % across * 16;
    float* to = c + size_t(i) * c_stride + j;
#ifndef QUINTET_EMULATOR
    if constexpr (MATRIX_UNITS<T>) {
      using namespace nvcuda::wmma;
      fragment<accumulator, 16, 16, 16, float> sums;
      if (add) {
        load_matrix_sync(sums, to, c_stride, mem_row_major);
      } else {
        fill_fragment(sums, 0.0f);
      }
      (factors.add_block_wmma(sums, i, j), ...);
      store_matrix_sync(to, sums, c_stride, mem_row_major);
      continue;
    }
#endif
    to += size_t(threadIdx.x % 32 / 4 * 2) * c_stride + threadIdx.x % 4 * 4;
    float sums[2][4];
    for (int row = 0; row < 2; ++row)
      for (int column = 0; column < 4; ++column)
        sums[row][column] = add ? to[row * c_stride + column] : 0.0f;
    (factors.add_block(sums, i, j), ...);
    for (int row = 0; row < 2; ++row)
      for (int column = 0; column < 4; ++column) to[row * c_stride + column] = sums[row][column];
  }
}

// The same of one product.
template <bool A_TURNED, bool B_TURNED, class T>
__device__ __forceinline__ void tile_product(float* c, u32 c_stride, const T* a, u32 a_stride,
                                             const T* b, u32 b_stride, u32 m, u32 n, u32 depth,
                                             bool add, u32 first_warp) {
  tile_products<T>(c, c_stride, m, n, add, first_warp,
                   Factors<A_TURNED, B_TURNED, T>{a, a_stride, b, b_stride, depth});
}
