// What every function of the driver begins with.
#pragma once

#include "card.hpp"

namespace standin {

// INVALID_CONTEXT, a violation, where this thread has no current context, or that context's error that stays.
inline Result refused() {
  Card* card = current();
  if (!card) {
    violation("this thread has no current context");
    return INVALID_CONTEXT;
  }
  return card->poison;
}

// Does what takes long while others' calls go on. To be called with `world()` held once.
template <class F>
void unlocked(Stream& stream, F&& work) {
  world().unlock();
  {
    std::lock_guard<std::mutex> alone(stream.running);
    work();
  }
  world().lock();
}

}  // namespace standin

// For functions of the machine as a whole.
#define GUARD_GLOBAL(name)                                      \
  std::lock_guard<std::recursive_mutex> guard(standin::world()); \
  standin::Call call(name)

// For functions of the current context: they fail from the first error that stays.
#define GUARD(name)   \
  GUARD_GLOBAL(name); \
  if (Result bad = standin::refused()) return bad
