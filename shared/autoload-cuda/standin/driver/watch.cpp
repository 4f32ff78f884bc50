// The hooks that the compiler's thread sanitizer has the kernels call before each access to memory.
//
// Only the kernels' sources are compiled with it, and its own library is not linked.
#include <cstdint>

#include "launch.hpp"

namespace standin {
namespace {

thread_local std::vector<Region>* watched = nullptr;
thread_local Region* last = nullptr;

Region* region_of(u64 address) {
  for (Region& region : *watched)
    if (region.begin <= address && address < region.end) return &region;
  return nullptr;
}

void touch(const void* pointer, u64 bytes, bool write, bool aligned) {
  u64 address = (u64)pointer;
  if (!on_card(pointer)) {
    if (address < 4096) fatal("a kernel %s by a null pointer", write ? "writes" : "reads");
    return;  // shared memory, or a thread's own
  }
  if (!watched) return;
  if (!last || address < last->begin || address >= last->end) last = region_of(address);
  if (!last || address + bytes > last->end) {
    // The next pointer may lie within the same allocation.
    Region* end = region_of(address + bytes - 1);
    if (!last || !end || end->allocation != last->allocation)
      fatal("the kernel %s %lu bytes at 0x%lx, beyond the allocations that it was given",
            write ? "writes" : "reads", bytes, address);
  }
  if (aligned && address % bytes)
    fatal("the kernel %s %lu bytes at once at 0x%lx, which is no multiple of them",
          write ? "writes" : "reads", bytes, address);
  u64& begin = write ? last->write_begin : last->read_begin;
  u64& end = write ? last->write_end : last->read_end;
  if (address < begin) begin = address;
  if (address + bytes > end) end = address + bytes;
}

}  // namespace

Watch::Watch(std::vector<Region>& regions) {
  watched = &regions;
  last = nullptr;
}

Watch::~Watch() { watched = nullptr; }

}  // namespace standin

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
// Of the variables that are made on their first use.
char __tsan_atomic8_load(const volatile char* from, int) {
  return __atomic_load_n(from, __ATOMIC_ACQUIRE);
}

#define ACCESS(BYTES)                                                                              \
  void __tsan_read##BYTES(void* at) { standin::touch(at, BYTES, false, true); }                    \
  void __tsan_write##BYTES(void* at) { standin::touch(at, BYTES, true, true); }                    \
  void __tsan_unaligned_read##BYTES(void* at) { standin::touch(at, BYTES, false, false); }         \
  void __tsan_unaligned_write##BYTES(void* at) { standin::touch(at, BYTES, true, false); }
ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)

void __tsan_read_range(void* at, unsigned long bytes) { standin::touch(at, bytes, false, false); }
void __tsan_write_range(void* at, unsigned long bytes) { standin::touch(at, bytes, true, false); }

}  // extern "C"
