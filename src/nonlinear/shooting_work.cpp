#include "nonlinear/shooting_work.hpp"

#include <algorithm>

namespace deeppcr::nonlinear {

namespace {

/// States merge well below the tolerance, near rounding.
constexpr double kMergeBelow = 1e-3, kFinestMerge = 1e-14, kCoarsestMerge = 1e-13;
/// Steps in which a tangent turns into the direction that grows, with some to spare.
constexpr Index kTellingSteps = 2 * ChunkSweep::kBlock;

double merge_tolerance(double rtol) {
  return std::clamp(kMergeBelow * rtol, kFinestMerge, kCoarsestMerge);
}

}  // namespace

ShootingWork::ShootingWork(const sequence::Sequence& chain, sequence::Trajectory& states,
                           const ShootingOptions& options)
    : chain_(chain),
      states_(states),
      tolerance_{options.rtol, options.atol},
      chunks_(states.layout(), options.chunks),
      own_(chunks_.of_rank(states.comm().rank())),
      sweep_(chain, states, chunks_, merge_tolerance(options.rtol)),
      starts_(states, chunks_, sweep_) {}

bool ShootingWork::sweeps_tell_growth() const {
  return chunks_.size() <= 1 || chunks_.longest() >= kTellingSteps;
}

void ShootingWork::sweep_to(Index steps, bool with_tangents) {
  const StageTimer timer(stages, "sweep");
  for (Index i = 0; i < own_.size(); ++i)
    sweep_.advance(i, steps, with_tangents && !is_first_of_chain(i));
}

void ShootingWork::sweep_changed() {
  const StageTimer timer(stages, "sweep");
  sweep_.rest();
  for (Index i = 0; i < own_.size(); ++i)
    if (starts_.changed()[static_cast<std::size_t>(i)]) sweep_.again(i);
}

void ShootingWork::gather() {
  const std::vector<double>& mismatches = starts_.measure();
  std::vector<ChunkFacts> mine;
  for (Index i = 0; i < own_.size(); ++i)
    mine.push_back(facts_of(sweep_[i], mismatches[static_cast<std::size_t>(i)]));
  table_ = ChunkTable::gather(comm(), mine);
  judgement_ = table_.judge(tolerance_.rtol, tolerance_.atol);
}

Index ShootingWork::exact_steps() const {
  return judgement_.exact_chunks == 0 ? 0 : chunks_.steps(judgement_.exact_chunks - 1).last;
}

bool ShootingWork::nothing_at_seams() const {
  const auto& facts = table_.facts();
  return std::all_of(facts.begin(), facts.end(),
                     [](const ChunkFacts& chunk) { return chunk.mismatch == 0; });
}

double ShootingWork::seam_residual() {
  const StageTimer timer(stages, "check");
  if (nothing_at_seams()) return judgement_.residual;
  const Index B = states_.batch(), n = states_.width(), state = B * n;
  const Real* incoming = starts_.receive_end(traffic);
  double most = 0;
  Buffer<Real> value(state);
  for (Index i = 0; i < own_.size(); ++i) {
    for (const Seam& seam : sweep_[i].seams) most = std::max(most, seam.size);
    if (is_first_of_chain(i)) continue;
    const Real* left = i == 0 ? incoming : sweep_.end(i - 1).data();
    const Index l = sweep_[i].steps.first;
    chain_.value({l, l + 1}, ConstStates(left, {1, B, n}), States(value.data(), {1, B, n}));
    const Real* z = states_.states()[l - states_.local_range().first].data();
    most = std::max(most, largest_difference(state, value.data(), z));
  }
  return most;
}

}  // namespace deeppcr::nonlinear
