// The machine that is stood in for, and the faults it has: from the environment (README.md lists the variables).
#pragma once

#include <string>
#include <vector>

#include "report.hpp"

namespace standin {

struct CardOptions {
  int capability = 90;  // 10 * major + minor
  u64 memory = 0;
};

struct Options {
  std::vector<CardOptions> cards;
  int driver = 13000;
  // An allocation that would make a card hold more than this fails; 0: the card's memory alone counts.
  u64 full_at = 0;
  // After so many launches on this card, the next one has an illegal address; 0: never.
  int illegal_card = 0;
  u64 illegal_after = 0;
  // This card has an illegal address when it is opened so often that this generator of random numbers is made for it; 0: never.
  int opened_card = 0;
  u64 illegal_opening = 0;
  // The compute capability that images are taken to be compiled for; 0: what they say.
  int images = 0;
  // The kernel that ends a training step.
  std::string step;
  std::string account;
};

const Options& options();

}  // namespace standin
