#include "deeppcr/train/chain_network.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/profile.hpp"
#include "train/feed.hpp"
#include "train/loss_on_grid.hpp"
#include "train/pipeline_passes.hpp"
#include "train/solver_passes.hpp"
#include "train/truncated.hpp"

namespace deeppcr::train {

namespace {

const std::vector<std::string> kStages{"data",   "forward",    "loss",  "linearise",
                                       "linear", "parameters", "reduce"};

/// That of the methods; and where one rank has all steps, and goes through them forward and back,
/// one of one stage: it keeps what the forward pass knows of shared parameters' steps, whose
/// Jacobians would cost an evaluation of each again.
std::optional<TrainingPipeline> pipeline_of(const PassMethods& methods,
                                            const sequence::ParameterGradients& gradients,
                                            const parallel::ProcessGrid& grid) {
  const nonlinear::CatalogueEntry& forward = nonlinear::find(methods.forward);
  const bool walks =
      forward.in_a_row && methods.backward == forward.backward_for(methods.settings.own);
  if (methods.pipeline || !walks || grid.depth().size() > 1 || !gradients.any_shared())
    return methods.pipeline;
  return TrainingPipeline{plan::PipelineSchedule::one_forward_one_backward, 1, false};
}

StepRange samples_of(const parallel::ProcessGrid& grid, Index batch) {
  const int data_ranks = grid.data().size();
  if (batch < data_ranks)
    throw input_error("a batch of {} cannot be split over {} data ranks", batch, data_ranks);
  return parallel::BlockLayout::balanced(batch, data_ranks).range(grid.data().rank());
}

}  // namespace

struct ChainNetwork::Passes {
  nonlinear::SolveReport forward;
  models::LossReport loss;
  std::vector<double> seconds;  ///< by stage, without the last
};

PassMethods PassMethods::piped(const TrainingPipeline& wanted) const {
  PassMethods piped = *this;
  piped.forward = piped.backward = "pipeline";
  OptionValues& own = piped.settings.own;
  own = OptionValues(nonlinear::find(piped.forward).options);
  own.set("pipeline-layout", "contiguous");
  own.set("micro-batches", static_cast<double>(wanted.micro_batches));
  piped.pipeline = wanted;
  return piped;
}

std::unique_ptr<nonlinear::Backward> PassMethods::make_backward() const {
  nonlinear::BackwardSettings made;
  const OptionValues& own = settings.own;
  if (own.has("micro-batches")) made.micro_batches = own.whole("micro-batches");
  if (own.has("chunk-steps")) made.chunk_steps = own.whole("chunk-steps");
  return nonlinear::make_backward(backward, made);
}

ChainNetwork::ChainNetwork(const parallel::ProcessGrid& grid, Parts parts, const Options& options,
                           const Examples& examples)
    : grid_(grid),
      parts_(std::move(parts)),
      options_(options),
      examples_(examples),
      samples_(samples_of(grid, options.batch)),
      local_(options.layout.steps(grid.depth().rank())),
      feed_(std::make_unique<Feed>(grid, *parts_.sequence, local_, samples_.size(), examples,
                                   options.normalisation)),
      bound_(feed_->takes_inputs() ? parts_.sequence->bound_to(feed_->inputs()) : nullptr),
      groups_(parts_.sequence->parameters()),
      chain_gradients_(groups_),
      loss_(std::make_unique<LossOnGrid>(grid, *parts_.loss, options.layout, chain().output())),
      embedding_gradient_(owns_embedding() ? parts_.embedding->parameters().size() : 0) {
  DEEPPCR_ASSERT(feed_->takes_inputs() != (parts_.embedding != nullptr),
                 "a chain with {} inputs a step, {} embedding", parts_.sequence->input_width(),
                 parts_.embedding ? "an" : "no");
  if (options.truncate > 0) truncated_ = std::make_unique<Truncated>(chain(), options.truncate);
  make_passes();
}

ChainNetwork::~ChainNetwork() = default;

void ChainNetwork::make_passes() {
  const Index batch = samples_.size();
  const std::optional<TrainingPipeline> passes =
      pipeline_of(options_.methods, chain_gradients_, grid_);
  if (!passes) {
    const Index kept = std::min(options_.trajectories_kept, examples_.count());
    solvers_ = std::make_unique<SolverPasses>(grid_, SolverPasses::Chain{chain(), differentiated()},
                                              options_.layout, batch, options_.methods, kept);
    return;
  }
  const TrainingPipeline& wanted = *passes;
  const Index smallest = options_.batch / grid_.data().size();
  if (wanted.micro_batches > smallest)
    throw input_error(
        "--micro-batches {}: a data rank has {} samples of a batch, and each micro-batch needs "
        "one; use fewer, or leave it out",
        wanted.micro_batches, smallest);
  if (grid_.depth().size() > 1 && loss_->needs_all_steps())
    throw input_error(
        "--pipeline {}: a loss of the mean over all steps needs the states of every depth rank at "
        "once; use --pipeline off or --depth-ranks 1",
        plan::pipeline_schedules().of(wanted.schedule));
  PipelinePasses::Options options;
  options.schedule = wanted.schedule;
  options.recompute = wanted.recompute;
  const int stages = options_.layout.num_active_ranks();
  const double weights = sizeof(Real) * static_cast<double>(chain_gradients_.numbers_a_step()) *
                         static_cast<double>(options_.layout.num_steps()) / stages;
  options.micro_batches =
      wanted.micro_batches > 0
          ? static_cast<int>(wanted.micro_batches)
          : plan::choose_micro_batches(wanted.schedule, {stages, smallest, weights});
  pipeline_ = std::make_unique<PipelinePasses>(
      grid_.depth(), options_.layout, batch,
      PipelinePasses::Chain{differentiated(), chain_gradients_, loss_->rows()}, options);
  if (owns_embedding()) by_input_.reset(batch * chain().width());
  flows_ = may_flow();
}

std::vector<ParameterGroup> ChainNetwork::parameters() {
  std::vector<ParameterGroup> all;
  for (int g = 0; g < chain_gradients_.groups(); ++g) {
    const sequence::ParameterGroup& group = groups_[static_cast<std::size_t>(g)];
    const StepSet own = group.shared ? StepSet(StepRange{0, 1}) : local_;
    all.push_back(group_of(group, own, group.shared, chain_gradients_[g].data()));
  }
  if (parts_.embedding) {
    Index at = 0;  // among their gradients
    for (const sequence::ParameterGroup& group : parts_.embedding->groups()) {
      const StepRange own{0, owns_embedding() ? group.rows : 0};
      all.push_back(group_of(group, own, false,
                             owns_embedding() ? embedding_gradient_.data() + at : nullptr));
      at += group.values.size();
    }
  }
  for (ParameterGroup& group : loss_->parameters()) all.push_back(std::move(group));
  return all;
}

std::vector<StoredArray> ChainNetwork::state() {
  std::vector<StoredArray> arrays{feed_->normalisation()};
  if (solvers_)
    if (auto kept = solvers_->kept()) arrays.push_back(std::move(*kept));
  return arrays;
}

std::vector<std::string> ChainNetwork::stages() const { return kStages; }

void ChainNetwork::embed(const Drawn& drawn, StepRange part, State z0) {
  parts_.embedding->forward(feed_->fill(drawn, part), z0);
}

void ChainNetwork::embed(const Drawn& drawn, State z0) {
  if (bound_) {
    feed_->deal(drawn);
    return;
  }
  if (owns_embedding()) embed(drawn, {0, samples_.size()}, z0);
  if (grid_.depth().size() > 1) grid_.depth().broadcast(z0.data(), z0.size(), 0);
}

StepOutcome ChainNetwork::differentiate(const MiniBatch& batch) {
  const bool own = batch.own_gradients;
  const Index* samples = batch.samples + samples_.first;
  const Index all_judged = loss_->count_judged(examples_, batch.samples, options_.batch);
  const Index judged = own ? loss_->count_judged(examples_, samples, samples_.size()) : all_judged;
  const Drawn drawn{examples_, samples, batch.epoch, options_.augmentation, judged};
  parallel::PendingSums sums(own ? alone_ : grid_.data());
  Passes passes = pipeline_ ? by_pipeline(drawn, sums) : by_solvers(drawn, sums);
  const Stopwatch watch;
  sums.wait();
  passes.seconds.push_back(watch.seconds());

  // [Newton iterations, fell back, failed, seconds by stage], worst of all ranks
  const nonlinear::SolveReport& forward = passes.forward;
  const auto ended = [&](nonlinear::Status status) { return forward.status == status ? 1.0 : 0.0; };
  std::vector<double> worst{static_cast<double>(forward.iterations),
                            ended(nonlinear::Status::fell_back), ended(nonlinear::Status::failed)};
  worst.insert(worst.end(), passes.seconds.begin(), passes.seconds.end());
  const parallel::Communicator& together = own ? grid_.depth() : grid_.world();
  together.max(worst);
  StepOutcome outcome;
  outcome.newton_iterations = static_cast<Index>(worst[0]);
  outcome.fell_back = worst[1] != 0;
  if (worst[2] != 0)
    outcome.failure =
        ended(nonlinear::Status::failed) != 0 ? forward.reason : "it failed on other ranks";
  for (std::size_t s = 0; s < kStages.size(); ++s) outcome.seconds[kStages[s]] = worst[s + 3];
  if (own) passes.loss.loss *= static_cast<double>(judged) / static_cast<double>(all_judged);
  share(together, passes.loss, outcome);
  return outcome;
}

ChainNetwork::Passes ChainNetwork::by_solvers(const Drawn& drawn, parallel::PendingSums& sums) {
  Passes passes;
  Stopwatch watch;
  const auto lap = [&] {
    passes.seconds.push_back(watch.seconds());
    watch.restart();
  };
  embed(drawn, solvers_->input());
  lap();
  passes.forward = solvers_->forward(drawn.samples);
  lap();
  const States by_states = solvers_->loss_gradient(loss_->rows());
  loss_->begin();
  passes.loss = differentiate_loss(drawn, {0, samples_.size()}, solvers_->states(), by_states);
  loss_->sum(sums);
  lap();
  solvers_->backward(chain_gradients_, [&](StepRange range) {
    const Index first = local_.row(range.first);
    sum_chain_gradients(false, first, first + range.size(), sums);
  });
  sum_chain_gradients(true, 0, 0, sums);
  if (owns_embedding()) differentiate_embedding(drawn, solvers_->adjoint().input(), sums);
  for (const char* stage : {"linearise", "linear", "parameters"})
    passes.seconds.push_back(solvers_->adjoint().stages().get(stage));
  return passes;
}

ChainNetwork::Passes ChainNetwork::by_pipeline(const Drawn& drawn, parallel::PendingSums& sums) {
  Passes passes;
  const Stopwatch watch;
  if (bound_) feed_->deal(drawn);
  double data_seconds = 0, dealt = watch.seconds();
  loss_->begin();
  pipeline_->run({ends(drawn, passes.loss, data_seconds)});
  sum_chain_gradients(false, 0, local_.size(), sums);
  for (int g = 0; g < chain_gradients_.groups(); ++g)
    if (chain_gradients_.shared(g))
      grid_.depth().sum(chain_gradients_[g].data(), chain_gradients_[g].size());
  sum_chain_gradients(true, 0, 0, sums);
  loss_->sum(sums);
  if (owns_embedding())
    differentiate_embedding(drawn, {by_input_.data(), {samples_.size(), chain().width()}}, sums);
  nonlinear::end_sequential(grid_.depth().max(pipeline_->largest()), chain().num_steps(),
                            options_.methods.settings.tolerance, passes.forward);
  const StageTimes& seconds = pipeline_->seconds();
  passes.seconds = {dealt + data_seconds,  seconds.get("forward") - data_seconds,
                    seconds.get("loss"),   0,
                    seconds.get("linear"), seconds.get("parameters")};
  return passes;
}

Normalisation ChainNetwork::normalisation() const { return feed_->known(); }

std::optional<PipelineUse> ChainNetwork::pipeline() const {
  if (!options_.methods.pipeline) return std::nullopt;
  std::vector<double> most{pipeline_->idle(), static_cast<double>(pipeline_->most_held()),
                           pipeline_->held_bytes()};
  grid_.world().max(most);
  return PipelineUse{pipeline_->batches().num_ranks(), pipeline_->updates(),        most[0],
                     pipeline_->idle_by_formula(),     static_cast<Index>(most[1]), most[2]};
}

/// Weighted so that the parts of all data ranks and micro-batches add up to the mean.
models::LossReport ChainNetwork::differentiate_loss(const Drawn& drawn, StepRange part,
                                                    ConstStates states, States by_states) {
  const LossOnGrid::Part& known =
      loss_->part(drawn.examples, drawn.samples + part.first, part.size(), states);
  const Real weight = static_cast<Real>(part.size()) / static_cast<Real>(drawn.judged);
  return loss_->differentiate(known, weight, by_states);
}

/// Of shared parameters, or of the local rows [first, last) of the others.
void ChainNetwork::sum_chain_gradients(bool shared, Index first, Index last,
                                       parallel::PendingSums& sums) {
  sequence::GroupRows rows;
  chain_gradients_.slice(first, last, rows);
  for (int g = 0; g < chain_gradients_.groups(); ++g) {
    const View<Real, 2>& grads = rows[static_cast<std::size_t>(g)];
    if (chain_gradients_.shared(g) == shared) sums.start(grads.data(), grads.size());
  }
}

void ChainNetwork::differentiate_embedding(const Drawn& drawn, ConstState by_z0,
                                           parallel::PendingSums& sums) {
  parts_.embedding->gradient(feed_->features(drawn), by_z0,
                             {embedding_gradient_.data(), {embedding_gradient_.size()}}, State());
  sums.start(embedding_gradient_.data(), embedding_gradient_.size());
}

void ChainNetwork::share(const parallel::Communicator& ranks, models::LossReport report,
                         StepOutcome& outcome) const {
  double sums[3] = {report.loss, static_cast<double>(report.correct),
                    static_cast<double>(report.counted)};
  ranks.sum(sums, 3);
  constexpr double kNoNumber = std::numeric_limits<double>::quiet_NaN();
  outcome.loss = outcome.failure.empty() ? sums[0] : kNoNumber;
  outcome.accuracy = parts_.loss->classes() > 0 ? sums[1] / std::max(sums[2], 1.0) : kNoNumber;
  outcome.counted = sums[2];
}

void ChainNetwork::each_forward(const Drawn& drawn,
                                const std::function<void(StepRange, ConstStates)>& visit) {
  if (!pipeline_) {
    embed(drawn, solvers_->input());
    solvers_->forward(nullptr);
    visit({0, samples_.size()}, solvers_->states());
    return;
  }
  double data_seconds = 0;
  models::LossReport report;
  if (bound_) feed_->deal(drawn);
  ChainEnds all = ends(drawn, report, data_seconds);
  all.loss = [&](StepRange part, ConstStates states, States) { visit(part, states); };
  pipeline_->evaluate(all);
}

Evaluation ChainNetwork::evaluate(const Examples& examples, Predictions* predictions) {
  const Index batch = options_.batch, total = examples.count();
  Evaluation evaluation = Evaluation::of(parts_.loss->classes(), total);
  evaluation.scored = loss_->has_truth(examples);
  if (evaluation.scored && loss_->ranks(examples))
    evaluation.scores.assign(static_cast<std::size_t>(total), 0);
  if (predictions != nullptr) loss_->make_room(examples, *predictions);
  std::vector<Index> samples(static_cast<std::size_t>(samples_.size()));
  const Augmentation none;
  const Drawn drawn{examples, samples.data(), 0, none};
  for (Index first = 0; first < total; first += batch) {
    for (Index b = 0; b < samples_.size(); ++b)
      samples[static_cast<std::size_t>(b)] = std::min(first + samples_.first + b, total - 1);
    each_forward(drawn, [&](StepRange part, ConstStates states) {
      const Index left = total - first - samples_.first - part.first;
      const Index used = std::clamp<Index>(left, 0, part.size());
      if (used == 0) return;
      const auto& known = loss_->part(examples, samples.data() + part.first, used, states);
      if (evaluation.scored) loss_->score(known, evaluation);
      if (predictions != nullptr) loss_->predict(known, *predictions);
    });
  }
  grid_.world().sum(&evaluation.loss, 1);
  grid_.world().sum(evaluation.confusion);
  evaluation.counted = grid_.world().sum(evaluation.counted);
  evaluation.correct = grid_.world().sum(evaluation.correct);
  if (predictions != nullptr)
    grid_.world().sum(predictions->values.data(), predictions->values.size());
  grid_.world().sum(evaluation.scores);
  evaluation.rank(examples);
  samples.resize(static_cast<std::size_t>(total));
  std::iota(samples.begin(), samples.end(), Index{0});
  evaluation.loss /= static_cast<double>(loss_->count_judged(examples, samples.data(), total));
  return evaluation;
}

}  // namespace deeppcr::train
