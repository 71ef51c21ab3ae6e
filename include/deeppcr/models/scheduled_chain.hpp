#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/models/denoising_network.hpp"
#include "deeppcr/models/sampler_chain.hpp"
#include "deeppcr/models/scheduled_steps.hpp"

namespace deeppcr::models {

/// Mean and variance of each number of the data, [n]; empty: 0 and 1.
struct Moments {
  std::vector<double> mean = {}, variance = {};
};

/// The sampler of a published model: scheduled_steps() over any denoising network. Where steps use
/// the x0 of the step before, a state is (x, x0_before), [2 n], and its blocks are pairs. The noise
/// fresh xi is the steps' input, [L, B, n].
///
/// Gaussian Jacobians and guesses are those of independent Gaussian data with the given moments:
/// E[x0 | x] = mean + sqrt(abar) var / (abar var + 1 - abar) (x - sqrt(abar) mean).
class ScheduledChain : public SamplerChain {
 public:
  /// The network must outlive the chain. @throws Error for moments that no data have
  ScheduledChain(const DenoisingNetwork& network, std::vector<ScheduledStep> steps, Index batch,
                 std::uint64_t seed, Moments moments = {});

  Index num_steps() const override { return static_cast<Index>(steps_.size()); }
  int width() const override { return has_memory_ ? 2 * numbers() : numbers(); }
  sequence::Columns output() const override { return {0, numbers()}; }
  Index batch() const override { return batch_; }

  /// One batch of the network for the range.
  void value(StepRange range, ConstStates in, States out) const override;
  std::unique_ptr<blocks::Linearisation> linearise(StepRange range, ConstStates in,
                                                   States out) const override;
  /// No numbers where no step adds noise.
  int input_width() const override { return static_cast<int>(inputs_.values.extent(2)); }
  sequence::Inputs inputs() const override { return inputs_; }
  std::unique_ptr<sequence::Sequence> bound_to(const sequence::Inputs& inputs) const override;
  /// linear_part: with what the network says held fast, and nothing clipped.
  bool known_diagonals(sequence::KnownDiagonal which, StepRange range,
                       View<Real, 2> diagonals) const override;
  bool known_pairs(sequence::KnownDiagonal which, StepRange range,
                   View<Real, 3> columns) const override;

  void start(State z) const override;
  /// The drift is what a step's x0 adds to E[x0 | x] of Gaussian data.
  bool drift(Index l, ConstState z, ConstState f, State drift) const override;
  void extrapolate(StepRange range, ConstState z, ConstState drift, States out) const override;

 private:
  int numbers() const { return network_.width(); }
  const ScheduledStep& step(Index l) const { return steps_[static_cast<std::size_t>(l)]; }
  /// E[x0 | x] of Gaussian data for number i: its slope by x, and itself.
  Real gaussian_slope(const ScheduledStep& step, Index i) const;
  Real gaussian_x0(const ScheduledStep& step, Index i, Real x) const;
  /// The state after step l if every x0 were what it is for Gaussian data, and so much more.
  void gaussian_step(Index l, ConstState z, const Real* more, Real* out) const;
  /// d x0 / d x and d x' / d x of number i by what is known.
  std::pair<Real, Real> known_slopes(sequence::KnownDiagonal which, const ScheduledStep& step,
                                     Index i) const;
  /// x of each state, [m B, n]: in `room` where states hold more.
  const Real* x_of(ConstStates in, Buffer<Real>& room) const;
  /// All steps of a range; slopes [m B, n] of the clamp, or null.
  void evaluate(StepRange range, ConstStates in, const Real* x, States out, Real* slopes) const;

  const DenoisingNetwork& network_;
  std::vector<ScheduledStep> steps_;
  Index batch_;
  std::uint64_t seed_;
  Moments moments_;
  bool has_memory_ = false;  ///< a step uses the x0 before it
  sequence::Inputs inputs_;
  std::shared_ptr<const Buffer<Real>> drawn_;  ///< the first inputs, shared by views for others
};

}  // namespace deeppcr::models
