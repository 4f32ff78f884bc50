#include "report.hpp"

#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "options.hpp"

namespace standin {
namespace {

constexpr int EXIT_CODE = 97;
// What is wrong so often is wrong in one way.
constexpr size_t MOST_VIOLATIONS = 50;

thread_local const char* current_function = "no call";
thread_local const char* current_of = nullptr;
thread_local Counts of_thread;

// Everything is added up here. Never destroyed: threads may still run while the process ends.
struct Report {
  std::mutex lock;
  std::map<std::string, u64> kernels;
  std::vector<Counts> steps;
  std::map<int, u64> peaks;
  std::vector<std::string> violations;
  std::vector<std::string> faults;
};

Report& report() {
  static Report* report = new Report;
  return *report;
}

std::string words(const char* format, va_list arguments) {
  char text[1000];
  vsnprintf(text, sizeof text, format, arguments);
  return text;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += (unsigned char)c < ' ' ? ' ' : c;
  }
  return out + '"';
}

template <class T, class F>
std::string list(const T& items, const char* brackets, F&& one) {
  std::string out(1, brackets[0]);
  for (const auto& item : items) out += (out.size() > 1 ? ",\n  " : "\n  ") + one(item);
  return out + (items.empty() ? "" : "\n ") + brackets[1];
}

std::string of_step(const Counts& step) {
  char text[300];
  snprintf(text, sizeof text,
           "{\"launches\": %lu, \"products\": %lu, \"fills_and_copies\": %lu, \"uploads\": %lu, "
           "\"reads\": %lu, \"waits\": %lu, \"allocations\": %lu}",
           step.launches, step.products, step.fills_and_copies, step.uploads, step.reads,
           step.waits, step.allocations);
  return text;
}

// With the lock held.
void write_account() {
  const std::string& path = options().account;
  if (path.empty()) return;
  Report& all = report();
  auto number = [](const auto& entry) {
    return quoted(entry.first) + ": " + std::to_string(entry.second);
  };
  auto peak = [](const auto& entry) {
    return quoted(std::to_string(entry.first)) + ": " + std::to_string(entry.second);
  };
  std::string text = "{\n \"violations\": " + list(all.violations, "[]", quoted) +
                     ",\n \"faults\": " + list(all.faults, "[]", quoted) +
                     ",\n \"peak_bytes\": " + list(all.peaks, "{}", peak) +
                     ",\n \"kernels\": " + list(all.kernels, "{}", number) +
                     ",\n \"steps\": " + list(all.steps, "[]", of_step) + "\n}\n";
  // Renamed into place: another process of the same test may be at it.
  std::string unfinished = path + "." + std::to_string(getpid());
  FILE* file = fopen(unfinished.c_str(), "w");
  if (!file) return;
  fputs(text.c_str(), file);
  fclose(file);
  rename(unfinished.c_str(), path.c_str());
}

void note_violation(const char* format, va_list arguments) {
  std::string text = std::string(current_function) +
                     (current_of ? std::string(" (") + current_of + ")" : "") + ": " +
                     words(format, arguments);
  fprintf(stderr, "CUDA stand-in: VIOLATION: %s\n", text.c_str());
  report().violations.push_back(text);
  if (report().violations.size() < MOST_VIOLATIONS) return;
  write_account();
  fflush(nullptr);
  _exit(EXIT_CODE);
}

// Runs when the process ends by itself.
struct AtExit {
  ~AtExit() {
    std::lock_guard<std::mutex> guard(report().lock);
    write_account();
    if (report().violations.empty()) return;
    fprintf(stderr, "CUDA stand-in: %zu violations\n", report().violations.size());
    fflush(nullptr);
    _exit(EXIT_CODE);
  }
} at_exit;

}  // namespace

Counts& counts() { return of_thread; }

void count_launch(const char* kernel) {
  std::lock_guard<std::mutex> guard(report().lock);
  ++report().kernels[kernel];
  if (options().step != kernel) return;
  report().steps.push_back(of_thread);
  of_thread = Counts();
}

Call::Call(const char* function, const char* of)
    : outer_function(current_function), outer_of(current_of) {
  current_function = function;
  current_of = of;
}

Call::~Call() {
  current_function = outer_function;
  current_of = outer_of;
}

void violation(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::lock_guard<std::mutex> guard(report().lock);
  note_violation(format, arguments);
  va_end(arguments);
}

void fatal(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  report().lock.lock();
  note_violation(format, arguments);
  write_account();
  fflush(nullptr);
  _exit(EXIT_CODE);
}

void note_peak(int card, u64 bytes) {
  std::lock_guard<std::mutex> guard(report().lock);
  u64& peak = report().peaks[card];
  if (bytes > peak) peak = bytes;
}

void note_fault(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::lock_guard<std::mutex> guard(report().lock);
  std::string text = words(format, arguments);
  va_end(arguments);
  fprintf(stderr, "CUDA stand-in: injected: %s\n", text.c_str());
  report().faults.push_back(text);
  // The program may not come to its end.
  write_account();
}

}  // namespace standin
