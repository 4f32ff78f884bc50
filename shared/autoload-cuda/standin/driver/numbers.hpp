// The formats of numbers on a card, read and rounded one by one.
#pragma once

#include <cstdint>
#include <cstring>

#include "../../../src/kernels/cuda/emulator/halves.hpp"

namespace standin {

using u64 = uint64_t;

// By their numbers in cudaDataType.
enum Format : int { F32 = 0, F16 = 2, BF16 = 14 };

inline u64 bytes(Format format) { return format == F32 ? 4 : 2; }

inline float read(const void* from, u64 index, Format format) {
  if (format == F32) {
    float value;
    memcpy(&value, (const char*)from + 4 * index, 4);
    return value;
  }
  uint16_t half;
  memcpy(&half, (const char*)from + 2 * index, 2);
  return format == F16 ? emulator::f16_value(half) : emulator::bf16_value(half);
}

inline void write(void* to, u64 index, Format format, float value) {
  if (format == F32) {
    memcpy((char*)to + 4 * index, &value, 4);
    return;
  }
  uint16_t half = format == F16 ? emulator::f16_bits(value) : emulator::bf16_bits(value);
  memcpy((char*)to + 2 * index, &half, 2);
}

}  // namespace standin
