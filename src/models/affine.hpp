#pragma once

#include <cstdint>

#include "deeppcr/models/catalogue.hpp"
#include "models/layered_chain.hpp"

namespace deeppcr::models {

struct AffineOptions {
  Index steps = 0;
  int width = 1;
  double contraction = 0.9;  ///< every singular value of every A_l
  std::uint64_t seed = 1;
};

/// Random affine steps A_l z + c_l for tests and benchmarks: A_l is a random orthogonal matrix
/// times the contraction, c_l standard normal. The parameters of a step are A_l, column-major, then
/// c_l.
class Affine : public LayeredChain {
 public:
  /// Makes the parameters of the `local` steps only; they are the same for any split.
  Affine(const AffineOptions& options, const StepSet& local);
};

CatalogueEntry affine_entry();

}  // namespace deeppcr::models
