// Modules, kernels and launches: own kernels run in the emulator, candle's in candle.cpp.
#include "launch.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>

#include "guard.hpp"
#include "options.hpp"

using namespace standin;

extern "C" {
// emulator.cpp.
bool quintet_emulator_launch(const char* name, const u32* grid, u32 threads, u32 shared_bytes,
                             const u32* kinds, const u64* arguments, u32 count);
bool quintet_emulator_signature(const char* name, const char** module, u32* max_threads,
                                const u32** kinds, u32* count);
}

namespace {

// The emulator's kinds of arguments.
enum Kind : u32 { POINTER, WORD, SIGNED, FLOAT, DOUBLE };

struct Function {
  std::string name;
  CandleKernel candle = nullptr;
  // Of an own kernel.
  const u32* kinds = nullptr;
  u32 count = 0, max_threads = 1024;
  // The dynamic shared memory that was asked for.
  u32 shared = Card::PLAIN_SHARED;
};

struct Module {
  Card* card;
  std::string name;
  bool candle;
  std::map<std::string, std::unique_ptr<Function>> functions;
};

std::map<void*, std::unique_ptr<Module>>& modules() {
  static auto* modules = new std::map<void*, std::unique_ptr<Module>>;
  return *modules;
}

// The function behind a handle and its module; a violation if there is none.
std::pair<Function*, Module*> function_of(void* handle) {
  for (auto& module : modules())
    for (auto& function : module.second->functions)
      if (function.second.get() == handle) return {function.second.get(), module.second.get()};
  violation("%p is no kernel, or its module was unloaded", handle);
  return {nullptr, nullptr};
}

// The regions between all pointers into an allocation.
std::vector<Region> regions(const std::vector<std::pair<u64, Allocation*>>& pointers) {
  std::map<u64, Region> by_begin;
  for (auto& [pointer, allocation] : pointers) {
    u64 end = allocation->end();
    for (auto& other : pointers)
      if (other.second == allocation && other.first > pointer) end = std::min(end, other.first);
    by_begin[pointer] = Region{pointer, end, allocation->begin};
  }
  // What lies before the first pointer is not given to the kernel.
  std::vector<Region> all;
  for (auto& entry : by_begin) all.push_back(entry.second);
  return all;
}

void commit(const std::vector<Region>& regions, Stream& stream, u64 time, const char* name) {
  for (const Region& region : regions) {
    Allocation* allocation = live(region.allocation, 0, *stream.card, "a kernel's memory");
    if (!allocation) continue;
    access(*allocation, region.read_begin, region.read_end, stream, time, false, name);
    access(*allocation, region.write_begin, region.write_end, stream, time, true, name);
  }
}

bool fits(const Function& function, const Card& card, const u32* grid, const u32* block, u32 shared) {
  bool good = true;
  auto complain = [&](const char* what, u64 found, u64 most) {
    violation("%s is %lu, and may be 1 to %lu on %s", what, found, most, card.name.c_str());
    good = false;
  };
  const u64 most_blocks[3] = {0x7fffffff, 65535, 65535};
  for (int i = 0; i < 3; ++i)
    if (grid[i] == 0 || grid[i] > most_blocks[i]) complain("an extent of the grid", grid[i], most_blocks[i]);
  u64 threads = (u64)block[0] * block[1] * block[2];
  if (threads == 0 || threads > function.max_threads)
    complain("the number of threads of a block", threads, function.max_threads);
  if (shared > function.shared) {
    violation("a block has %u bytes of shared memory, %u were asked for by cuFuncSetAttribute",
              shared, function.shared);
    good = false;
  }
  return good;
}

Result run_own(Function& function, Stream& stream, const u32* grid, const u32* block, u32 shared,
               void** parameters) {
  const char* name = function.name.c_str();
  std::vector<u64> slots(function.count);
  std::vector<std::pair<u64, Allocation*>> pointers;
  for (u32 i = 0; i < function.count; ++i) {
    bool wide = function.kinds[i] == POINTER || function.kinds[i] == DOUBLE;
    if (!parameters[i] || on_card(parameters[i])) {
      violation("parameter %u of %u is missing", i, function.count);
      return INVALID_VALUE;
    }
    memcpy(&slots[i], parameters[i], wide ? 8 : 4);
    if (function.kinds[i] != POINTER || slots[i] == 0) continue;
    char what[40];
    snprintf(what, sizeof what, "parameter %u", i);
    Allocation* allocation = live(slots[i], 0, *stream.card, what);
    if (!allocation) return INVALID_VALUE;
    pointers.emplace_back(slots[i], allocation);
  }
  std::vector<Region> touched = regions(pointers);
  u64 time = stream.next();
  bool launched = false;
  unlocked(stream, [&] {
    Watch watch(touched);
    launched = quintet_emulator_launch(name, grid, block[0], shared, function.kinds, slots.data(),
                                       function.count);
  });
  if (!launched) {
    violation("the emulator does not take this launch");
    return INVALID_VALUE;
  }
  commit(touched, stream, time, name);
  return SUCCESS;
}

}  // namespace

void* CandleCall::memory(int parameter, u64 bytes, bool write) {
  char what[40];
  snprintf(what, sizeof what, "parameter %d", parameter);
  u64 address = value<u64>(parameter);
  Allocation* allocation = live(address, bytes, *stream.card, what);
  if (!allocation) return nullptr;
  access(*allocation, address, address + bytes, stream, time, write, name);
  return (void*)address;
}

extern "C" {

// Images are what the stand-in's own `nvcc` writes: a line that names the source and the compute capability.
Result cuModuleLoadData(void** handle, const void* image) {
  GUARD("cuModuleLoadData");
  char kind[16], name[64];
  int capability;
  if (sscanf((const char*)image, "// CUDA stand-in: %15s %63s sm_%d", kind, name, &capability) != 3) {
    violation("the image is not of the stand-in's own compiler (README.md)");
    return INVALID_IMAGE;
  }
  if (options().images) capability = options().images;
  if (capability > current()->capability) return NO_BINARY_FOR_GPU;
  auto module = std::make_unique<Module>(Module{current(), name, strcmp(kind, "candle") == 0, {}});
  *handle = module.get();
  modules()[module.get()] = std::move(module);
  return SUCCESS;
}

Result cuModuleUnload(void* handle) {
  GUARD("cuModuleUnload");
  if (modules().erase(handle) == 1) return SUCCESS;
  violation("%p is no module, or it was unloaded", handle);
  return INVALID_HANDLE;
}

Result cuModuleGetFunction(void** handle, void* module_handle, const char* name) {
  GUARD("cuModuleGetFunction");
  Call call_of("cuModuleGetFunction", name);
  auto found = modules().find(module_handle);
  if (found == modules().end()) {
    violation("%p is no module, or it was unloaded", module_handle);
    return INVALID_HANDLE;
  }
  Module& module = *found->second;
  auto function = std::make_unique<Function>();
  function->name = name;
  if (module.candle) {
    function->candle = candle_kernel(module.name.c_str(), name);
    if (!function->candle) {
      violation("candle's kernel `%s` of %s.cu is not written for the stand-in: see candle.cpp", name,
                module.name.c_str());
      return NOT_FOUND;
    }
  } else {
    const char* of = "";
    if (!quintet_emulator_signature(name, &of, &function->max_threads, &function->kinds,
                                    &function->count) ||
        module.name != of) {
      violation("%s.cu has no kernel `%s`", module.name.c_str(), name);
      return NOT_FOUND;
    }
  }
  auto& place = module.functions[name];
  if (!place) place = std::move(function);
  *handle = place.get();
  return SUCCESS;
}

Result cuFuncSetAttribute(void* handle, int attribute, int value) {
  GUARD("cuFuncSetAttribute");
  auto [function, module] = function_of(handle);
  if (!function) return INVALID_HANDLE;
  Call call_of("cuFuncSetAttribute", function->name.c_str());
  const int max_dynamic_shared = 8;
  if (attribute != max_dynamic_shared) {
    violation("the stand-in does not know attribute %d", attribute);
    return INVALID_VALUE;
  }
  if (value < 0 || (u32)value > module->card->shared_limit()) {
    violation("%d bytes of shared memory a block, and %s has %u", value, module->card->name.c_str(),
              module->card->shared_limit());
    return INVALID_VALUE;
  }
  function->shared = std::max<u32>(value, Card::PLAIN_SHARED);
  return SUCCESS;
}

Result cuLaunchKernel(void* handle, u32 grid_x, u32 grid_y, u32 grid_z, u32 block_x, u32 block_y,
                      u32 block_z, u32 shared, void* stream_handle, void** parameters, void**) {
  GUARD("cuLaunchKernel");
  auto [function, module] = function_of(handle);
  if (!function) return INVALID_HANDLE;
  const char* name = function->name.c_str();
  Call call_of("cuLaunchKernel", name);
  auto stream = stream_of(stream_handle);
  if (!stream) return INVALID_HANDLE;
  if (module->card != stream->card) {
    violation("the kernel was loaded on card %d, the stream is card %d's", module->card->ordinal,
              stream->card->ordinal);
    return INVALID_HANDLE;
  }
  const u32 grid[3] = {grid_x, grid_y, grid_z}, block[3] = {block_x, block_y, block_z};
  if (!fits(*function, *stream->card, grid, block, shared)) return INVALID_VALUE;
  ++counts().launches;
  count_launch(name);
  launched(*stream->card, name);
  if (!function->candle) return run_own(*function, *stream, grid, block, shared, parameters);
  CandleCall launch{parameters, *stream, stream->next(), name};
  return function->candle(launch) ? SUCCESS : INVALID_VALUE;
}

}  // extern "C"
