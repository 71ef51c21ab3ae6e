#pragma once

#include <cstdint>

#include "deeppcr/core/view.hpp"

namespace deeppcr::models {

/// 1-Wasserstein distance between two sets of as many points: the smallest mean distance of pairs.
struct Wasserstein {
  double distance = 0;
  bool exact = true;  ///< by assignment; else the mean over random directions of the 1-D distance
};

/// Exact for up to `most_exact` points, sliced over 256 directions beyond. Shapes: a, b [N, n].
/// Cost: exact O(N^3); sliced 256 N (n + log N).
/// Source: Jonker and Volgenant, Computing 38, 1987 (shortest augmenting paths); Rabin et al., SSVM
/// 2011
Wasserstein wasserstein(ConstState a, ConstState b, Index most_exact = 2000);

}  // namespace deeppcr::models
