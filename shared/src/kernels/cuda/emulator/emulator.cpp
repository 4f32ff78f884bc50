// All kernels in one translation unit, and the function that launches them by name.
#define QUINTET_EMULATOR

#include "../columns.cuh"
#include "../tiles.cuh"

namespace of_add_norm {
#include "../add_norm.cu"
}
namespace of_attention {
#include "../attention.cu"
}
namespace of_elementwise {
#include "../elementwise.cu"
}
namespace of_gelu {
#include "../gelu.cu"
}
namespace of_linear {
#include "../linear.cu"
}
namespace of_loss {
#include "../loss.cu"
}
namespace of_optimizer {
#include "../optimizer.cu"
}
namespace of_rows {
#include "../rows.cu"
}

// Runs a kernel; false if there is none of this name that takes such arguments. Each is eight bytes,
// the value at their start, with its kind beside it.
extern "C" bool quintet_emulator_launch(const char* name, const uint32_t* grid, uint32_t threads,
                                        uint32_t shared_bytes, const uint32_t* kinds,
                                        const uint64_t* arguments, uint32_t count) {
  auto found = emulator::registry().find(name);
  if (found == emulator::registry().end()) return false;
  const emulator::Entry& entry = found->second;
  if (entry.kinds.size() != count) return false;
  if (threads > entry.max_threads) emulator::fail("more threads than the launch bounds allow");
  for (uint32_t i = 0; i < count; ++i)
    if (kinds[i] != entry.kinds[i]) return false;
  emulator::Machine::mine().launch(emulator::Dim{grid[0], grid[1], grid[2]}, threads, shared_bytes,
                                   [&] { entry.call(arguments); });
  return true;
}

// What a kernel takes; false if there is none of this name.
extern "C" bool quintet_emulator_signature(const char* name, const char** module,
                                           uint32_t* max_threads, const uint32_t** kinds,
                                           uint32_t* count) {
  static_assert(sizeof(emulator::Kind) == sizeof(uint32_t));
  auto found = emulator::registry().find(name);
  if (found == emulator::registry().end()) return false;
  const emulator::Entry& entry = found->second;
  *module = entry.module.c_str();
  *max_threads = entry.max_threads;
  *kinds = reinterpret_cast<const uint32_t*>(entry.kinds.data());
  *count = entry.kinds.size();
  return true;
}

// The name of each kernel, one after the other; null behind the last.
extern "C" const char* quintet_emulator_kernel(uint32_t place) {
  for (const auto& entry : emulator::registry())
    if (place-- == 0) return entry.first.c_str();
  return nullptr;
}
