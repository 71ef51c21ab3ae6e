#include "deeppcr/train/diffusion_training.hpp"

#include <algorithm>
#include <limits>

#include "deeppcr/core/profile.hpp"
#include "deeppcr/core/random.hpp"
#include "deeppcr/parallel/block_layout.hpp"

namespace deeppcr::train {

namespace {

constexpr std::uint64_t kJitterStream = 0x4a4954544552;
}  // namespace

WholeNetwork::WholeNetwork(const parallel::ProcessGrid& grid, const char* name,
                           View<Real, 1> parameters, double memory)
    : grid_(grid),
      name_(name),
      parameters_(parameters),
      memory_(memory),
      average_(parameters.size()),
      gradient_(parameters.size()) {
  std::copy(parameters.begin(), parameters.end(), average_.begin());
}

StoredArray WholeNetwork::whole_array(const char* what, Index size, Real* values,
                                      const char* long_name) const {
  StoredArray array;
  array.name = std::string(name_) + "/" + what;
  array.row_size = size;
  array.own = {0, 1};
  array.values = values;
  array.long_name = long_name;
  return array;
}

std::vector<ParameterGroup> WholeNetwork::parameters() {
  return {{whole_array("trained", parameters_.size(), parameters_.data(),
                       "all parameters in a row, as they are trained"),
           gradient_.data()}};
}

std::vector<StoredArray> WholeNetwork::state() {
  return {whole_array("average", average_.size(), average_.data(),
                      "moving average of all parameters in a row")};
}

void WholeNetwork::follow(Index updates) {
  // A short memory at first, so that the start is forgotten soon.
  const double memory = std::min(
      memory_, (1.0 + static_cast<double>(updates)) / (10.0 + static_cast<double>(updates)));
  for (Index i = 0; i < average_.size(); ++i)
    average_[i] = memory * average_[i] + (1 - memory) * parameters_.data()[i];
}

StepOutcome WholeNetwork::differentiate(const MiniBatch& batch) {
  const Stopwatch watch;
  follow(batch.step);
  const parallel::Communicator& comm = grid_.data();
  const StepRange part =
      parallel::BlockLayout::balanced(batch.size, comm.size()).range(comm.rank());
  const double share = static_cast<double>(part.size()) / static_cast<double>(batch.size);
  StepOutcome outcome;
  outcome.accuracy = std::numeric_limits<double>::quiet_NaN();
  std::fill(gradient_.begin(), gradient_.end(), Real{0});
  if (!part.empty())
    outcome.loss = share * loss(batch, part, {gradient_.data(), {gradient_.size()}});
  for (Real& value : gradient_) value *= share;
  outcome.loss = comm.sum(outcome.loss);
  comm.sum(gradient_.data(), gradient_.size());
  outcome.seconds["gradient"] = comm.max(watch.seconds());
  return outcome;
}

AutoencoderTraining::AutoencoderTraining(const parallel::ProcessGrid& grid,
                                         models::Autoencoder& model, const Images& images,
                                         const Options& options)
    : WholeNetwork(grid, "autoencoder", model.parameters(), options.memory),
      model_(model),
      images_(images),
      options_(options),
      finished_(model.shape(), options.seed) {
  const models::AutoencoderShape& shape = model.shape();
  sizes_ = {Real(shape.pixels), Real(shape.latent), Real(shape.hidden), Real(shape.hidden_layers),
            0};
}

std::vector<StoredArray> AutoencoderTraining::state() {
  const View<Real, 1> theta = finished_.parameters();
  std::vector<StoredArray> all = WholeNetwork::state();
  all.push_back(whole_array("parameters", theta.size(), theta.data(),
                            "averaged parameters with whitened latents, once training has ended"));
  all.push_back(whole_array("shape", static_cast<Index>(sizes_.size()), sizes_.data(),
                            "pixels, latent, hidden, hidden layers, 1 when training has ended"));
  return all;
}

double AutoencoderTraining::loss(const MiniBatch& batch, StepRange part, View<Real, 1> gradient) {
  const Index n = model_.shape().latent;
  pixels_.reserve(part.size() * images_.features());
  jitter_.reserve(part.size() * n);
  const State x(pixels_.data(), {part.size(), images_.features()});
  const State jitter(jitter_.data(), {part.size(), n});
  images_.fill(batch.samples + part.first, batch.epoch, {}, {}, x);
  RandomStream(options_.seed, kJitterStream)
      .normal((batch.step * batch.size + part.first) * n, jitter.size(), jitter.data());
  for (Real& value : jitter) value *= options_.jitter;
  return model_.loss(x, jitter, options_.shrink, gradient);
}

double AutoencoderTraining::finish(const Images& others) {
  std::copy(average_.begin(), average_.end(), finished_.parameters().begin());
  const LabelledLatents latents = encode_all(finished_, images_);
  finished_.whiten({latents.values.data(), {images_.count(), model_.shape().latent}});
  sizes_.back() = 1;
  return reconstruction_error(grid_.data(), finished_, others);
}

DenoiserTraining::DenoiserTraining(const parallel::ProcessGrid& grid, models::Denoiser& model,
                                   const LabelledLatents& latents, double memory,
                                   std::uint64_t seed)
    : WholeNetwork(grid, "denoiser", model.parameters(), memory),
      model_(model),
      noisy_(model, latents, seed) {
  const models::DenoiserShape& shape = model.shape();
  const bool cosine = model.schedule().kind() == models::ScheduleKind::cosine;
  sizes_ = {Real(shape.latent),
            Real(shape.hidden),
            Real(shape.blocks),
            Real(shape.frequencies),
            Real(shape.classes),
            cosine ? 1.0 : 0.0,
            Real(model.schedule().steps())};
}

std::vector<StoredArray> DenoiserTraining::state() {
  return {whole_array("parameters", average_.size(), average_.data(),
                      "moving average of all parameters in a row"),
          whole_array(
              "shape", static_cast<Index>(sizes_.size()), sizes_.data(),
              "latent, hidden, blocks, frequencies, classes, 1 for the cosine schedule, times")};
}

double DenoiserTraining::loss(const MiniBatch& batch, StepRange part, View<Real, 1> gradient) {
  const Index first = batch.step * batch.size + part.first;
  return model_.loss(
      noisy_.make(batch.samples + part.first, part.size(), first, 1, model_.schedule().steps()),
      gradient);
}

double DenoiserTraining::score(const LabelledLatents& others) {
  models::Denoiser averaged(model_.shape(), model_.schedule(), 0);
  std::copy(average_.begin(), average_.end(), averaged.parameters().begin());
  return denoising_errors(grid_.data(), averaged, others, 1).front().loss;
}

}  // namespace deeppcr::train
