#include "deeppcr/core/profile.hpp"

#include <chrono>

namespace deeppcr {

namespace {

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double (*the_clock)() = steady_seconds;

}  // namespace

double clock_seconds() { return the_clock(); }

void use_clock(double (*seconds)()) { the_clock = seconds; }

}  // namespace deeppcr
