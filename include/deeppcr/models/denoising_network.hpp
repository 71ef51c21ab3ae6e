#pragma once

#include <cstdint>

#include "deeppcr/core/types.hpp"

namespace deeppcr::models {

/// Rows of a batch that a denoising network takes: each its own time and sample.
struct DenoisingRows {
  Index count = 0;
  const std::int64_t* times = nullptr;  ///< [R], of the noise schedule that it was trained with
  const Index* samples = nullptr;       ///< [R], what a row is conditioned on goes by its sample
};

/// A network that predicts the noise, the sample or the velocity in noisy states. All steps of a
/// sampler share it, so any rows are one batch.
///
/// Not for use by several threads at once.
class DenoisingNetwork {
 public:
  virtual ~DenoisingNetwork() = default;

  /// Numbers n in a state.
  virtual int width() const = 0;

  /// out[r] = prediction for x[r] at times[r]. Shapes: x, out [R, n], which do not overlap.
  /// @throws Error where the network fails
  virtual void evaluate(const DenoisingRows& rows, const Real* x, Real* out) const = 0;

  /// W = (d out / d x) V, or transposed, at the states x. Shapes: x [R, n]; V, W [R, k, n].
  virtual void product(const DenoisingRows& rows, const Real* x, Direction direction, Index k,
                       const Real* V, Real* W) const = 0;
};

}  // namespace deeppcr::models
