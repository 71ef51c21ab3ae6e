#include "deeppcr/train/chain_network.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "deeppcr/core/error.hpp"
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

/// Depth ranks with a state that the loss reads.
int count_readers(const models::Loss& loss, const parallel::BlockLayout& layout) {
  int readers = 0;
  for (int p = 0; p < layout.num_ranks(); ++p) readers += loss.rows(layout.steps(p)) > 0 ? 1 : 0;
  return readers;
}

ParameterGroup group_of(const sequence::ParameterGroup& group, const StepSet& own, bool shared,
                        const Real* gradient) {
  StoredArray array{group.name, group.rows,          group.row_size(),
                    own,        group.values.data(), group.content};
  array.shared = shared;
  return {std::move(array), gradient};
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
      owns_pixels_(grid.depth().rank() == 0),
      bound_(takes_inputs() ? parts_.sequence->bound_to(bind()) : nullptr),
      trajectory_(grid.depth(), options.layout, samples_.size(), chain().width()),
      forward_(nonlinear::find(options.methods.forward).make(options.methods.settings)),
      adjoint_(chain(), trajectory_, nonlinear::make_backward(options.methods.backward)),
      features_(owns_pixels_ || takes_inputs() ? samples_.size() * images.features() : 0),
      normalisation_(2),
      groups_(parts_.sequence->parameters()),
      chain_gradients_(groups_),
      loss_rows_(parts_.loss->rows(trajectory_.local_steps())),
      loss_gradient_(loss_rows_ * trajectory_.input().size()),
      loss_readers_(count_readers(*parts_.loss, options.layout)),
      loss_groups_(parts_.loss->parameters()),
      loss_gradients_(loss_groups_),
      embedding_gradient_(owns_embedding() ? parts_.embedding->parameters().size() : 0) {
  check_features();
  normalisation_[0] = options.normalisation.mean;
  normalisation_[1] = options.normalisation.deviation;
  Index& kept = options_.trajectories_kept;
  kept = iterates() ? std::min(kept, images.count()) : 0;
  kept_.reset(trajectory_.local_steps().size() * kept * (chain().width() + 1));
}

sequence::Inputs ChainNetwork::bind() {
  const StepSet local = options_.layout.steps(grid_.depth().rank());
  const int d = parts_.sequence->input_width();
  inputs_.reset(local.size() * samples_.size() * d);
  return {local, {inputs_.data(), {local.size(), samples_.size(), d}}};
}

void ChainNetwork::check_features() const {
  DEEPPCR_ASSERT(takes_inputs() != parts_.embedding.has_value(),
                 "a chain with {} inputs a step, {} embedding", parts_.sequence->input_width(),
                 parts_.embedding ? "an" : "no");
  const Index taken = parts_.sequence->num_steps() * parts_.sequence->input_width();
  if (takes_inputs() && taken < images_.features()) {
    throw input_error(
        "{} steps with {} inputs each take {} features, but an image has {}; use more steps",
        parts_.sequence->num_steps(), parts_.sequence->input_width(), taken, images_.features());
  }
}

std::vector<ParameterGroup> ChainNetwork::parameters() {
  std::vector<ParameterGroup> all;
  for (int g = 0; g < chain_gradients_.groups(); ++g) {
    const sequence::ParameterGroup& group = groups_[static_cast<std::size_t>(g)];
    const StepSet own = group.shared ? StepSet(StepRange{0, 1}) : trajectory_.local_steps();
    all.push_back(group_of(group, own, group.shared, chain_gradients_[g].data()));
  }
  if (parts_.embedding) {
    const View<Real, 2> values = parts_.embedding->rows();
    const Index rows = values.extent(0);
    all.push_back(
        group_of({"embedding", false, rows, values, "weights by input, then the bias: embedding"},
                 StepRange{0, owns_embedding() ? rows : 0}, false, embedding_gradient_.data()));
  }
  for (int g = 0; g < loss_gradients_.groups(); ++g) {
    const sequence::ParameterGroup& group = loss_groups_[static_cast<std::size_t>(g)];
    const bool held = loss_readers_ > 1 || loss_rows_ > 0;
    all.push_back(group_of(group, StepRange{0, held ? group.rows : 0}, loss_readers_ > 1,
                           loss_gradients_[g].data()));
  }
  return all;
}

std::vector<StoredArray> ChainNetwork::state() {
  std::vector<StoredArray> arrays{{"normalisation",
                                   1,
                                   2,
                                   {0, owns_pixels_ ? 1 : 0},
                                   normalisation_.data(),
                                   "mean and deviation that pixels are normalised with"}};
  if (options_.trajectories_kept == 0) return arrays;
  const Index steps = chain().num_steps();
  arrays.push_back({"trajectories", grid_.data().size() * steps,
                    options_.trajectories_kept * (chain().width() + 1),
                    trajectory_.local_steps().shifted(grid_.data().rank() * steps), kept_.data(),
                    "for each data rank and step: which samples are known, then their states",
                    true});
  return arrays;
}

std::vector<std::string> ChainNetwork::stages() const { return kStages; }

void ChainNetwork::embed(const Images& images, const Index* samples, Index epoch,
                         const Augmentation& augmentation) {
  const State z0 = trajectory_.input();
  const State x(features_.data(), {samples_.size(), images.features()});
  if (owns_pixels_)
    images.fill(samples, epoch, {normalisation_[0], normalisation_[1]}, augmentation, x);
  const State sent = bound_ ? x : z0;  // what the other depth ranks need
  if (owns_embedding()) parts_.embedding->forward(x, z0);
  if (grid_.depth().size() > 1) grid_.depth().broadcast(sent.data(), sent.size(), 0);
  if (!bound_) return;
  const StepSet local = trajectory_.local_steps();
  sequence::deal_features(
      x, local, {inputs_.data(), {local.size(), x.extent(0), parts_.sequence->input_width()}});
}

template <typename Visit>
void ChainNetwork::for_each_kept(const Index* samples, const Visit& visit) {
  const Index kept = options_.trajectories_kept, n = chain().width();
  if (kept == 0 || samples == nullptr) return;
  const States z = trajectory_.states();
  for (Index i = 0; i < z.extent(0); ++i) {
    Real* row = kept_.data() + i * kept * (n + 1);
    for (Index b = 0; b < z.extent(1); ++b)
      if (samples[b] < kept) visit(row[samples[b]], row + kept + samples[b] * n, &z(i, b, 0));
  }
}

nonlinear::SolveReport ChainNetwork::forward(const Index* samples) {
  const Index n = chain().width();
  if (iterates()) trajectory_.fill_with_input();
  for_each_kept(samples, [n](Real known, const Real* kept, Real* state) {
    if (known != 0) std::copy_n(kept, n, state);
  });
  trajectory_.touched();
  nonlinear::SolveReport report = forward_->solve(chain(), trajectory_);
  if (report.status == nonlinear::Status::failed) return report;
  for_each_kept(samples, [n](Real& known, Real* kept, const Real* state) {
    known = 1;
    std::copy_n(state, n, kept);
  });
  return report;
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
  const nonlinear::SolveReport forward = this->forward(samples);
  lap();
  parallel::PendingSums sums(grid_.data());
  const models::LossReport report = loss_and_gradients(samples, batch.size, sums);
  lap();
  backward(sums);
  for (const char* stage : {"linearise", "linear", "parameters"})
    seconds.push_back(adjoint_.stages().get(stage));
  watch.restart();
  sums.wait();
  lap();

  // [Newton iterations, fell back, failed, seconds by stage], worst of all ranks
  const auto ended = [&](nonlinear::Status status) { return forward.status == status ? 1.0 : 0.0; };
  std::vector<double> worst{static_cast<double>(forward.iterations),
                            ended(nonlinear::Status::fell_back), ended(nonlinear::Status::failed)};
  worst.insert(worst.end(), seconds.begin(), seconds.end());
  grid_.world().max(worst);
  outcome.newton_iterations = static_cast<Index>(worst[0]);
  outcome.fell_back = worst[1] != 0;
  if (worst[2] != 0)
    outcome.failure =
        ended(nonlinear::Status::failed) != 0 ? forward.reason : "it failed on other ranks";
  for (std::size_t s = 0; s < kStages.size(); ++s) outcome.seconds[kStages[s]] = worst[s + 3];
  share(report, outcome);
  return outcome;
}

models::LossData ChainNetwork::loss_data(const Images& images, const Index* samples, Index used) {
  models::LossData data;
  data.local = trajectory_.local_steps();
  data.states = trajectory_.states();
  data.samples = used;
  for (Index b = 0; b < used; ++b) data.labels.push_back(images.label(samples[b]));
  return data;
}

ConstStates ChainNetwork::loss_gradient() const {
  const Index batch = samples_.size(), width = parts_.sequence->width();
  return {loss_gradient_.data(), {loss_rows_, batch, width}};
}

/// This rank's part of the loss and its gradients, weighted so that those of all data ranks add up
/// to the mean over the whole batch.
models::LossReport ChainNetwork::loss_and_gradients(const Index* samples, Index whole_batch,
                                                    parallel::PendingSums& sums) {
  const bool shared = loss_readers_ > 1;
  models::LossReport report;
  if (shared) {
    for (int g = 0; g < loss_gradients_.groups(); ++g)
      std::fill(loss_gradients_[g].begin(), loss_gradients_[g].end(), Real{0});
  }
  if (loss_rows_ > 0) {
    models::LossData data = loss_data(images_, samples, samples_.size());
    data.weight = static_cast<Real>(samples_.size()) / static_cast<Real>(whole_batch);
    models::LossGradients into{{loss_gradient_.data(), loss_gradient().shape()}, {}};
    for (int g = 0; g < loss_gradients_.groups(); ++g)
      into.parameters.push_back(loss_gradients_[g]);
    report = parts_.loss->evaluate(data, &into);
  }
  for (int g = 0; g < loss_gradients_.groups() && (shared || loss_rows_ > 0); ++g) {
    const View<Real, 2> gradient = loss_gradients_[g];
    if (shared) grid_.depth().sum(gradient.data(), gradient.size());
    sums.start(gradient.data(), gradient.size());
  }
  return report;
}

void ChainNetwork::backward(parallel::PendingSums& sums) {
  const auto start = [&](bool shared, Index first, Index last) {
    sequence::GroupRows rows;
    chain_gradients_.slice(first, last, rows);
    for (int g = 0; g < chain_gradients_.groups(); ++g) {
      const View<Real, 2>& grads = rows[static_cast<std::size_t>(g)];
      if (chain_gradients_.shared(g) == shared) sums.start(grads.data(), grads.size());
    }
  };
  adjoint_.solve(loss_gradient(), &chain_gradients_, [&](StepRange range) {
    const Index first = trajectory_.local_steps().row(range.first);
    start(false, first, first + range.size());
  });
  start(true, 0, 0);
  if (!owns_embedding()) return;
  parts_.embedding->gradient({features_.data(), {samples_.size(), images_.features()}},
                             adjoint_.input(),
                             {embedding_gradient_.data(), {embedding_gradient_.size()}}, State());
  sums.start(embedding_gradient_.data(), embedding_gradient_.size());
}

void ChainNetwork::share(models::LossReport report, StepOutcome& outcome) const {
  double sums[2] = {report.loss, static_cast<double>(report.correct)};
  grid_.world().sum(sums, 2);
  constexpr double kNoNumber = std::numeric_limits<double>::quiet_NaN();
  outcome.loss = outcome.failure.empty() ? sums[0] : kNoNumber;
  outcome.accuracy =
      parts_.loss->classes() > 0 ? sums[1] / static_cast<double>(options_.batch) : kNoNumber;
}

Evaluation ChainNetwork::evaluate(const Images& images) {
  const Index batch = options_.batch, total = images.count();
  const int classes = parts_.loss->classes();
  Evaluation evaluation;
  evaluation.samples = total;
  evaluation.classes = classes;
  evaluation.confusion.assign(static_cast<std::size_t>(classes * classes), 0);
  std::vector<Index> samples(static_cast<std::size_t>(samples_.size()));
  for (Index first = 0; first < total; first += batch) {
    for (Index b = 0; b < samples_.size(); ++b)
      samples[static_cast<std::size_t>(b)] = std::min(first + samples_.first + b, total - 1);
    embed(images, samples.data(), 0, {});
    forward(nullptr);
    const Index used = std::clamp<Index>(total - first - samples_.first, 0, samples_.size());
    if (used == 0 || loss_rows_ == 0) continue;
    const models::LossData data = loss_data(images, samples.data(), used);
    evaluation.loss += static_cast<double>(used) * parts_.loss->evaluate(data, nullptr).loss;
    const std::vector<int> taken = parts_.loss->classify(data);
    for (std::size_t b = 0; b < taken.size(); ++b)
      ++evaluation.confusion[static_cast<std::size_t>(data.labels[b] * classes + taken[b])];
  }
  grid_.world().sum(&evaluation.loss, 1);
  grid_.world().sum(evaluation.confusion);
  evaluation.loss /= static_cast<double>(std::max<Index>(total, 1));
  return evaluation;
}

}  // namespace deeppcr::train
