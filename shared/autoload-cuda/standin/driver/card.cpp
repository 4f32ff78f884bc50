#include "card.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>

#include "options.hpp"

namespace standin {
namespace {

// No address is given twice, so that one that was freed is known for what it is.
constexpr u64 SPACE = 8ull << 40;
constexpr u64 PAGE = 4096;
// What cuMemAllocAsync promises is 256.
constexpr u64 ALIGNMENT = 512;

struct Freed {
  u64 end;
  const char* by;
};

struct World {
  std::recursive_mutex lock;
  std::vector<std::unique_ptr<Card>> cards;
  std::map<void*, std::shared_ptr<Stream>> streams;
  u32 stream_numbers = 0;
  Clock host;
  u64 space = 0, next = 0;
  std::map<u64, Allocation> allocations;
  std::map<u64, Freed> freed;

  World() {
    void* memory = mmap(nullptr, SPACE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) fatal("no address space for the cards' memory");
    space = next = (u64)memory;
    for (const CardOptions& options : options().cards) {
      auto card = std::make_unique<Card>();
      card->ordinal = (int)cards.size();
      card->capability = options.capability;
      card->name = "stand-in, sm_" + std::to_string(options.capability);
      card->memory = options.memory;
      card->legacy = std::make_shared<Stream>();
      card->legacy->card = card.get();
      card->legacy->number = stream_numbers++;
      cards.push_back(std::move(card));
    }
  }
};

World& all() {
  static World* world = new World;
  return *world;
}

thread_local Card* current_card = nullptr;
thread_local std::map<Card*, std::shared_ptr<Stream>> of_thread;

u64 rounded(u64 bytes, u64 to) { return (bytes + to - 1) / to * to; }

Allocation* find(u64 address) {
  auto after = all().allocations.upper_bound(address);
  if (after == all().allocations.begin()) return nullptr;
  Allocation& allocation = std::prev(after)->second;
  // A pointer to the very end is that of an empty tensor.
  return address <= allocation.end() ? &allocation : nullptr;
}

const Freed* find_freed(u64 address) {
  auto after = all().freed.upper_bound(address);
  if (after == all().freed.begin()) return nullptr;
  auto before = std::prev(after);
  return address < before->second.end ? &before->second : nullptr;
}

void forget(std::map<u64, Allocation>::iterator at, const char* by) {
  Allocation& allocation = at->second;
  allocation.card->used -= rounded(allocation.size, ALIGNMENT);
  u64 page = allocation.begin / PAGE * PAGE;
  madvise((void*)page, rounded(allocation.end() - page, PAGE), MADV_DONTNEED);
  all().freed[allocation.begin] = Freed{allocation.end(), by};
  if (all().freed.size() > 1000000) all().freed.erase(all().freed.begin());
  all().allocations.erase(at);
}

}  // namespace

std::recursive_mutex& world() { return all().lock; }
std::vector<std::unique_ptr<Card>>& cards() { return all().cards; }
Card*& current() { return current_card; }

u32 Card::shared_limit() const {
  switch (capability) {
    case 70: return 96 << 10;
    case 75: return 64 << 10;
    case 80: case 87: return 163 << 10;
    case 86: case 89: return 99 << 10;
    default: return 227 << 10;
  }
}

void Clock::join(const Clock& other) {
  if (times.size() < other.times.size()) times.resize(other.times.size());
  for (size_t i = 0; i < other.times.size(); ++i) times[i] = std::max(times[i], other.times[i]);
}

void Clock::set(u32 stream, u64 time) {
  if (times.size() <= stream) times.resize(stream + 1);
  times[stream] = time;
}

u64 Stream::next() {
  known.join(all().host);
  if (this == card->legacy.get()) {
    for (auto& entry : all().streams)
      if (entry.second->card == card && entry.second->blocking) known.join(entry.second->known);
  } else if (blocking) {
    known.join(card->legacy->known);
  }
  u64 time = known.of(number) + 1;
  known.set(number, time);
  return time;
}

std::shared_ptr<Stream> new_stream(Card& card, bool blocking) {
  auto stream = std::make_shared<Stream>();
  stream->card = &card;
  stream->number = all().stream_numbers++;
  stream->blocking = blocking;
  all().streams[stream.get()] = stream;
  return stream;
}

std::shared_ptr<Stream> stream_of(void* handle) {
  Card* card = current();
  if ((u64)handle <= 1) return card->legacy;
  if ((u64)handle == 2) {
    std::shared_ptr<Stream>& mine = of_thread[card];
    if (!mine) mine = new_stream(*card, true);
    return mine;
  }
  auto found = all().streams.find(handle);
  if (found == all().streams.end()) {
    violation("%p is no stream, or it was destroyed", handle);
    return nullptr;
  }
  if (found->second->card != card) {
    violation("the stream is card %d's, the thread's current context card %d's",
              found->second->card->ordinal, card->ordinal);
    return nullptr;
  }
  return found->second;
}

bool destroy_stream(void* handle) { return all().streams.erase(handle) == 1; }

std::vector<std::shared_ptr<Stream>> streams_of(const Card& card) {
  std::vector<std::shared_ptr<Stream>> streams{card.legacy};
  for (auto& entry : all().streams)
    if (entry.second->card == &card) streams.push_back(entry.second);
  return streams;
}

void host_waited(const Clock& clock) { all().host.join(clock); }

u64 allocate(Card& card, u64 bytes, Stream* stream) {
  u64 taken = rounded(bytes, ALIGNMENT);
  u64 limit = card.memory - std::min(card.memory, Card::OF_DRIVER);
  if (options().full_at && card.used + taken > options().full_at) {
    note_fault("card %d is full at %lu bytes: %lu more were asked for", card.ordinal, card.used,
               bytes);
    return 0;
  }
  if (card.used + taken > limit) return 0;
  card.used += taken;
  card.used_high = std::max(card.used_high, card.used);
  // The pool keeps what it has taken from the card.
  card.reserved = std::max(card.reserved, card.used);
  note_peak(card.ordinal, card.used_high);

  Allocation allocation{};
  allocation.begin = all().next + ALIGNMENT;
  allocation.size = bytes;
  all().next += rounded(ALIGNMENT + bytes + 1, PAGE);
  if (all().next > all().space + SPACE) fatal("the cards' address space is used up");
  allocation.card = &card;
  allocation.ordered = stream != nullptr;
  if (stream) {
    allocation.stream = stream->number;
    allocation.time = stream->next();
  }
  // NaN in every format, so that what is read before it is written is seen.
  memset((void*)allocation.begin, 0xff, bytes);
  u64 begin = allocation.begin;
  all().allocations.emplace(begin, std::move(allocation));
  return begin;
}

Result release(u64 address, Stream* stream) {
  if (address == 0) return SUCCESS;
  auto at = all().allocations.find(address);
  if (at == all().allocations.end()) {
    const Freed* freed = find_freed(address);
    violation("0x%lx is %s%s", address, freed ? "freed already, by " : "the beginning of no allocation",
              freed ? freed->by : "");
    return INVALID_VALUE;
  }
  const char* by = "cuMemFree";
  if (stream) {
    by = "cuMemFreeAsync";
    stream->next();
    const Allocation& allocation = at->second;
    if (allocation.card != stream->card)
      violation("memory of card %d is freed on a stream of card %d", allocation.card->ordinal,
                stream->card->ordinal);
    if (allocation.ordered && stream->known.of(allocation.stream) < allocation.time)
      violation("memory is freed on stream %u before stream %u, which allocates it, is waited for",
                stream->number, allocation.stream);
    for (const Access& earlier : allocation.accesses)
      if (stream->known.of(earlier.stream) < earlier.time) {
        violation("memory is freed on stream %u while stream %u may still %s it (%s)",
                  stream->number, earlier.stream, earlier.write ? "write" : "read", earlier.by);
        break;
      }
  }
  forget(at, by);
  return SUCCESS;
}

void release_all(Card& card, const char* by) {
  for (auto at = all().allocations.begin(); at != all().allocations.end();) {
    auto next = std::next(at);
    if (at->second.card == &card) forget(at, by);
    at = next;
  }
}

bool on_card(const void* address) { return (u64)address - all().space < SPACE; }

Allocation* live(u64 address, u64 bytes, const Card& card, const char* what) {
  Allocation* allocation = find(address);
  if (!allocation) {
    const Freed* freed = find_freed(address);
    violation("%s at 0x%lx lies in no allocation%s%s", what, address,
              freed ? " any more: it was freed by " : "", freed ? freed->by : "");
    return nullptr;
  }
  if (allocation->card != &card) {
    violation("%s is in the memory of card %d, and is used on card %d", what,
              allocation->card->ordinal, card.ordinal);
    return nullptr;
  }
  if (address + bytes > allocation->end()) {
    violation("%s takes %lu bytes from 0x%lx, which is %lu bytes beyond the end of its allocation of %lu",
              what, bytes, address, address + bytes - allocation->end(), allocation->size);
    return nullptr;
  }
  return allocation;
}

void access(Allocation& allocation, u64 begin, u64 end, Stream& stream, u64 time, bool write,
            const char* by) {
  if (begin >= end) return;
  if (allocation.ordered && stream.known.of(allocation.stream) < allocation.time)
    violation("%s uses memory on stream %u before stream %u, which allocates it, is waited for", by,
              stream.number, allocation.stream);
  auto& accesses = allocation.accesses;
  for (const Access& earlier : accesses) {
    bool meet = earlier.begin < end && begin < earlier.end && (earlier.write || write);
    if (meet && stream.known.of(earlier.stream) < earlier.time)
      violation("%s %s on stream %u what stream %u %s (%s), and no event is between them", by,
                write ? "writes" : "reads", stream.number, earlier.stream,
                earlier.write ? "writes" : "reads", earlier.by);
  }
  // What comes after this access comes after those that it contains, too.
  auto settled = [&](const Access& earlier) {
    return begin <= earlier.begin && earlier.end <= end && (write || !earlier.write) &&
           stream.known.of(earlier.stream) >= earlier.time &&
           (write || earlier.stream == stream.number);
  };
  accesses.erase(std::remove_if(accesses.begin(), accesses.end(), settled), accesses.end());
  // Reads of rows here and there become one range.
  for (Access& earlier : accesses)
    if (!write && !earlier.write && earlier.stream == stream.number && earlier.begin <= end &&
        begin <= earlier.end) {
      earlier.begin = std::min(earlier.begin, begin);
      earlier.end = std::max(earlier.end, end);
      earlier.time = time;
      return;
    }
  accesses.push_back(Access{begin, end, time, stream.number, write, by});
}

void launched(Card& card, const char* what) {
  ++card.launches;
  const Options& given = options();
  if (given.illegal_after == 0 || card.ordinal != given.illegal_card ||
      card.launches != given.illegal_after || card.poison != SUCCESS)
    return;
  card.poison = ILLEGAL_ADDRESS;
  note_fault("launch %lu of card %d (%s) has an illegal address", card.launches, card.ordinal, what);
}

}  // namespace standin
