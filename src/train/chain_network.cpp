#include "deeppcr/train/chain_network.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "deeppcr/core/profile.hpp"

namespace deeppcr::train {

namespace {

const std::vector<std::string> kStages{"data",   "forward",    "loss",  "linearise",
                                       "linear", "parameters", "reduce"};

StepRange samples_of(const parallel::ProcessGrid& grid, Index batch) {
  const int data_ranks = grid.data().size();
  if (batch < data_ranks)
    throw input_error("a batch of {} cannot be split over {} data ranks", batch, data_ranks);
  return parallel::BlockLayout::balanced(batch, data_ranks).range(grid.data().rank());
}

View<Real, 1> view(Buffer<Real>& buffer) { return {buffer.data(), {buffer.size()}}; }

/// The parameters of a dense layer: one row for each input, then the bias, each [outputs].
ParameterGroup group_of(const char* name, models::DenseLayer& layer, bool owned,
                        const Buffer<Real>& gradient) {
  const Index rows = layer.inputs() + 1;
  StoredArray array{name,
                    rows,
                    layer.outputs(),
                    {0, owned ? rows : 0},
                    layer.parameters().data(),
                    std::string("weights by input, then the bias: ") + name};
  return {std::move(array), gradient.data()};
}

}  // namespace

double Evaluation::accuracy() const {
  if (classes == 0) return std::nan("");
  Index correct = 0;
  for (int c = 0; c < classes; ++c) correct += confusion[static_cast<std::size_t>(c * classes + c)];
  return samples > 0 ? static_cast<double>(correct) / static_cast<double>(samples) : 0;
}

ChainNetwork::ChainNetwork(const parallel::ProcessGrid& grid, Parts parts, const Options& options,
                           const Images& images)
    : grid_(grid),
      parts_(std::move(parts)),
      options_(options),
      images_(images),
      samples_(samples_of(grid, options.batch)),
      owns_embedding_(grid.depth().rank() == 0),
      owns_head_(grid.depth().rank() == options.layout.owner(options.layout.num_steps() - 1)),
      solver_(grid.depth(), *parts_.sequence, options.layout, samples_.size(), options.solver),
      features_(owns_embedding_ ? samples_.size() * images.features() : 0),
      logits_(owns_head_ ? samples_.size() * parts_.head.classes() : 0),
      labels_(static_cast<std::size_t>(samples_.size())),
      normalisation_(2),
      groups_(parts_.sequence->parameters()),
      chain_gradients_(groups_),
      end_gradient_(owns_head_ ? solver_.trajectory().input().size() : 0),
      embedding_gradient_(owns_embedding_ ? parts_.embedding.parameters().size() : 0),
      head_gradient_(owns_head_ ? parts_.head.parameters().size() : 0) {
  normalisation_[0] = options.normalisation.mean;
  normalisation_[1] = options.normalisation.deviation;
  const Index kept = std::min(options.trajectories_kept, images.count());
  if (kept > 0 && nonlinear::find(options.solver.forward).iterates) {
    store_.emplace(grid, parts_.sequence->num_steps(), solver_.trajectory().local_steps(),
                   parts_.sequence->width(), kept);
  }
}

std::vector<ParameterGroup> ChainNetwork::parameters() {
  std::vector<ParameterGroup> all;
  for (int g = 0; g < chain_gradients_.groups(); ++g) {
    const sequence::ParameterGroup& group = groups_[static_cast<std::size_t>(g)];
    const StepSet own = group.shared ? StepSet(0, 1) : solver_.trajectory().local_steps();
    StoredArray array{group.name, group.rows,          group.row_size(),
                      own,        group.values.data(), group.content};
    array.shared = group.shared;
    all.push_back({std::move(array), chain_gradients_[g].data()});
  }
  all.push_back(group_of("embedding", parts_.embedding, owns_embedding_, embedding_gradient_));
  all.push_back(group_of("head", parts_.head, owns_head_, head_gradient_));
  return all;
}

std::vector<StoredArray> ChainNetwork::state() {
  std::vector<StoredArray> arrays{{"normalisation",
                                   1,
                                   2,
                                   {0, owns_embedding_ ? 1 : 0},
                                   normalisation_.data(),
                                   "mean and deviation that pixels are normalised with"}};
  if (store_) arrays.push_back(store_->array());
  return arrays;
}

std::vector<std::string> ChainNetwork::stages() const { return kStages; }

void ChainNetwork::embed(const Images& images, const Index* samples, Index epoch,
                         const Augmentation& augmentation) {
  const State z0 = solver_.trajectory().input();
  if (owns_embedding_) {
    const State x(features_.data(), {samples_.size(), images.features()});
    images.fill(samples, epoch, {normalisation_[0], normalisation_[1]}, augmentation, x);
    parts_.embedding.forward(x, z0);
  }
  if (grid_.depth().size() > 1) grid_.depth().broadcast(z0.data(), z0.size(), 0);
}

ConstState ChainNetwork::last_state() {
  const States z = solver_.trajectory().states();
  return z[z.extent(0) - 1];
}

ForwardOutcome ChainNetwork::forward(const Index* samples) {
  if (!store_) return solver_.forward(false);
  solver_.trajectory().fill_with_input();
  store_->load(samples, solver_.trajectory().states());
  solver_.trajectory().touched();
  ForwardOutcome outcome = solver_.forward(true);
  if (outcome.failure.empty()) store_->keep(samples, solver_.trajectory().states());
  return outcome;
}

StepOutcome ChainNetwork::differentiate(const MiniBatch& batch) {
  const Index* samples = batch.samples + samples_.first;
  StepOutcome outcome;
  std::vector<double> seconds;
  Stopwatch watch;
  const auto lap = [&] {
    seconds.push_back(watch.seconds());
    watch.restart();
  };
  embed(images_, samples, batch.epoch, options_.augmentation);
  lap();
  const ForwardOutcome forward = this->forward(samples);
  lap();
  const models::LossReport report = loss_and_gradients(samples, batch.size);
  parallel::PendingSums sums(grid_.data());
  if (owns_head_) sums.start(head_gradient_.data(), head_gradient_.size());
  lap();
  backward(sums);
  for (const char* stage : {"linearise", "linear", "parameters"})
    seconds.push_back(solver_.adjoint().stages().get(stage));
  watch.restart();
  sums.wait();
  lap();

  // [Newton iterations, fell back, failed, seconds by stage], worst of all ranks
  std::vector<double> worst{static_cast<double>(forward.iterations), forward.fell_back ? 1.0 : 0.0,
                            forward.failure.empty() ? 0.0 : 1.0};
  worst.insert(worst.end(), seconds.begin(), seconds.end());
  grid_.world().max(worst);
  outcome.newton_iterations = static_cast<Index>(worst[0]);
  outcome.fell_back = worst[1] != 0;
  if (worst[2] != 0)
    outcome.failure = forward.failure.empty() ? "it failed on other ranks" : forward.failure;
  for (std::size_t s = 0; s < kStages.size(); ++s) outcome.seconds[kStages[s]] = worst[s + 3];
  share(report, outcome);
  return outcome;
}

/// This rank's part of the loss and the gradients at the end of the chain, weighted so that those
/// of all data ranks add up to the mean over the whole batch.
models::LossReport ChainNetwork::loss_and_gradients(const Index* samples, Index whole_batch) {
  if (!owns_head_) return {};
  for (Index b = 0; b < samples_.size(); ++b)
    labels_[static_cast<std::size_t>(b)] = images_.label(samples[b]);
  const State logits(logits_.data(), {samples_.size(), parts_.head.classes()});
  parts_.head.forward(last_state(), logits);
  models::LossReport report = models::softmax_cross_entropy(logits, labels_, true);
  const Real weight = static_cast<Real>(samples_.size()) / static_cast<Real>(whole_batch);
  report.loss *= weight;
  for (Real& value : logits_) value *= weight;
  parts_.head.gradient(last_state(), logits, view(head_gradient_),
                       {end_gradient_.data(), last_state().shape()});
  return report;
}

void ChainNetwork::backward(parallel::PendingSums& sums) {
  const Index first = solver_.trajectory().local_range().first;
  const auto start = [&](bool shared, StepRange range) {
    sequence::GroupRows rows;
    chain_gradients_.slice(range.first - first, range.last - first, rows);
    for (int g = 0; g < chain_gradients_.groups(); ++g) {
      const View<Real, 2>& grads = rows[static_cast<std::size_t>(g)];
      if (chain_gradients_.shared(g) == shared) sums.start(grads.data(), grads.size());
    }
  };
  // The loss depends on the last state alone: one row on its rank, none elsewhere.
  const ConstState z0 = solver_.trajectory().input();
  const ConstStates loss(end_gradient_.data(), {owns_head_ ? 1 : 0, z0.extent(0), z0.extent(1)});
  solver_.adjoint().solve(loss, &chain_gradients_, [&](StepRange range) { start(false, range); });
  start(true, {first, first});
  if (!owns_embedding_) return;
  parts_.embedding.gradient({features_.data(), {samples_.size(), images_.features()}},
                            solver_.adjoint().input(), view(embedding_gradient_), State());
  sums.start(embedding_gradient_.data(), embedding_gradient_.size());
}

void ChainNetwork::share(models::LossReport report, StepOutcome& outcome) const {
  double sums[2] = {report.loss, static_cast<double>(report.correct)};
  grid_.world().sum(sums, 2);
  outcome.loss = outcome.failure.empty() ? sums[0] : std::numeric_limits<double>::quiet_NaN();
  outcome.accuracy = sums[1] / static_cast<double>(options_.batch);
}

Evaluation ChainNetwork::evaluate(const Images& images) {
  const Index batch = options_.batch, total = images.count();
  const int classes = parts_.head.classes();
  Evaluation evaluation;
  evaluation.samples = total;
  evaluation.classes = classes;
  evaluation.confusion.assign(static_cast<std::size_t>(classes * classes), 0);
  std::vector<Index> samples(static_cast<std::size_t>(samples_.size()));
  for (Index first = 0; first < total; first += batch) {
    for (Index b = 0; b < samples_.size(); ++b)
      samples[static_cast<std::size_t>(b)] = std::min(first + samples_.first + b, total - 1);
    embed(images, samples.data(), 0, {});
    solver_.forward(false);
    const Index used = std::clamp<Index>(total - first - samples_.first, 0, samples_.size());
    if (owns_head_) count(images, samples.data(), used, evaluation);
  }
  grid_.world().sum(&evaluation.loss, 1);
  grid_.world().sum(evaluation.confusion);
  evaluation.loss /= static_cast<double>(std::max<Index>(total, 1));
  return evaluation;
}

/// Adds the first `used` samples of a batch, whose states are in the solver.
void ChainNetwork::count(const Images& images, const Index* samples, Index used,
                         Evaluation& evaluation) {
  const Index classes = evaluation.classes;
  const State logits(logits_.data(), {samples_.size(), classes});
  parts_.head.forward(last_state(), logits);
  for (Index b = 0; b < used; ++b) {
    const State one(logits.data() + b * classes, {1, classes});
    const int label = images.label(samples[b]);
    const Index taken_for = std::max_element(one.begin(), one.end()) - one.begin();
    ++evaluation.confusion[static_cast<std::size_t>(label * classes + taken_for)];
    evaluation.loss += models::softmax_cross_entropy(one, {label}, false).loss;
  }
}

}  // namespace deeppcr::train
