// What a launch does with memory, seen access by access.
#pragma once

#include <vector>

#include "card.hpp"

namespace standin {

// The memory from one pointer that a kernel gets to the next one, or to the end of the allocation, and which part of it
// is touched.
struct Region {
  u64 begin, end;
  // The allocation, by its beginning: it may move while the kernel runs.
  u64 allocation;
  u64 read_begin = ~0ull, read_end = 0, write_begin = ~0ull, write_end = 0;
};

// Watches what this thread's accesses do with `regions`, sorted by their beginnings, until it goes.
class Watch {
 public:
  explicit Watch(std::vector<Region>& regions);
  ~Watch();
};

// Candle's kernels. They are not compiled for the CPU, so those that Quintet launches are written again. The parameters
// and the part of memory that each touches are checked as they are read.
struct CandleCall;
using CandleKernel = bool (*)(CandleCall&);
// nullptr if there is none of this name.
CandleKernel candle_kernel(const char* module, const char* function);

struct CandleCall {
  void** parameters;
  Stream& stream;
  u64 time;
  const char* name;

  template <class T>
  T value(int parameter) const {
    return *(const T*)parameters[parameter];
  }
  // The address in a parameter, at which so many bytes are read or written; nullptr, and a violation, if it has not
  // as many.
  void* memory(int parameter, u64 bytes, bool write);
};

}  // namespace standin
