#include "options.hpp"

#include <cstdio>
#include <cstdlib>

namespace standin {
namespace {

std::string variable(const char* name) {
  const char* value = getenv((std::string("QUINTET_STANDIN_") + name).c_str());
  return value ? value : "";
}

[[noreturn]] void refuse(const char* name, const std::string& value) {
  fprintf(stderr, "CUDA stand-in: QUINTET_STANDIN_%s is `%s`, see its README.md\n", name,
          value.c_str());
  abort();
}

u64 number(const char* name, const std::string& text) {
  char* end;
  u64 value = strtoull(text.c_str(), &end, 10);
  if (text.empty() || *end) refuse(name, text);
  return value;
}

// `2:40` is number 40 of card 2, and `40` that of card 0.
u64 of_card(const char* name, const std::string& text, int& card) {
  size_t colon = text.find(':');
  if (colon == std::string::npos) return number(name, text);
  card = (int)number(name, text.substr(0, colon));
  return number(name, text.substr(colon + 1));
}

// `90:85899345920,75` are an H100 with 80 GiB and a T4.
std::vector<CardOptions> cards(const std::string& text) {
  std::vector<CardOptions> cards;
  for (size_t at = 0; at < text.size();) {
    size_t end = text.find(',', at);
    if (end == std::string::npos) end = text.size();
    std::string card = text.substr(at, end - at);
    size_t colon = card.find(':');
    CardOptions options;
    options.capability = (int)number("CARDS", card.substr(0, colon));
    options.memory = colon == std::string::npos
                         ? (options.capability < 80 ? 16ull << 30 : 80ull << 30)
                         : number("CARDS", card.substr(colon + 1));
    cards.push_back(options);
    at = end + 1;
  }
  return cards;
}

Options read() {
  Options options;
  std::string value = variable("CARDS");
  options.cards = value == "none" ? std::vector<CardOptions>() : cards(value.empty() ? "90" : value);
  if (!(value = variable("DRIVER")).empty()) options.driver = (int)number("DRIVER", value);
  if (!(value = variable("FULL_AT")).empty()) options.full_at = number("FULL_AT", value);
  if (!(value = variable("IMAGES")).empty()) options.images = (int)number("IMAGES", value);
  if (!(value = variable("ILLEGAL_AFTER")).empty())
    options.illegal_after = of_card("ILLEGAL_AFTER", value, options.illegal_card);
  if (!(value = variable("ILLEGAL_OPENING")).empty())
    options.illegal_opening = of_card("ILLEGAL_OPENING", value, options.opened_card);
  options.step = variable("STEP");
  options.account = variable("ACCOUNT");
  return options;
}

}  // namespace

const Options& options() {
  static const Options* options = new Options(read());
  return *options;
}

}  // namespace standin
