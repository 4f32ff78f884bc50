// The driver's functions: cards, contexts, streams, events, memory. Those that launch are in launch.cpp.
//
// Only what Quintet's programs call is here. A call of anything else ends them: the trampoline says that the
// function is not in the library.
#include <algorithm>
#include <cstring>

#include "card.hpp"
#include "guard.hpp"
#include "options.hpp"

using namespace standin;

namespace {

bool initialised = false;

Card* card_of(int device) {
  return device >= 0 && device < (int)cards().size() ? cards()[device].get() : nullptr;
}

Result wait_for(Stream& stream) {
  ++counts().waits;
  stream.next();
  host_waited(stream.known);
  return stream.card->poison;
}

// The bounds of host memory: it is none of a card's.
bool is_host(const void* address) {
  if (!on_card(address)) return true;
  violation("an address of a card is passed as one of the host");
  return false;
}

// Notes an access of a copy or fill.
Result touch(u64 address, u64 bytes, Stream& stream, bool write, const char* what) {
  Allocation* allocation = live(address, bytes, *stream.card, what);
  if (!allocation) return INVALID_VALUE;
  access(*allocation, address, address + bytes, stream, stream.next(), write, what);
  return SUCCESS;
}

}  // namespace

extern "C" {

Result cuInit(unsigned) {
  GUARD_GLOBAL("cuInit");
  if (cards().empty()) return NO_DEVICE;
  initialised = true;
  return SUCCESS;
}

Result cuDriverGetVersion(int* version) {
  GUARD_GLOBAL("cuDriverGetVersion");
  *version = options().driver;
  return SUCCESS;
}

Result cuDeviceGetCount(int* count) {
  GUARD_GLOBAL("cuDeviceGetCount");
  if (!initialised) return NOT_INITIALIZED;
  *count = (int)cards().size();
  return SUCCESS;
}

Result cuDeviceGet(int* device, int ordinal) {
  GUARD_GLOBAL("cuDeviceGet");
  if (!initialised) return NOT_INITIALIZED;
  if (!card_of(ordinal)) return INVALID_DEVICE;
  *device = ordinal;
  return SUCCESS;
}

Result cuDeviceGetName(char* name, int bytes, int device) {
  GUARD_GLOBAL("cuDeviceGetName");
  Card* card = card_of(device);
  if (!card) return INVALID_DEVICE;
  strncpy(name, card->name.c_str(), bytes);
  return SUCCESS;
}

Result cuDeviceGetAttribute(int* value, int attribute, int device) {
  GUARD_GLOBAL("cuDeviceGetAttribute");
  Card* card = card_of(device);
  if (!card) return INVALID_DEVICE;
  switch (attribute) {
    case 1: *value = 1024; return SUCCESS;                          // MAX_THREADS_PER_BLOCK
    case 8: *value = Card::PLAIN_SHARED; return SUCCESS;            // MAX_SHARED_MEMORY_PER_BLOCK
    case 10: *value = 32; return SUCCESS;                           // WARP_SIZE
    case 16: *value = 100; return SUCCESS;                          // MULTIPROCESSOR_COUNT
    case 75: *value = card->capability / 10; return SUCCESS;        // COMPUTE_CAPABILITY_MAJOR
    case 76: *value = card->capability % 10; return SUCCESS;        // COMPUTE_CAPABILITY_MINOR
    case 97: *value = (int)card->shared_limit(); return SUCCESS;    // ..._PER_BLOCK_OPTIN
    case 115: *value = 1; return SUCCESS;                           // MEMORY_POOLS_SUPPORTED
    default:
      violation("the stand-in does not know attribute %d: give it one in driver.cpp", attribute);
      return INVALID_VALUE;
  }
}

Result cuDeviceTotalMem_v2(size_t* bytes, int device) {
  GUARD_GLOBAL("cuDeviceTotalMem");
  Card* card = card_of(device);
  if (!card) return INVALID_DEVICE;
  *bytes = card->memory;
  return SUCCESS;
}

// Contexts: the primary one of each card, whose handle is the card's address.

Result cuDevicePrimaryCtxRetain(void** context, int device) {
  GUARD_GLOBAL("cuDevicePrimaryCtxRetain");
  Card* card = card_of(device);
  if (!card) return INVALID_DEVICE;
  if (card->poison != SUCCESS) return card->poison;
  ++card->retained;
  *context = card;
  return SUCCESS;
}

Result cuDevicePrimaryCtxRelease_v2(int device) {
  GUARD_GLOBAL("cuDevicePrimaryCtxRelease");
  Card* card = card_of(device);
  if (!card) return INVALID_DEVICE;
  if (card->retained == 0) {
    violation("the context was released more often than retained");
    return INVALID_CONTEXT;
  }
  if (--card->retained == 0) release_all(*card, "cuDevicePrimaryCtxRelease");
  return card->poison;
}

Result cuCtxGetCurrent(void** context) {
  GUARD_GLOBAL("cuCtxGetCurrent");
  *context = current();
  return SUCCESS;
}

Result cuCtxSetCurrent(void* context) {
  GUARD_GLOBAL("cuCtxSetCurrent");
  for (auto& card : cards())
    if (card.get() == context && card->retained > 0) {
      current() = card.get();
      return SUCCESS;
    }
  if (!context) {
    current() = nullptr;
    return SUCCESS;
  }
  violation("%p is no context, or it was released", context);
  return INVALID_CONTEXT;
}

Result cuCtxSynchronize() {
  GUARD("cuCtxSynchronize");
  for (auto& stream : streams_of(*current())) {
    stream->next();
    host_waited(stream->known);
  }
  ++counts().waits;
  return SUCCESS;
}

Result cuStreamCreate(void** stream, unsigned flags) {
  GUARD("cuStreamCreate");
  *stream = new_stream(*current(), (flags & 1) == 0).get();
  return SUCCESS;
}

Result cuStreamCreateWithPriority(void** stream, unsigned flags, int) {
  return cuStreamCreate(stream, flags);
}

Result cuStreamDestroy_v2(void* stream) {
  GUARD("cuStreamDestroy");
  if (destroy_stream(stream)) return SUCCESS;
  violation("%p is no stream, or it was destroyed", stream);
  return INVALID_HANDLE;
}

Result cuStreamSynchronize(void* handle) {
  GUARD("cuStreamSynchronize");
  auto stream = stream_of(handle);
  return stream ? wait_for(*stream) : INVALID_HANDLE;
}

Result cuStreamIsCapturing(void* handle, int* status) {
  GUARD("cuStreamIsCapturing");
  *status = 0;
  return stream_of(handle) ? SUCCESS : INVALID_HANDLE;
}

Result cuStreamWaitEvent(void* handle, void* event_handle, unsigned) {
  GUARD("cuStreamWaitEvent");
  auto stream = stream_of(handle);
  Event* event = (Event*)event_handle;
  if (!stream || !event) return INVALID_HANDLE;
  // To wait for what was never recorded is to wait for nothing, which nobody means.
  if (!event->recorded) violation("the stream waits for an event that was never recorded");
  stream->known.join(event->known);
  stream->next();
  return SUCCESS;
}

Result cuEventCreate(void** event, unsigned) {
  GUARD("cuEventCreate");
  *event = new Event{current(), false, {}};
  return SUCCESS;
}

Result cuEventDestroy_v2(void* event) {
  GUARD("cuEventDestroy");
  delete (Event*)event;
  return SUCCESS;
}

Result cuEventRecord(void* event_handle, void* handle) {
  GUARD("cuEventRecord");
  auto stream = stream_of(handle);
  Event* event = (Event*)event_handle;
  if (!stream || !event) return INVALID_HANDLE;
  if (event->card != stream->card) {
    violation("the event is card %d's, the stream card %d's", event->card->ordinal,
              stream->card->ordinal);
    return INVALID_HANDLE;
  }
  stream->next();
  event->recorded = true;
  event->known = stream->known;
  return SUCCESS;
}

Result cuEventSynchronize(void* event) {
  GUARD("cuEventSynchronize");
  ++counts().waits;
  host_waited(((Event*)event)->known);
  return SUCCESS;
}

Result cuEventQuery(void* event) {
  GUARD("cuEventQuery");
  host_waited(((Event*)event)->known);
  return SUCCESS;
}

Result cuEventElapsedTime_v2(float* milliseconds, void*, void*) {
  GUARD("cuEventElapsedTime");
  *milliseconds = 1;
  return SUCCESS;
}

// Memory.

Result cuMemGetInfo_v2(size_t* free, size_t* total) {
  GUARD("cuMemGetInfo");
  const Card& card = *current();
  *total = card.memory;
  *free = card.memory - std::min(card.memory, Card::OF_DRIVER + card.reserved);
  return SUCCESS;
}

Result cuDeviceGetDefaultMemPool(void** pool, int device) {
  GUARD_GLOBAL("cuDeviceGetDefaultMemPool");
  Card* card = card_of(device);
  if (!card) return INVALID_DEVICE;
  *pool = card;
  return SUCCESS;
}

Result cuMemPoolSetAttribute(void*, int attribute, void*) {
  GUARD_GLOBAL("cuMemPoolSetAttribute");
  return attribute >= 1 && attribute <= 8 ? SUCCESS : INVALID_VALUE;
}

Result cuMemPoolGetAttribute(void* pool, int attribute, void* value) {
  GUARD_GLOBAL("cuMemPoolGetAttribute");
  Card* card = (Card*)pool;
  u64* bytes = (u64*)value;
  switch (attribute) {
    case 5: case 6: *bytes = card->reserved; return SUCCESS;  // RESERVED_MEM_CURRENT and HIGH
    case 7: *bytes = card->used; return SUCCESS;              // USED_MEM_CURRENT
    case 8: *bytes = card->used_high; return SUCCESS;         // USED_MEM_HIGH
    default: return INVALID_VALUE;
  }
}

Result cuMemAllocAsync(u64* address, size_t bytes, void* handle) {
  GUARD("cuMemAllocAsync");
  auto stream = stream_of(handle);
  if (!stream) return INVALID_HANDLE;
  ++counts().allocations;
  if (bytes == 0) {
    violation("no bytes are asked for");
    return INVALID_VALUE;
  }
  *address = allocate(*stream->card, bytes, stream.get());
  return *address ? SUCCESS : OUT_OF_MEMORY;
}

Result cuMemAlloc_v2(u64* address, size_t bytes) {
  GUARD("cuMemAlloc");
  ++counts().allocations;
  if (bytes == 0) return INVALID_VALUE;
  *address = allocate(*current(), bytes, nullptr);
  return *address ? SUCCESS : OUT_OF_MEMORY;
}

Result cuMemFreeAsync(u64 address, void* handle) {
  GUARD("cuMemFreeAsync");
  auto stream = stream_of(handle);
  return stream ? release(address, stream.get()) : INVALID_HANDLE;
}

Result cuMemFree_v2(u64 address) {
  GUARD("cuMemFree");
  return release(address, nullptr);
}

Result cuMemcpyHtoDAsync_v2(u64 to, const void* from, size_t bytes, void* handle) {
  GUARD("cuMemcpyHtoDAsync");
  auto stream = stream_of(handle);
  if (!stream || !is_host(from)) return INVALID_HANDLE;
  ++counts().uploads;
  if (Result bad = touch(to, bytes, *stream, true, "an upload")) return bad;
  memcpy((void*)to, from, bytes);
  return SUCCESS;
}

Result cuMemcpyDtoHAsync_v2(void* to, u64 from, size_t bytes, void* handle) {
  GUARD("cuMemcpyDtoHAsync");
  auto stream = stream_of(handle);
  if (!stream || !is_host(to)) return INVALID_HANDLE;
  ++counts().reads;
  if (Result bad = touch(from, bytes, *stream, false, "a read by the host")) return bad;
  // Into memory that is not pinned the driver returns when the copy is there.
  host_waited(stream->known);
  memcpy(to, (const void*)from, bytes);
  return SUCCESS;
}

Result cuMemcpyDtoDAsync_v2(u64 to, u64 from, size_t bytes, void* handle) {
  GUARD("cuMemcpyDtoDAsync");
  auto stream = stream_of(handle);
  if (!stream) return INVALID_HANDLE;
  ++counts().fills_and_copies;
  if (Result bad = touch(from, bytes, *stream, false, "a copy's source")) return bad;
  if (Result bad = touch(to, bytes, *stream, true, "a copy's destination")) return bad;
  memmove((void*)to, (const void*)from, bytes);
  return SUCCESS;
}

Result cuMemsetD8Async(u64 to, unsigned char value, size_t bytes, void* handle) {
  GUARD("cuMemsetD8Async");
  auto stream = stream_of(handle);
  if (!stream) return INVALID_HANDLE;
  ++counts().fills_and_copies;
  if (Result bad = touch(to, bytes, *stream, true, "a fill")) return bad;
  memset((void*)to, value, bytes);
  return SUCCESS;
}

Result cuMemsetD32Async(u64 to, unsigned value, size_t words, void* handle) {
  GUARD("cuMemsetD32Async");
  auto stream = stream_of(handle);
  if (!stream) return INVALID_HANDLE;
  ++counts().fills_and_copies;
  if (to % 4) violation("0x%lx is no multiple of 4", to);
  if (Result bad = touch(to, 4 * words, *stream, true, "a fill")) return bad;
  for (size_t i = 0; i < words; ++i) memcpy((char*)to + 4 * i, &value, 4);
  return SUCCESS;
}

// Words.

Result cuGetErrorString(int error, const char** words) {
  switch (error) {
    case SUCCESS: *words = "no error"; break;
    case INVALID_VALUE: *words = "invalid argument"; break;
    case OUT_OF_MEMORY: *words = "out of memory"; break;
    case NOT_INITIALIZED: *words = "initialization error"; break;
    case NO_DEVICE: *words = "no CUDA-capable device is detected"; break;
    case INVALID_DEVICE: *words = "invalid device ordinal"; break;
    case INVALID_IMAGE: *words = "device kernel image is invalid"; break;
    case INVALID_CONTEXT: *words = "invalid device context"; break;
    case NO_BINARY_FOR_GPU:
      *words = "no kernel image is available for execution on the device";
      break;
    case INVALID_HANDLE: *words = "invalid resource handle"; break;
    case NOT_FOUND: *words = "named symbol not found"; break;
    case ILLEGAL_ADDRESS: *words = "an illegal memory access was encountered"; break;
    default: *words = nullptr; return INVALID_VALUE;
  }
  return SUCCESS;
}

Result cuGetErrorName(int error, const char** name) {
  switch (error) {
    case SUCCESS: *name = "CUDA_SUCCESS"; break;
    case INVALID_VALUE: *name = "CUDA_ERROR_INVALID_VALUE"; break;
    case OUT_OF_MEMORY: *name = "CUDA_ERROR_OUT_OF_MEMORY"; break;
    case NO_BINARY_FOR_GPU: *name = "CUDA_ERROR_NO_BINARY_FOR_GPU"; break;
    case ILLEGAL_ADDRESS: *name = "CUDA_ERROR_ILLEGAL_ADDRESS"; break;
    default: *name = "another CUDA_ERROR"; break;
  }
  return SUCCESS;
}

}  // extern "C"
