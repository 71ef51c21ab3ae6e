#pragma once

#include <numeric>
#include <utility>
#include <vector>

#include "deeppcr/core/random.hpp"

namespace deeppcr::train {

/// The numbers 0..count-1 in a random order, by Fisher and Yates.
inline std::vector<Index> random_order(Index count, const RandomStream& random) {
  std::vector<Index> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), Index{0});
  for (Index i = count - 1; i > 0; --i) {
    std::swap(order[static_cast<std::size_t>(i)],
              order[static_cast<std::size_t>(random.integer(i, i + 1))]);
  }
  return order;
}

}  // namespace deeppcr::train
