#include "deeppcr/models/denoising_chain.hpp"

#include <algorithm>

#include "deeppcr/core/error.hpp"
#include "models/dense_on_demand.hpp"
#include "models/sampler_noise.hpp"

namespace deeppcr::models {

namespace {

std::vector<int> times_of(const std::vector<SamplerStep>& steps) {
  std::vector<int> times;
  for (const SamplerStep& step : steps) times.push_back(step.time);
  return times;
}

/// A_l = a_l I + b_l (d eps / d z), from the slopes of the network.
template <typename T>
class DenoisingLinearisation final : public DenseOnDemand {
 public:
  DenoisingLinearisation(const PackedDenoiser<T>& network, const std::vector<SamplerStep>& steps,
                         StepRange range, Index batch, int width)
      : DenseOnDemand(range, batch, width),
        network_(network),
        steps_(steps),
        slopes_(range.size() * batch * network.slopes_per_row()) {}

  T* slopes() { return slopes_.data(); }

  void product_each(StepRange part, Direction direction, View<const Real, 4> V,
                    View<Real, 4> W) const override {
    const Index rows = (part.first - range().first) * batch();
    network_.push(direction, slopes_.data() + rows * network_.slopes_per_row(), part, V, W);
    for (Index l = part.first; l < part.last; ++l) {
      const SamplerStep& step = steps_[static_cast<std::size_t>(l)];
      const auto from = V[l - part.first];
      const auto to = W[l - part.first];
      for (Index i = 0; i < to.size(); ++i)
        to.data()[i] = step.state * from.data()[i] + step.noise_estimate * to.data()[i];
    }
  }

 private:
  const PackedDenoiser<T>& network_;
  const std::vector<SamplerStep>& steps_;
  Buffer<T> slopes_;  ///< [m, B, slopes_per_row]
};

template <typename T>
std::unique_ptr<blocks::Linearisation> linearised(const PackedDenoiser<T>& network,
                                                  const std::vector<SamplerStep>& steps,
                                                  StepRange range, ConstStates in, States eps,
                                                  Index first_sample) {
  auto made = std::make_unique<DenoisingLinearisation<T>>(network, steps, range, in.extent(1),
                                                          static_cast<int>(in.extent(2)));
  network.evaluate(range, in, eps, first_sample, made->slopes());
  return made;
}

}  // namespace

DenoisingChain::DenoisingChain(const Denoiser& denoiser, const SamplerOptions& options, Index batch)
    : denoiser_(denoiser),
      batch_(batch),
      seed_(options.seed),
      steps_(sampler_steps(denoiser.schedule(), options.steps, options.eta)) {
  const int classes = denoiser.shape().classes;
  if (classes > 0 && static_cast<Index>(options.labels.size()) != batch)
    throw input_error("{} labels for {} samples of a class-conditional denoiser",
                      options.labels.size(), batch);
  for (const int label : options.labels) {
    if (label < 0 || label >= std::max(classes, 1))
      throw input_error("label {}: the denoiser has {} classes, from 0 on", label, classes);
  }
  if (options.precision == NetworkPrecision::float32) {
    single_ = std::make_shared<PackedDenoiser<float>>(denoiser, times_of(steps_), options.labels);
  } else {
    double_ = std::make_shared<PackedDenoiser<double>>(denoiser, times_of(steps_), options.labels);
  }
  inputs_ = {{0, num_steps()}, {nullptr, {num_steps(), batch, 0}}};
  if (options.eta == 0) return;
  std::vector<double> factors;
  for (const SamplerStep& step : steps_) factors.push_back(step.fresh);
  drawn_ = std::make_shared<Buffer<Real>>(draw_noise(seed_, factors, batch, width()));
  inputs_.values = {drawn_->data(), {num_steps(), batch, width()}};
}

std::unique_ptr<sequence::Sequence> DenoisingChain::bound_to(const sequence::Inputs& inputs) const {
  DEEPPCR_ASSERT(inputs.values.extent(2) == inputs_.values.extent(2),
                 "{} numbers of noise for a state of {}", inputs.values.extent(2), width());
  auto bound = std::make_unique<DenoisingChain>(*this);
  bound->inputs_ = inputs;
  return bound;
}

void DenoisingChain::check_samples(ConstStates in) const {
  DEEPPCR_ASSERT(inputs_.first_sample + in.extent(1) <= batch_, "samples {} to {} of {}",
                 inputs_.first_sample, inputs_.first_sample + in.extent(1), batch_);
}

void DenoisingChain::finish(StepRange range, ConstStates z, States eps) const {
  const Index state = z.extent(1) * width();
  const bool noisy = inputs_.values.size() > 0;
  for (Index l = range.first; l < range.last; ++l) {
    const SamplerStep& step = steps_[static_cast<std::size_t>(l)];
    const Real* from = z.data() + (l - range.first) * state;
    Real* to = eps.data() + (l - range.first) * state;
    for (Index i = 0; i < state; ++i) to[i] = step.state * from[i] + step.noise_estimate * to[i];
    if (!noisy) continue;
    const Real* xi = inputs_.at(l);
    for (Index i = 0; i < state; ++i) to[i] += xi[i];
  }
}

void DenoisingChain::value(StepRange range, ConstStates in, States out) const {
  check_samples(in);
  if (single_) single_->evaluate(range, in, out, inputs_.first_sample);
  if (double_) double_->evaluate(range, in, out, inputs_.first_sample);
  finish(range, in, out);
}

std::unique_ptr<blocks::Linearisation> DenoisingChain::linearise(StepRange range, ConstStates in,
                                                                 States out) const {
  check_samples(in);
  const Index first = inputs_.first_sample;
  auto made = single_ ? linearised(*single_, steps_, range, in, out, first)
                      : linearised(*double_, steps_, range, in, out, first);
  finish(range, in, out);
  return made;
}

bool DenoisingChain::known_diagonals(sequence::KnownDiagonal which, StepRange range,
                                     View<Real, 2> diagonals) const {
  for (Index l = range.first; l < range.last; ++l) {
    const SamplerStep& step = steps_[static_cast<std::size_t>(l)];
    const bool gaussian = which == sequence::KnownDiagonal::gaussian;
    const Real value =
        step.state + (gaussian ? step.noise_estimate * denoiser_.skip(step.time) : 0);
    std::fill_n(diagonals.data() + (l - range.first) * width(), width(), value);
  }
  return true;
}

void DenoisingChain::start(State z) const {
  for (Index b = 0; b < z.extent(0); ++b) draw_start(seed_, b, width(), z[b].data());
}

void DenoisingChain::gaussian_step(Index l, ConstState z, Real* out) const {
  const SamplerStep& step = steps_[static_cast<std::size_t>(l)];
  const Real factor = step.state + step.noise_estimate * denoiser_.skip(step.time);
  const Real* xi = inputs_.values.size() > 0 ? inputs_.at(l) : nullptr;
  for (Index i = 0; i < z.size(); ++i) out[i] = factor * z.data()[i] + (xi == nullptr ? 0 : xi[i]);
}

bool DenoisingChain::drift(Index l, ConstState z, ConstState f, State drift) const {
  const Real weight = steps_[static_cast<std::size_t>(l)].noise_estimate;
  gaussian_step(l, z, drift.data());
  for (Index i = 0; i < drift.size(); ++i)
    drift.data()[i] = weight == 0 ? 0 : (f.data()[i] - drift.data()[i]) / weight;
  return true;
}

void DenoisingChain::extrapolate(StepRange range, ConstState z, ConstState drift,
                                 States out) const {
  ConstState from = z;
  for (Index l = range.first; l < range.last; ++l) {
    const State to(out.data() + (l - range.first) * z.size(), z.shape());
    gaussian_step(l, from, to.data());
    const Real weight = steps_[static_cast<std::size_t>(l)].noise_estimate;
    for (Index i = 0; i < to.size(); ++i) to.data()[i] += weight * drift.data()[i];
    from = to;
  }
}

}  // namespace deeppcr::models
