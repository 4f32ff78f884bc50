// Those of candle's own kernels that Quintet and its tests launch, by their names. Their sources are candle-kernels'
// (src/*.cu); what they do is a few lines each.
#include <cstring>

#include "launch.hpp"
#include "numbers.hpp"

namespace standin {
namespace {

// Whether the third parameter, the shape and strides, is NULL: the elements are contiguous.
bool contiguous(CandleCall& call) {
  if (!call.value<u64>(2)) return true;
  violation("the stand-in has candle's kernels for contiguous elements only");
  return false;
}

// const_set_*: (elements, dimensions, shape and strides, value, to).
template <Format FORMAT>
bool const_set(CandleCall& call) {
  const u64 elements = call.value<u64>(0), size = bytes(FORMAT);
  auto to = contiguous(call) ? (char*)call.memory(4, size * elements, true) : nullptr;
  for (u64 i = 0; to && i < elements; ++i) memcpy(to + size * i, call.parameters[3], size);
  return to != nullptr;
}

// cast_*: (elements, dimensions, shape and strides, from, to).
template <Format FROM, Format TO>
bool cast(CandleCall& call) {
  const u64 elements = call.value<u64>(0);
  if (!contiguous(call)) return false;
  auto from = call.memory(3, bytes(FROM) * elements, false);
  auto to = call.memory(4, bytes(TO) * elements, true);
  for (u64 i = 0; from && to && i < elements; ++i) write(to, i, TO, read(from, i, FROM));
  return from && to;
}

// copy2d_*: (from, to, rows, columns, from's stride, to's stride).
template <Format FORMAT>
bool copy2d(CandleCall& call) {
  const u64 rows = call.value<u32>(2), columns = call.value<u32>(3), size = bytes(FORMAT);
  const u64 from_stride = call.value<u32>(4), to_stride = call.value<u32>(5);
  auto from = (const char*)call.memory(0, ((rows - 1) * from_stride + columns) * size, false);
  auto to = (char*)call.memory(1, ((rows - 1) * to_stride + columns) * size, true);
  for (u64 r = 0; from && to && r < rows; ++r)
    memcpy(to + r * to_stride * size, from + r * from_stride * size, columns * size);
  return from && to;
}

struct Named {
  const char* module;
  const char* function;
  CandleKernel kernel;
};

const Named KERNELS[] = {
    {"fill", "const_set_f32", const_set<F32>},
    {"fill", "const_set_f16", const_set<F16>},
    {"fill", "const_set_bf16", const_set<BF16>},
    {"fill", "copy2d_f32", copy2d<F32>},
    {"fill", "copy2d_f16", copy2d<F16>},
    {"fill", "copy2d_bf16", copy2d<BF16>},
    {"cast", "cast_f32_f16", cast<F32, F16>},
    {"cast", "cast_f16_f32", cast<F16, F32>},
    {"cast", "cast_f32_bf16", cast<F32, BF16>},
    {"cast", "cast_bf16_f32", cast<BF16, F32>},
};

}  // namespace

CandleKernel candle_kernel(const char* module, const char* function) {
  for (const Named& named : KERNELS)
    if (!strcmp(named.module, module) && !strcmp(named.function, function)) return named.kernel;
  return nullptr;
}

}  // namespace standin
