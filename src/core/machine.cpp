#include "deeppcr/core/machine.hpp"

#include <algorithm>
#include <cmath>

namespace deeppcr {

double Machine::product_flop_ratio(int width) const {
  if (width <= 4) return 0.3;
  if (width <= 8) return 0.2;
  return width <= 32 ? 0.12 : 0.1;
}

double Machine::evaluations_of_denoising(double tolerance, double eta, double window) const {
  const double digits = std::max(0.0, std::log10(1e-2 / tolerance));
  const double wide = std::max(0.0, std::log2(window / 4));
  return std::max(1.0, 0.75 + 0.35 * eta + 0.17 * wide + 0.65 * std::sqrt(digits));
}

const Machine& machine() {
  static const Machine table;
  return table;
}

}  // namespace deeppcr
