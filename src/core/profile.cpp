#include "deeppcr/core/profile.hpp"

#include <chrono>

namespace deeppcr {

namespace {

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double (*the_clock)() = steady_seconds;
double offset = 0;

}  // namespace

double clock_seconds() { return the_clock() + offset; }

void use_clock(double (*seconds)()) {
  offset = clock_seconds() - seconds();
  the_clock = seconds;
}

}  // namespace deeppcr
