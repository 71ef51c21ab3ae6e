#include "nonlinear/pipeline_plan.hpp"

#include <algorithm>
#include <utility>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/machine.hpp"

namespace deeppcr::nonlinear {

namespace {

Index ceil_divide(Index a, Index b) { return (a + b - 1) / b; }

/// Blocks a rank whose own weights fit the cache, and at least eight where they are not short: the
/// more there are, the less ranks wait. A few steps at least: a message takes as long as a short
/// one, against which wide steps are long.
Index choose_block_steps(const Problem& problem) {
  constexpr Index kRounds = 8, kFewest = 8, kNumbers = 1024;
  const Index short_block = std::clamp<Index>(kNumbers / std::max(1, problem.width), 4, 16);
  const Index share = ceil_divide(std::max<Index>(1, problem.steps), problem.ranks);
  const double fit = machine().block_bytes / std::max(1.0, problem.own_weight_bytes());
  const auto cached = static_cast<Index>(
      std::clamp(fit, static_cast<double>(kFewest), static_cast<double>(std::max(kFewest, share))));
  const Index rounds =
      std::max({Index{1}, ceil_divide(share, cached), std::min(kRounds, share / short_block)});
  return ceil_divide(share, rounds);
}

void check(const PipelineOptions& options, const Problem& problem) {
  if (options.micro_batches > problem.batch)
    throw input_error(
        "--micro-batches {}: there are {} samples, and each micro-batch needs one; "
        "use fewer, or leave it out",
        options.micro_batches, problem.batch);
  if (options.block_steps > problem.steps)
    throw input_error(
        "--block-steps {}: the chain has {} steps; use shorter blocks, or leave it out",
        options.block_steps, problem.steps);
}

}  // namespace

PipelinePlan::PipelinePlan(parallel::BlockLayout layout, Index batch, Index micro_batches)
    : layout_(std::move(layout)), batch_(batch) {
  Index number = micro_batches > 0 ? micro_batches : choose_micro_batches();
  if (shares_samples()) number = layout_.num_ranks();
  batches_ = parallel::BlockLayout::balanced(batch, static_cast<int>(number));
}

Index PipelinePlan::block_steps() const {
  if (layout_.num_steps() == 0) return 0;
  return layout_.is_contiguous() ? layout_.longest() : layout_.steps(0).range(0).size();
}

Index PipelinePlan::num_blocks() const {
  const Index L = layout_.num_steps();
  if (L == 0) return 0;
  return (layout_.steps(0).num_ranges() - 1) * layout_.num_ranks() + layout_.owner(L - 1) + 1;
}

// Block v P + p on rank p begins with its first micro-batch at tick v max(M, P) + p.
double PipelinePlan::ticks(Index micro_batches) const {
  const Index blocks = num_blocks();
  if (blocks == 0) return 0;
  if (shares_samples()) return 1;
  const Index ranks = layout_.num_ranks(), last = (blocks - 1) / ranks;
  return static_cast<double>(last * std::max(ranks, micro_batches) + (blocks - 1) % ranks +
                             micro_batches);
}

double PipelinePlan::sample_steps() const {
  return ticks() * static_cast<double>(block_steps() * batches_.count(0));
}

double PipelinePlan::idle(double sample_steps) const {
  const auto work = static_cast<double>(layout_.num_steps() * batch_);
  return sample_steps > 0 ? 1 - work / (sample_steps * layout_.num_ranks()) : 0;
}

/// A step of b samples takes as long as b and some more alone.
double PipelinePlan::seconds(Index micro_batches) const {
  const auto samples = static_cast<double>(ceil_divide(batch_, micro_batches));
  return ticks(micro_batches) * static_cast<double>(block_steps()) *
         (samples + machine().step_overhead_samples);
}

Index PipelinePlan::choose_micro_batches() const {
  constexpr Index kMostARank = 64;
  if (layout_.num_active_ranks() <= 1) return 1;
  Index best = 1;
  for (Index m = 2; m <= std::min(batch_, kMostARank * layout_.num_ranks()); ++m)
    if (seconds(m) < seconds(best)) best = m;
  return best;
}

double PipelinePlan::time_share() const {
  const double alone = static_cast<double>(layout_.num_steps()) *
                       (static_cast<double>(batch_) + machine().step_overhead_samples);
  return alone > 0 ? seconds(batches_.num_ranks()) / alone : 1;
}

PipelineReport PipelinePlan::report(double sample_steps) const {
  const char* name = shares_samples()          ? "samples"
                     : layout_.is_contiguous() ? "contiguous"
                                               : "interleaved";
  return {name, batches_.num_ranks(), block_steps(), idle(sample_steps), idle(this->sample_steps()),
          0};
}

PipelinePlan plan_pipeline(const PipelineOptions& options, const Problem& problem) {
  using parallel::BlockLayout;
  check(options, problem);
  const auto on = [&](BlockLayout layout) {
    return PipelinePlan(std::move(layout), problem.batch, options.micro_batches);
  };
  if (options.layout == PipelineLayout::samples)
    return on(BlockLayout::replicated(problem.steps, problem.ranks));
  if (options.layout == PipelineLayout::contiguous)
    return on(BlockLayout::balanced(problem.steps, problem.ranks));
  const Index block = options.block_steps > 0 ? options.block_steps : choose_block_steps(problem);
  const bool one_round = block * problem.ranks >= problem.steps;
  if (one_round && options.block_steps == 0)
    return on(BlockLayout::balanced(problem.steps, problem.ranks));
  return on(BlockLayout::dealt(problem.steps, problem.ranks, block));
}

bool promises_pipeline(const Problem& problem) {
  constexpr Index kSamplesARank = 4;
  if (problem.ranks < 2 || problem.batch <= kSamplesARank * problem.ranks) return false;
  Problem sizes = problem;
  sizes.weight_bytes.reset();
  return plan_pipeline({}, sizes).time_share() <= machine().worth_it;
}

Problem problem_of(const sequence::Trajectory& states, int layers) {
  Problem problem;
  problem.steps = states.layout().num_steps();
  problem.batch = states.batch();
  problem.width = states.width();
  problem.ranks = states.comm().size();
  problem.layers = layers;
  return problem;
}

}  // namespace deeppcr::nonlinear
