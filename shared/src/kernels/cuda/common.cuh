// What all kernels share: the formats, loads and stores of several elements at once, sums over
// warps and blocks, the dropout mask.
//
// Arithmetic is in f32; f16 and bf16 are formats of memory. Sums have one order, so that the same
// input gives the same bits on every run: no atomic addition of floats anywhere.
#pragma once

#ifdef QUINTET_EMULATOR
#include "emulator/emulator.hpp"
#else
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdint.h>

using f16 = __half;
using bf16 = __nv_bfloat16;

__device__ __forceinline__ float to_float(f16 x) { return __half2float(x); }
__device__ __forceinline__ float to_float(bf16 x) { return __bfloat162float(x); }
__device__ __forceinline__ f16 round_to(float x, f16) { return __float2half_rn(x); }
__device__ __forceinline__ bf16 round_to(float x, bf16) { return __float2bfloat16_rn(x); }

// A kernel that is launched with up to so many threads a block, and if a second number follows, with
// registers for at least so many blocks at once.
#define KERNEL(...) extern "C" __global__ void __launch_bounds__(__VA_ARGS__)
// Makes a kernel known to the emulator by its name.
#define REGISTER(kernel)
#define DYNAMIC_SHARED(name) extern __shared__ __align__(128) unsigned char name[]
#endif

using u32 = uint32_t;

// Instantiates X for every format of memory, or for every pair of them.
#define FORMATS(X) X(float, f32) X(f16, f16) X(bf16, bf16)
#define FORMAT_PAIRS(X)                                                            \
  X(float, f32, float, f32) X(float, f32, f16, f16) X(float, f32, bf16, bf16)      \
  X(f16, f16, float, f32) X(f16, f16, f16, f16) X(f16, f16, bf16, bf16)            \
  X(bf16, bf16, float, f32) X(bf16, bf16, f16, f16) X(bf16, bf16, bf16, bf16)

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float round_to(float x, float) { return x; }
template <class T>
__device__ __forceinline__ T from_float(float x) {
  return round_to(x, T());
}

// So many bytes that one instruction moves them, at an address that is a multiple of them.
template <int BYTES>
struct alignas(BYTES) Word {
  u32 parts[BYTES / 4];
};

// Elements i..i + N of an array that ends at `end`; those beyond are zero. `vector` promises that
// the array begins at a multiple of 16 bytes and i is a multiple of N.
template <int N, class T>
__device__ __forceinline__ void load(float (&values)[N], const T* from, size_t i, size_t end,
                                     bool vector) {
  constexpr int BYTES = N * sizeof(T) < 16 ? N * sizeof(T) : 16;
  constexpr int PART = BYTES / sizeof(T);
  if (vector && i + N <= end) {
#pragma unroll
    for (int part = 0; part < N / PART; ++part) {
      Word<BYTES> word = *reinterpret_cast<const Word<BYTES>*>(from + i + part * PART);
      const T* elements = reinterpret_cast<const T*>(&word);
#pragma unroll
      for (int k = 0; k < PART; ++k) values[part * PART + k] = to_float(elements[k]);
    }
  } else {
#pragma unroll
    for (int k = 0; k < N; ++k) values[k] = i + k < end ? to_float(from[i + k]) : 0.0f;
  }
}

// The counterpart of `load`; nothing is written beyond the end.
template <int N, class T>
__device__ __forceinline__ void store(T* to, const float (&values)[N], size_t i, size_t end,
                                      bool vector) {
  constexpr int BYTES = N * sizeof(T) < 16 ? N * sizeof(T) : 16;
  constexpr int PART = BYTES / sizeof(T);
  if (vector && i + N <= end) {
#pragma unroll
    for (int part = 0; part < N / PART; ++part) {
      Word<BYTES> word;
      T* elements = reinterpret_cast<T*>(&word);
#pragma unroll
      for (int k = 0; k < PART; ++k) elements[k] = from_float<T>(values[part * PART + k]);
      *reinterpret_cast<Word<BYTES>*>(to + i + part * PART) = word;
    }
  } else {
#pragma unroll
    for (int k = 0; k < N; ++k)
      if (i + k < end) to[i + k] = from_float<T>(values[k]);
  }
}

// The sum over groups of WIDTH neighbouring threads, in every one of them.
template <int WIDTH = 32, class T>
__device__ __forceinline__ T warp_sum(T value) {
#pragma unroll
  for (int distance = WIDTH / 2; distance > 0; distance /= 2)
    value += __shfl_xor_sync(0xffffffffu, value, distance);
  return value;
}

// N sums over a block of whole warps, in every thread.
template <class T, int N>
__device__ __forceinline__ void block_sums(T (&values)[N]) {
  __shared__ T of_warps[N][32];
  for (int n = 0; n < N; ++n) {
    T sum = warp_sum(values[n]);
    if (threadIdx.x % 32 == 0) of_warps[n][threadIdx.x / 32] = sum;
  }
  __syncthreads();
  for (int n = 0; n < N; ++n) {
    values[n] = 0;
    for (u32 warp = 0; warp < blockDim.x / 32; ++warp) values[n] += of_warps[n][warp];
  }
  // Before the next call writes.
  __syncthreads();
}

template <class T>
__device__ __forceinline__ T block_sum(T value) {
  T values[1] = {value};
  block_sums(values);
  return values[0];
}

// Whether this block is the last of `blocks` that come here; what the others wrote before is then there
// for `load_fresh`. `arrived` counts them; it is zero before and after.
__device__ __forceinline__ bool is_last(u32* arrived, u32 blocks) {
  __shared__ u32 last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    last = atomicAdd(arrived, 1) + 1 == blocks;
    if (last) *arrived = 0;
  }
  __syncthreads();
  __threadfence();
  return last;
}

// `load` of f32 that other blocks of this launch have written: past the cache of this processor.
template <int N>
__device__ __forceinline__ void load_fresh(float (&values)[N], const float* from, size_t i,
                                           size_t end, bool vector) {
  static_assert(N == 4, "one word");
  if (vector && i + N <= end) {
    float4 word = __ldcg(reinterpret_cast<const float4*>(from + i));
    values[0] = word.x, values[1] = word.y, values[2] = word.z, values[3] = word.w;
  } else {
    for (int k = 0; k < N; ++k) values[k] = i + k < end ? __ldcg(from + i + k) : 0.0f;
  }
}

// Random numbers by counting, bit for bit those of random.rs.
__device__ __forceinline__ u32 hash32(u32 x) {
  x = (x ^ (x >> 16)) * 0x21f0aaadu;
  x = (x ^ (x >> 15)) * 0x735a2d97u;
  return x ^ (x >> 15);
}

// A dropout mask; with threshold 0 and scale 1 it keeps everything as it is.
struct Mask {
  u32 key0, key1, threshold;
  float scale;

  // What to multiply the element at `index` by.
  __device__ __forceinline__ float factor(u32 index) const {
    if (threshold == 0) return scale;
    return hash32(hash32(index ^ key0) + key1) >= threshold ? scale : 0.0f;
  }
};
