#include <algorithm>
#include <cstddef>
#include <deque>
#include <limits>

#include "deeppcr/core/profile.hpp"
#include "deeppcr/train/chain_network.hpp"
#include "train/feed.hpp"
#include "train/loss_on_grid.hpp"
#include "train/pipeline_passes.hpp"

namespace deeppcr::train {

namespace {

/// Mini-batches whose samples the first of so many stages needs at once.
std::size_t open_batches(plan::PipelineSchedule schedule, int stages) {
  if (!plan::entry_of(schedule).by_stage) return 2;
  return static_cast<std::size_t>(plan::most_held(schedule, {stages, 1}));
}

}  // namespace

/// Whether nothing of a mini-batch is asked for where the ones before it are still worked on:
/// shared gradients, inputs, losses of inner states. A loss on the last stage, and what samples the
/// first one takes, are done with by then from M = P on, or have memory of their own.
bool ChainNetwork::may_flow() const {
  if (!options_.methods.pipeline) return false;
  const plan::ScheduleEntry& schedule = plan::entry_of(options_.methods.pipeline->schedule);
  const int stages = options_.layout.num_active_ranks();
  const bool is_last = grid_.depth().rank() == stages - 1;
  const bool in_time =
      schedule.delays && (schedule.by_stage || pipeline_->batches().num_ranks() >= stages);
  const bool possible = in_time && !bound_ && !chain_gradients_.any_shared() &&
                        stages == grid_.depth().size() && (is_last || loss_->rows() == 0);
  return !grid_.world().any(!possible);
}

/// Of the micro-batches of one mini-batch; counts the seconds that the first end takes.
ChainEnds ChainNetwork::ends(const Drawn& drawn, models::LossReport& report, double& seconds) {
  ChainEnds ends;
  ends.begin = [this, &drawn, &seconds](StepRange part, State z0) {
    const Stopwatch watch;
    if (bound_) {
      std::fill(z0.begin(), z0.end(), Real{0});
    } else {
      embed(drawn, part, z0);
    }
    seconds += watch.seconds();
  };
  ends.loss = [this, &drawn, &report](StepRange part, ConstStates states, States by_states) {
    const models::LossReport one = differentiate_loss(drawn, part, states, by_states);
    report.loss += one.loss;
    report.correct += one.correct;
    report.counted += one.counted;
  };
  ends.end = [this](StepRange part, ConstState gradient) {
    if (owns_embedding())
      std::copy(gradient.begin(), gradient.end(),
                by_input_.data() + part.first * gradient.extent(1));
  };
  return ends;
}

/// What a row's batches have come to on this rank; seconds of their data and of sums.
struct ChainNetwork::RowReports {
  std::vector<models::LossReport> losses;  ///< by batch
  double data_seconds = 0, sum_seconds = 0;
};

std::vector<StepOutcome> ChainNetwork::differentiate_in_a_row(const std::vector<MiniBatch>& batches,
                                                              const Turns& turns) {
  const std::size_t places =
      open_batches(options_.methods.pipeline->schedule, grid_.depth().size());
  std::deque<Drawn> drawn;
  RowReports reports;
  reports.losses.resize(batches.size());
  std::vector<ChainEnds> all;
  for (const MiniBatch& batch : batches) {
    const std::size_t k = drawn.size();
    drawn.push_back({examples_, batch.samples + samples_.first, batch.epoch, options_.augmentation,
                     loss_->count_judged(examples_, batch.samples, options_.batch), k % places});
    all.push_back(ends(drawn.back(), reports.losses[k], reports.data_seconds));
  }
  const auto update = [&](std::size_t k) {
    const Stopwatch watch;
    parallel::PendingSums sums(grid_.data());
    sum_chain_gradients(false, 0, local_.size(), sums);
    loss_->sum(sums);
    if (owns_embedding())
      differentiate_embedding(drawn[k], {by_input_.data(), {samples_.size(), chain().width()}},
                              sums);
    sums.wait();
    reports.sum_seconds += watch.seconds();
    turns.update(k);
    loss_->begin();
  };
  loss_->begin();
  pipeline_->run(all, {turns.enter, update});
  return outcomes(reports);
}

/// Of all ranks together. Collective.
std::vector<StepOutcome> ChainNetwork::outcomes(const RowReports& reports) const {
  // seconds by stage, then the largest state by batch: the worst of all ranks
  const StageTimes& seconds = pipeline_->seconds();
  std::vector<double> worst{reports.data_seconds,  seconds.get("forward") - reports.data_seconds,
                            seconds.get("loss"),   0,
                            seconds.get("linear"), seconds.get("parameters"),
                            reports.sum_seconds};
  const std::vector<double>& states = pipeline_->largest_of_each();
  worst.insert(worst.end(), states.begin(), states.end());
  std::vector<double> sums;
  for (const models::LossReport& one : reports.losses)
    sums.insert(sums.end(),
                {one.loss, static_cast<double>(one.correct), static_cast<double>(one.counted)});
  grid_.world().max(worst);
  grid_.world().sum(sums);
  constexpr double kNoNumber = std::numeric_limits<double>::quiet_NaN();
  const std::size_t batches = reports.losses.size();
  const std::vector<std::string> names = stages();
  std::vector<StepOutcome> outcomes(batches);
  for (std::size_t k = 0; k < batches; ++k) {
    StepOutcome& outcome = outcomes[k];
    nonlinear::SolveReport forward;
    nonlinear::end_sequential(worst[names.size() + k], chain().num_steps(),
                              options_.methods.settings.tolerance, forward);
    outcome.failure = forward.reason;
    outcome.newton_iterations = forward.iterations;
    outcome.loss = outcome.failure.empty() ? sums[3 * k] : kNoNumber;
    outcome.accuracy =
        parts_.loss->classes() > 0 ? sums[3 * k + 1] / std::max(sums[3 * k + 2], 1.0) : kNoNumber;
    for (std::size_t s = 0; s < names.size(); ++s)
      outcome.seconds[names[s]] = worst[s] / static_cast<double>(batches);
  }
  return outcomes;
}

}  // namespace deeppcr::train
