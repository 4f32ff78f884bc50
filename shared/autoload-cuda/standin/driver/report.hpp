// What a run does, counted, and what it does wrong: printed at once and, at exit, written as JSON.
#pragma once

#include <cstdint>

namespace standin {

using u32 = uint32_t;
using u64 = uint64_t;

// What one thread asks of the driver.
struct Counts {
  u64 launches = 0;        // kernels, own and candle's
  u64 products = 0;        // by cuBLAS
  u64 fills_and_copies = 0;  // on the card: cuMemset*, cuMemcpyDtoD*
  u64 uploads = 0;         // from the host
  u64 reads = 0;           // to the host, which waits for them
  u64 waits = 0;           // for a stream, an event or the context
  u64 allocations = 0;
};

// This thread's counts since the end of its last step.
Counts& counts();

// Notes a launch: the kernel counts, and the one that ends a training step closes this thread's counts.
void count_launch(const char* kernel);

// A call of the API, the innermost of this thread. Its name, and the kernel's or product's where there is one, stand
// before each violation.
class Call {
 public:
  explicit Call(const char* function, const char* of = nullptr);
  ~Call();
  Call(const Call&) = delete;

 private:
  const char* outer_function;
  const char* outer_of;
};

// Says what the program under test does wrong. The process ends with the exit code 97, at the latest at its exit.
[[gnu::format(printf, 1, 2)]] void violation(const char* format, ...);

// The same for what cannot be carried on after: the process ends here.
[[noreturn]] [[gnu::format(printf, 1, 2)]] void fatal(const char* format, ...);

// The most bytes of a card, and the calls that a fault was injected into, for the account.
void note_peak(int card, u64 bytes);
[[gnu::format(printf, 1, 2)]] void note_fault(const char* format, ...);

}  // namespace standin
