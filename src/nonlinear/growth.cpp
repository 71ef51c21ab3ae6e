#include <algorithm>
#include <cmath>
#include <limits>

#include "deeppcr/core/random.hpp"
#include "deeppcr/linear/chunk_facts.hpp"
#include "deeppcr/nonlinear/conclusion.hpp"
#include "deeppcr/parallel/exchange.hpp"
#include "deeppcr/sequence/propagate.hpp"
#include "nonlinear/chunk_sweep.hpp"

namespace deeppcr::nonlinear {

namespace {

using linear::ChunkFacts;
using linear::kRightBelow;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
/// Steps whose Jacobians are held at a time, and after which a tangent has turned into the
/// direction that grows.
constexpr Index kPiece = 64;
constexpr std::uint64_t kStream = 0x67726f77;  // "grow"

/// What one rank's steps do to errors, the worst of its samples, ready to be judged with the
/// others' as if the rank had swept them as one chunk.
class Stretch {
 public:
  explicit Stretch(const std::vector<double>& limits) : limits_(limits) {
    facts_.exit = facts_.peak = -kInfinity;
  }

  /// residual, growth: of one sample, at stride B.
  void add_sample(const double* residual, const double* growth, Index stride) {
    const auto m = static_cast<Index>(limits_.size());
    const double last = limits_.empty() ? 0 : limits_.back();
    double error = 0, grown = 0, lowest = 0, lowest_behind = kInfinity;
    for (Index l = 0; l < m; ++l) {
      // Held against the limit of its own step, where the judge has the last one's.
      const double scale = last / limits_[static_cast<std::size_t>(l)];
      const double r = residual[l * stride];
      error = error * std::exp(growth[l * stride]) + r;
      grown += growth[l * stride];
      facts_.seam = std::max(facts_.seam, r);
      facts_.seam_peak = std::max(facts_.seam_peak, error == 0 ? 0 : error * scale);
      facts_.peak = std::max(facts_.peak, grown + std::log(scale));
      facts_.all_rise = std::max(facts_.all_rise, grown - lowest + std::log(scale));
      facts_.most = std::max(facts_.most, grown - lowest);
      if (r > 0 || lowest_behind < kInfinity) lowest_behind = std::min(lowest_behind, grown);
      if (lowest_behind < kInfinity)
        facts_.rise = std::max(facts_.rise, grown - lowest_behind + std::log(scale));
      lowest = std::min(lowest, grown);
    }
    facts_.seam_exit = std::max(facts_.seam_exit, error);
    facts_.exit = std::max(facts_.exit, grown);
    facts_.all_exit_rise = std::max(facts_.all_exit_rise, grown - lowest);
    if (lowest_behind < kInfinity)
      facts_.exit_rise = std::max(facts_.exit_rise, grown - lowest_behind);
  }

  ChunkFacts facts() const {
    ChunkFacts all = facts_;
    all.from_start = facts_.exit;
    return all;
  }

 private:
  const std::vector<double>& limits_;
  ChunkFacts facts_;
};

/// Largest |r| of each sample of each step: [m, B]. NaN gives infinity.
void sample_norms(ConstStates r, double* norms) {
  for (Index l = 0; l < r.extent(0); ++l)
    for (Index b = 0; b < r.extent(1); ++b)
      *norms++ = sequence::largest_entry({r[l][b].data(), {1, r.extent(2)}});
}

/// Measures growth along a trajectory: one random tangent a sample is pushed through the Jacobians
/// of each rank's steps, all ranks at once; the first steps of a rank are walked once more with the
/// tangent that its left neighbour ends with, which has turned into the direction that grows.
///
/// Cost: 2 B n^2 (L/P + 64) flops a rank in a row; two messages of at most B n reals to the right,
/// two scans of some numbers over ranks and a reduction. Memory: two numbers a step and sample.
/// Source: the tangent is that of Benettin et al., Meccanica 15, 1980.
class GrowthProbe {
 public:
  /// The Jacobians of a range of local steps. Asked for ranges in order, then for the first once
  /// more.
  using Linearise = std::function<const blocks::Linearisation&(StepRange)>;

  explicit GrowthProbe(const sequence::Trajectory& states)
      : states_(states),
        local_(states.local_range()),
        batch_(states.batch()),
        width_(states.width()),
        residuals_(static_cast<std::size_t>(local_.size() * batch_), 0.0),
        growth_(residuals_.size(), 0.0),
        scratch_(batch_ * width_) {}

  /// max |r| of the samples of the local steps, [m, B].
  std::vector<double>& residuals() { return residuals_; }

  /// `linearise` fills the residuals() of its range too, unless they are there already. Adds what
  /// this rank sends to `traffic`. Collective.
  Assessment assess(const Tolerance& tolerance, const Linearise& linearise,
                    parallel::Traffic& traffic) {
    const StepRange first{local_.first, std::min(local_.last, local_.first + kPiece)};
    Buffer<Real> tangent(batch_ * width_), left(batch_ * width_);
    start(tangent, local_.first);
    for (Index l = local_.first; l < local_.last; l += kPiece) {
      const StepRange piece{l, std::min(local_.last, l + kPiece)};
      push(linearise(piece), piece, tangent);
    }
    parallel::halo(states_.comm(), 0, states_.layout().num_active_ranks() - 1, Direction::forward,
                   tangent.data(), left.data(), local_.empty() ? 0 : left.size(), traffic);
    if (local_.first > 0 && !local_.empty()) push(linearise(first), first, left);
    return judge(tolerance);
  }

 private:
  /// Unit vectors, drawn by step.
  void start(Buffer<Real>& tangent, Index step) const {
    RandomStream(0, kStream).normal(step * tangent.size(), tangent.size(), tangent.data());
    for (Index b = 0; b < batch_; ++b)
      normalise(width_, tangent.data() + b * width_, tangent.data() + b * width_);
  }

  /// t <- A t / |A t|, and log |A t| into growth_.
  void push(const blocks::Linearisation& A, StepRange range, Buffer<Real>& tangent) {
    const std::array<Index, 3> shape{batch_, 1, width_};
    Buffer<Real> fresh(tangent.size());
    start(fresh, range.first);
    for (Index l = range.first; l < range.last; ++l) {
      A.product(l, Direction::forward, ConstPanel(tangent.data(), shape),
                Panel(scratch_.data(), shape));
      tangent.swap(scratch_);
      double* growth = growth_.data() + (l - local_.first) * batch_;
      for (Index b = 0; b < batch_; ++b)
        growth[b] = normalise(width_, tangent.data() + b * width_, fresh.data() + b * width_);
    }
  }

  /// From the residuals and the growth of all ranks. Collective.
  Assessment judge(const Tolerance& tolerance) const {
    const parallel::Communicator& comm = states_.comm();
    const std::vector<double> allowed = limits(comm, tolerance, states_.input(), states_.states());
    Stretch stretch(allowed);
    for (Index b = 0; b < batch_; ++b)
      stretch.add_sample(residuals_.data() + b, growth_.data() + b, batch_);
    ChunkFacts facts = stretch.facts();
    facts.scale =
        sequence::largest_entry({states_.states().data(), {local_.size(), batch_ * width_}});
    if (local_.first == 0)
      facts.scale = std::max(facts.scale, sequence::largest_entry(states_.input()));
    double sum = 0;
    Index identical = states_.layout().num_steps();
    for (std::size_t i = residuals_.size(); i-- > 0;) {
      sum += growth_[i];
      if (residuals_[i] != 0) identical = local_.first + static_cast<Index>(i) / batch_;
    }
    // One chunk a rank. The first step anywhere that is not identical: a minimum, negated.
    const int active = states_.layout().num_active_ranks();
    const linear::ChunkPlace place{comm, active, Direction::forward, comm.rank(), active};
    linear::PathClock no_clock;
    parallel::Reduction together;
    const Index first_other = together.max(-static_cast<double>(identical));
    const Index sums = together.sum(sum);
    Assessment found{linear::judge(place, std::vector<ChunkFacts>(local_.empty() ? 0 : 1, facts),
                                   tolerance.rtol, tolerance.atol, no_clock, together)};
    found.identical = static_cast<Index>(-together.maximum(first_other));
    const auto steps = static_cast<double>(states_.layout().num_steps() * batch_);
    found.lyapunov = steps > 0 ? together.total(sums) / steps : 0;
    return found;
  }

  const sequence::Trajectory& states_;
  StepRange local_;
  Index batch_, width_;
  std::vector<double> residuals_, growth_;  ///< [m, B]; growth: log of |A t| / |t|
  Buffer<Real> scratch_;
};

}  // namespace

std::vector<double> limits(const parallel::Communicator& comm, const Tolerance& tolerance,
                           ConstState input, ConstStates states) {
  std::vector<double> sizes = sequence::step_norms(states);
  double local = 0;
  for (const double size : sizes) local = std::max(local, size);
  double largest = parallel::max_before(comm, local, sequence::largest_entry(input));
  for (double& size : sizes) {
    largest = std::max(largest, size);
    size = tolerance.limit(largest);
  }
  return sizes;
}

bool Assessment::right() const { return error <= kRightBelow; }

Assessment assess(const sequence::Sequence& chain, const sequence::Trajectory& states,
                  const Tolerance& tolerance, parallel::Traffic& traffic) {
  const ConstStates in = states.starts(traffic), z = states.states();
  const StepRange local = states.local_range();
  GrowthProbe probe(states);
  Buffer<Real> values(std::min(kPiece, local.size()) * states.batch() * states.width());
  std::unique_ptr<blocks::Linearisation> A;
  const auto linearise = [&](StepRange range) -> const blocks::Linearisation& {
    const Index from = range.first - local.first, to = range.last - local.first;
    const States r(values.data(), {range.size(), states.batch(), states.width()});
    A = chain.linearise(range, in.slice(from, to), r);
    const ConstStates here = z.slice(from, to);
    for (Index i = 0; i < r.size(); ++i) r.data()[i] -= here.data()[i];
    sample_norms(r, probe.residuals().data() + from * states.batch());
    return *A;
  };
  return probe.assess(tolerance, linearise, traffic);
}

Assessment assess(const sequence::Trajectory& states, ConstStates residual,
                  const blocks::Linearisation& A, const Tolerance& tolerance,
                  parallel::Traffic& traffic) {
  GrowthProbe probe(states);
  sample_norms(residual, probe.residuals().data());
  return probe.assess(
      tolerance, [&](StepRange) -> const blocks::Linearisation& { return A; }, traffic);
}

}  // namespace deeppcr::nonlinear
