#pragma once

#include <cstdint>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/models/denoising_network.hpp"
#include "deeppcr/models/scheduled_steps.hpp"
#include "models/dense_on_demand.hpp"

namespace deeppcr::models {

/// Time and sample of each row of a batch: steps of a range, and so many samples from the first.
class StepRows {
 public:
  StepRows(const std::vector<ScheduledStep>& steps, StepRange range, Index batch,
           Index first_sample);

  DenoisingRows of(StepRange part) const;

 private:
  StepRange range_;
  Index batch_;
  std::vector<std::int64_t> times_;
  std::vector<Index> samples_;
};

/// What a linearisation of scheduled steps is taken at.
struct ScheduledPoint {
  StepRows rows;
  Buffer<Real> x, slopes;  ///< [m B, n]; slopes of the clamp of x0, 0 or 1
};

/// The derivative of scheduled steps by products of the network. With D = d o / d x,
///
///     dx0  = slope (x0_state dx + x0_output D dx)
///     deps = eps_state dx + eps_output D dx
///     dx'  = state dx + sample dx0 + noise deps (+ previous dx0_before)
class ScheduledLinearisation final : public DenseOnDemand {
 public:
  /// Network and steps must outlive the object.
  ScheduledLinearisation(const DenoisingNetwork& network, const std::vector<ScheduledStep>& steps,
                         StepRange range, std::array<Index, 2> state, ScheduledPoint point);

  void product_each(StepRange part, Direction direction, View<const Real, 4> V,
                    View<Real, 4> W) const override;
  /// Cost: n products of the network for a row, one step at a time.
  void diagonals(StepRange part, States D) const override;
  /// The same; false where states have no second half.
  bool paired_diagonals(StepRange part, View<Real, 4> columns) const override;

 private:
  bool has_memory() const { return width_ > n_; }
  Index row_of(Index l) const { return (l - range().first) * batch(); }
  /// D V or its transpose for k columns of each row. Shapes: V, DV [m, B, k, n].
  void multiply(StepRange part, Direction direction, Index k, const Real* V, Real* DV) const;
  Index moving_columns(View<const Real, 4> V) const;
  void forward(StepRange part, View<const Real, 4> V, View<Real, 4> W) const;
  void backward(StepRange part, View<const Real, 4> V, View<Real, 4> W) const;
  /// dx0 / dx and dx' / dx of each number by itself, at step l: [B, n] each.
  void own_slopes(Index l, Real* of_x0, Real* of_x) const;

  const DenoisingNetwork& network_;
  const std::vector<ScheduledStep>& steps_;
  Index width_, n_;
  ScheduledPoint point_;
};

}  // namespace deeppcr::models
