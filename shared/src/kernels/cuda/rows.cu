// Rows of a table, picked by index, and gradients sent back to them.
#include "common.cuh"

constexpr int EACH = 4;

// table [n, width], indices [rows] -> output [rows, width]; one block a row.
template <class T>
__device__ void gather(const T* table, const u32* indices, T* output, u32 width, bool vector) {
  const T* from = table + size_t(indices[blockIdx.x]) * width;
  T* to = output + size_t(blockIdx.x) * width;
  for (u32 i = threadIdx.x * EACH; i < width; i += blockDim.x * EACH) {
    float v[EACH];
    load(v, from, i, width, vector);
    store(to, v, i, width, vector);
  }
}

// Adds rows [.., width] to those rows of output [n, width] that they belong to. Block b has the
// destination `destinations[b]` and adds `sources[begins[b]..begins[b + 1]]` in that order. What
// goes to `skip` is left out.
template <class T, class Y>
__device__ void scatter_add(const T* rows, const u32* destinations, const u32* begins,
                            const u32* sources, u32 skip, Y* output, u32 width, bool vector) {
  u32 destination = destinations[blockIdx.x];
  if (destination == skip) return;
  u32 begin = begins[blockIdx.x], end = begins[blockIdx.x + 1];
  Y* to = output + size_t(destination) * width;
  for (u32 i = threadIdx.x * EACH; i < width; i += blockDim.x * EACH) {
    float sums[EACH];
    load(sums, to, i, width, vector);
#pragma unroll 4
    for (u32 source = begin; source < end; ++source) {
      float v[EACH];
      load(v, rows + size_t(sources[source]) * width, i, width, vector);
      for (int k = 0; k < EACH; ++k) sums[k] += v[k];
    }
    store(to, sums, i, width, vector);
  }
}

#define GATHER(T, format)                                                                      \
  KERNEL(256) gather_##format(const T* table, const u32* indices, T* output, u32 width,        \
                              u32 vector) {                                                    \
    gather<T>(table, indices, output, width, vector);                                          \
  }                                                                                            \
  REGISTER(gather_##format)
FORMATS(GATHER)

#define SCATTER(T, format, Y, output_format)                                                   \
  KERNEL(256) scatter_add_##format##_##output_format(                                          \
      const T* rows, const u32* destinations, const u32* begins, const u32* sources, u32 skip, \
      Y* output, u32 width, u32 vector) {                                                      \
    scatter_add<T, Y>(rows, destinations, begins, sources, skip, output, width, vector);       \
  }                                                                                            \
  REGISTER(scatter_add_##format##_##output_format)
FORMAT_PAIRS(SCATTER)
