#include "deeppcr/core/machine.hpp"

#include <algorithm>
#include <cmath>

namespace deeppcr {

double KernelSeconds::product(Index rows, Index columns, Index vectors) const {
  const auto eights = static_cast<double>((rows + 7) / 8 * columns);
  return call + eights * (matrix_eight + multiply_add * static_cast<double>(vectors - 1));
}

double KernelSeconds::layer(int width, Index batch) const {
  return product(width, width, batch) + function * static_cast<double>(width * batch);
}

double Network::message(double bytes, int ranks) const {
  if (ranks <= 1) return 0;
  return ranks <= node_ranks ? node_latency + bytes / node_bandwidth : latency + bytes / bandwidth;
}

double Network::scan(double bytes, int ranks, double entering) const {
  double seconds = 0;
  for (int stride = 1; stride < std::min(ranks, node_ranks); stride *= 2) {
    seconds += node_latency + bytes / node_bandwidth;
    if (ranks > node_ranks) seconds += node_latency + entering / node_bandwidth;
  }
  for (int stride = node_ranks; stride < ranks; stride *= 2) seconds += latency + bytes / bandwidth;
  return seconds;
}

// Within each node, between the nodes, and within them again.
double Network::reduction(int ranks) const {
  double seconds = 0;
  for (int stride = 1; stride < ranks; stride *= 2)
    seconds += stride >= node_ranks ? latency : node_latency * (ranks > node_ranks ? 2 : 1);
  return seconds;
}

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
