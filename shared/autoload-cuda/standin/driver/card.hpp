// Cards, their streams and their memory, and the order of what is done with it.
//
// **Execution** is at once, on the thread that asks. **Order** is kept account of as if it were not: each stream knows how
// far it has waited for each other one (vector clocks), and an access that a card could make at the same time as
// another one, or before the memory is allocated, is a violation.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "report.hpp"

namespace standin {

// The driver's results, by their numbers in cuda.h.
enum Result : int {
  SUCCESS = 0,
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  NOT_INITIALIZED = 3,
  NO_DEVICE = 100,
  INVALID_DEVICE = 101,
  INVALID_IMAGE = 200,
  INVALID_CONTEXT = 201,
  NO_BINARY_FOR_GPU = 209,
  INVALID_HANDLE = 400,
  NOT_FOUND = 500,
  ILLEGAL_ADDRESS = 700,
  NOT_SUPPORTED = 801,
};

struct Stream;

struct Card {
  int ordinal = 0;
  int capability = 0;
  std::string name;
  u64 memory = 0;
  // How often its primary context is retained.
  int retained = 0;
  u64 used = 0, used_high = 0, reserved = 0;
  u64 launches = 0;
  u64 generators = 0;
  // The first error that stays, and every later call's result.
  Result poison = SUCCESS;
  std::shared_ptr<Stream> legacy;

  // What the driver itself takes of the memory.
  static constexpr u64 OF_DRIVER = 400ull << 20;
  // The most shared memory of a block: without asking, and at all.
  static constexpr u32 PLAIN_SHARED = 48 << 10;
  u32 shared_limit() const;
  bool has_bf16() const { return capability >= 80; }
};

// How far something has come in each stream, by the streams' numbers.
struct Clock {
  std::vector<u64> times;

  u64 of(u32 stream) const { return stream < times.size() ? times[stream] : 0; }
  void join(const Clock& other);
  void set(u32 stream, u64 time);
};

struct Stream {
  Card* card = nullptr;
  u32 number = 0;
  // Waits for the legacy stream and lets it wait.
  bool blocking = false;
  Clock known;
  // Held while something runs on it.
  std::mutex running;

  // The time of the next operation, which comes after all before it and after all that the host has waited for.
  u64 next();
};

struct Event {
  Card* card = nullptr;
  bool recorded = false;
  Clock known;
};

// What was done with a part of an allocation.
struct Access {
  u64 begin, end, time;
  u32 stream;
  bool write;
  const char* by;
};

struct Allocation {
  u64 begin, size;
  Card* card;
  // The stream that allocated it, for whose time others have to wait; `ordered` is false if the host has waited.
  bool ordered;
  u32 stream;
  u64 time;
  std::vector<Access> accesses;

  u64 end() const { return begin + size; }
};

// Guards all that is in this file, but for what a kernel does while it runs.
std::recursive_mutex& world();

std::vector<std::unique_ptr<Card>>& cards();

// The card whose context is this thread's current one.
Card*& current();

std::shared_ptr<Stream> new_stream(Card& card, bool blocking);
// The stream behind a handle: NULL and 1 are the legacy stream, 2 is this thread's. A violation, and nullptr, if it is
// none or another context's.
std::shared_ptr<Stream> stream_of(void* handle);
bool destroy_stream(void* handle);
// Streams of a card, alive.
std::vector<std::shared_ptr<Stream>> streams_of(const Card& card);

// The host has waited for all that this clock knows.
void host_waited(const Clock& clock);

// Memory for `bytes`, or 0 if the card is full.
u64 allocate(Card& card, u64 bytes, Stream* stream);
// Gives it back; a violation if it is none, or still in use on another stream.
Result release(u64 address, Stream* stream);
// All of a card's allocations, when its context goes.
void release_all(Card& card, const char* by);

// Whether the address is a card's at all.
bool on_card(const void* address);

// The allocation that `bytes` from `address` lie in, on `card`. A violation that names `what`, and nullptr, if there is
// none.
Allocation* live(u64 address, u64 bytes, const Card& card, const char* what);

// Notes that `stream` reads or writes a part of an allocation; a violation if another stream may be at it, too.
void access(Allocation& allocation, u64 begin, u64 end, Stream& stream, u64 time, bool write,
            const char* by);

// Counts a launch or product on the card, and makes the error that stays after the one that was asked for.
void launched(Card& card, const char* what);

}  // namespace standin
