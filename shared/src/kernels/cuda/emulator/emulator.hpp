// What a kernel needs of CUDA, on a CPU: the half formats, the places of a thread, barriers,
// exchanges within a warp, shared memory. For tests of the very sources that run on a card.
//
// Blocks run one after another; the threads of a block are fibers of the calling thread, each left
// only at a barrier or an exchange. Strict where a card is lenient: shared memory is filled with
// NaN before each block, a barrier that not every thread reaches ends the program, each warp runs as
// far ahead of the others as barriers let it, and every second launch begins with the last thread: a
// missing barrier changes results.
#pragma once

#include <math.h>
#include <setjmp.h>
#include <ucontext.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "halves.hpp"

namespace emulator {

struct Dim {
  unsigned x, y, z;
};

// The kinds of arguments, as launch.rs numbers them.
enum Kind : uint32_t { POINTER, U32, I32, F32, F64 };

[[noreturn]] inline void fail(const char* what) {
  fprintf(stderr, "CUDA emulator: %s\n", what);
  abort();
}

// One thread of a block.
struct Fiber {
  static constexpr size_t STACK = 128 << 10;
  enum State { RUNNABLE, AT_BARRIER, IN_EXCHANGE, DONE };

  State state = DONE;
  unsigned index = 0;
  unsigned exchanges = 0;
  bool started = false;
  jmp_buf registers;
  ucontext_t start;
  std::unique_ptr<char[]> stack{new char[STACK]};
};

struct Warp {
  unsigned arrived = 0;
  // Two sets, for a thread may be one exchange ahead of another that has not read yet.
  uint64_t slots[2][32];
};

// Runs blocks; one for each thread of the host that launches.
class Machine {
 public:
  static constexpr unsigned SHARED = 232448;  // what a block of an H100 can have

  Dim grid{}, block{}, block_index{};
  unsigned shared_bytes = 0;
  alignas(128) unsigned char shared[SHARED];

  static Machine& mine() {
    static thread_local std::unique_ptr<Machine> machine{new Machine};
    return *machine;
  }

  void launch(Dim grid_, unsigned threads, unsigned bytes, const std::function<void()>& kernel_) {
    if (bytes > SHARED) fail("more shared memory than a card has");
    if (threads % 32 != 0 || threads > 1024) fail("a block is whole warps, 32 at most");
    grid = grid_;
    block = Dim{threads, 1, 1};
    shared_bytes = bytes;
    kernel = &kernel_;
    descending = !descending;
    while (fibers.size() < threads) fibers.emplace_back(new Fiber);
    for (block_index.z = 0; block_index.z < grid.z; ++block_index.z)
      for (block_index.y = 0; block_index.y < grid.y; ++block_index.y)
        for (block_index.x = 0; block_index.x < grid.x; ++block_index.x) run_block();
  }

  unsigned thread() const { return current->index; }

  void barrier() {
    if (++at_barrier == block.x) {
      at_barrier = 0;
      release(Fiber::AT_BARRIER, 0, block.x);
    } else {
      wait(Fiber::AT_BARRIER);
    }
  }

  // The value that the thread `lane` of the warp passes in the same exchange.
  template <class T>
  T exchange(T value, unsigned lane) {
    static_assert(sizeof(T) <= 8, "one slot holds eight bytes");
    Fiber& me = *current;
    Warp& warp = warps[me.index / 32];
    auto& slots = warp.slots[me.exchanges++ % 2];
    memcpy(&slots[me.index % 32], &value, sizeof(T));
    if (++warp.arrived == 32) {
      warp.arrived = 0;
      release(Fiber::IN_EXCHANGE, me.index / 32 * 32, me.index / 32 * 32 + 32);
    } else {
      wait(Fiber::IN_EXCHANGE);
    }
    T received;
    memcpy(&received, &slots[lane % 32], sizeof(T));
    return received;
  }

 private:
  std::vector<std::unique_ptr<Fiber>> fibers;
  Warp warps[32];
  Fiber* current = nullptr;
  jmp_buf scheduler;
  const std::function<void()>* kernel = nullptr;
  unsigned at_barrier = 0;
  bool descending = true;

  void run_block() {
    memset(shared, 0xff, shared_bytes);
    for (unsigned i = 0; i < block.x; ++i) {
      fibers[i]->state = Fiber::RUNNABLE;
      fibers[i]->index = i;
      fibers[i]->exchanges = 0;
    }
    for (bool moved = true; moved;) {
      moved = false;
      for (unsigned warp = 0; warp < block.x / 32; ++warp)
        while (advance(descending ? block.x / 32 - 1 - warp : warp)) moved = true;
    }
    for (unsigned i = 0; i < block.x; ++i)
      if (fibers[i]->state != Fiber::DONE) fail("some threads wait where others have not come");
  }

  // Lets each thread of a warp that can go on do so; whether there was one.
  bool advance(unsigned warp) {
    bool moved = false;
    for (unsigned lane = 0; lane < 32; ++lane) {
      Fiber& fiber = *fibers[warp * 32 + (descending ? 31 - lane : lane)];
      if (fiber.state != Fiber::RUNNABLE) continue;
      resume(fiber);
      moved = true;
    }
    return moved;
  }

  void release(Fiber::State state, unsigned begin, unsigned end) {
    for (unsigned i = begin; i < end; ++i)
      if (fibers[i]->state == state) fibers[i]->state = Fiber::RUNNABLE;
  }

  // The first time by the context that makecontext has made, afterwards by longjmp, which unlike
  // swapcontext is no call into the kernel.
  void resume(Fiber& fiber) {
    current = &fiber;
    if (_setjmp(scheduler) != 0) return;
    if (fiber.started) _longjmp(fiber.registers, 1);
    fiber.started = true;
    getcontext(&fiber.start);
    fiber.start.uc_stack.ss_sp = fiber.stack.get();
    fiber.start.uc_stack.ss_size = Fiber::STACK;
    makecontext(&fiber.start, enter, 0);
    setcontext(&fiber.start);
  }

  void wait(Fiber::State state) {
    Fiber& me = *current;
    me.state = state;
    if (_setjmp(me.registers) == 0) _longjmp(scheduler, 1);
  }

  // A fiber's life: one kernel after another.
  static void enter() {
    Machine& machine = mine();
    for (;;) {
      (*machine.kernel)();
      machine.wait(Fiber::DONE);
    }
  }
};

// A kernel, what arguments it takes, and the most threads of a block.
struct Entry {
  std::string module;  // its source, without the ending
  unsigned max_threads;
  std::vector<Kind> kinds;
  std::function<void(const uint64_t*)> call;
};

inline std::map<std::string, Entry>& registry() {
  static std::map<std::string, Entry> entries;
  return entries;
}

template <class A>
constexpr Kind kind() {
  if constexpr (std::is_pointer_v<A>) return POINTER;
  if constexpr (std::is_same_v<A, uint32_t>) return U32;
  if constexpr (std::is_same_v<A, int32_t>) return I32;
  if constexpr (std::is_same_v<A, float>) return F32;
  if constexpr (std::is_same_v<A, double>) return F64;
}

template <class A>
A argument(uint64_t slot) {
  A value;
  memcpy(&value, &slot, sizeof(A));
  return value;
}

// The launch bounds of the kernel that follows.
struct Bounds {
  Bounds(unsigned threads, unsigned = 1) { latest() = threads; }
  static unsigned& latest() {
    static unsigned threads = 0;
    return threads;
  }
};

inline std::string stem(const std::string& path) {
  size_t begin = path.rfind('/') + 1;
  return path.substr(begin, path.rfind('.') - begin);
}

struct Registered {
  template <class... A>
  Registered(const char* name, const char* file, void (*function)(A...)) {
    registry()[name] =
        Entry{stem(file), Bounds::latest(), {kind<A>()...}, [function](const uint64_t* slots) {
                call(function, slots, std::index_sequence_for<A...>{});
              }};
  }

  template <class... A, size_t... I>
  static void call(void (*function)(A...), const uint64_t* slots, std::index_sequence<I...>) {
    function(argument<A>(slots[I])...);
  }
};

}  // namespace emulator

struct f16 {
  uint16_t bits;
};
struct bf16 {
  uint16_t bits;
};

inline float to_float(f16 x) { return emulator::f16_value(x.bits); }
inline float to_float(bf16 x) { return emulator::bf16_value(x.bits); }
inline f16 round_to(float x, f16) { return f16{emulator::f16_bits(x)}; }
inline bf16 round_to(float x, bf16) { return bf16{emulator::bf16_bits(x)}; }

#define __device__
#define __forceinline__ inline __attribute__((always_inline))
#define __shared__ static thread_local
#define QUINTET_JOINED(a, b) a##b
#define QUINTET_BOUNDS(number, ...) \
  static emulator::Bounds QUINTET_JOINED(bounds_, number)(__VA_ARGS__);
#define KERNEL(...) QUINTET_BOUNDS(__COUNTER__, __VA_ARGS__) extern "C" void
#define REGISTER(kernel) static emulator::Registered registered_##kernel(#kernel, __FILE__, kernel);
#define DYNAMIC_SHARED(name) unsigned char* name = emulator::Machine::mine().shared

#define threadIdx (emulator::Dim{emulator::Machine::mine().thread(), 0, 0})
#define blockIdx (emulator::Machine::mine().block_index)
#define blockDim (emulator::Machine::mine().block)
#define gridDim (emulator::Machine::mine().grid)

inline void __syncthreads() { emulator::Machine::mine().barrier(); }
inline void __syncwarp() { emulator::Machine::mine().exchange(0, 0); }
inline void __threadfence() {}
struct float4 {
  float x, y, z, w;
};
template <class T>
T __ldcg(const T* from) {
  return *from;
}
template <class T>
T __shfl_xor_sync(unsigned, T value, unsigned mask) {
  emulator::Machine& machine = emulator::Machine::mine();
  return machine.exchange(value, (machine.thread() % 32) ^ mask);
}
inline unsigned atomicAdd(unsigned* to, unsigned value) {
  unsigned before = *to;
  *to += value;
  return before;
}
inline double __dmul_rn(double a, double b) { return a * b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
inline unsigned max(unsigned a, unsigned b) { return a > b ? a : b; }
