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

// Runs a kernel. Each argument is eight bytes, the value at their start, with its kind beside it.
extern "C" void quintet_emulator_launch(const char* name, const uint32_t* grid, uint32_t threads,
                                        uint32_t shared_bytes, const uint32_t* kinds,
                                        const uint64_t* arguments, uint32_t count) {
  auto found = emulator::registry().find(name);
  if (found == emulator::registry().end()) emulator::fail((std::string("no kernel ") + name).c_str());
  const emulator::Entry& entry = found->second;
  bool fits = entry.kinds.size() == count;
  for (uint32_t i = 0; fits && i < count; ++i) fits = kinds[i] == entry.kinds[i];
  if (!fits) emulator::fail((std::string("other arguments are taken by ") + name).c_str());
  emulator::Machine::mine().launch(emulator::Dim{grid[0], grid[1], grid[2]}, threads, shared_bytes,
                                   [&] { entry.call(arguments); });
}
