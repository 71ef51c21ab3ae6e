#include "deeppcr/models/denoising_chain.hpp"

#include <algorithm>
#include <optional>

#include "deeppcr/blocks/dense_linearisation.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/random.hpp"

namespace deeppcr::models {

namespace {

constexpr std::uint64_t kStartStream = 0x5354415254;
constexpr std::uint64_t kFreshStream = 0x4652455348;

std::vector<int> times_of(const std::vector<SamplerStep>& steps) {
  std::vector<int> times;
  for (const SamplerStep& step : steps) times.push_back(step.time);
  return times;
}

/// A_l = a_l I + b_l (d eps / d z), from the slopes of the network. Chain products (many columns
/// step after step) go through the blocks, which are made at once for the whole range when first
/// needed.
template <typename T>
class DenoisingLinearisation final : public blocks::Linearisation {
 public:
  DenoisingLinearisation(const PackedDenoiser<T>& network, const std::vector<SamplerStep>& steps,
                         StepRange range, Index batch, int width)
      : network_(network),
        steps_(steps),
        range_(range),
        batch_(batch),
        width_(width),
        slopes_(range.size() * batch * network.slopes_per_row()) {}

  T* slopes() { return slopes_.data(); }

  void product(Index l, Direction direction, ConstPanel V, Panel W) const override {
    if (dense_) return dense_->product(l, direction, V, W);
    const std::array<Index, 4> shape{1, batch_, V.extent(1), width_};
    product_each({l, l + 1}, direction, {V.data(), shape}, {W.data(), shape});
  }
  void product_each(StepRange range, Direction direction, View<const Real, 4> V,
                    View<Real, 4> W) const override {
    const Index rows = (range.first - range_.first) * batch_;
    network_.push(direction, slopes_.data() + rows * network_.slopes_per_row(), range, V, W);
    for (Index l = range.first; l < range.last; ++l) {
      const SamplerStep& step = steps_[static_cast<std::size_t>(l)];
      const auto from = V[l - range.first];
      const auto to = W[l - range.first];
      for (Index i = 0; i < to.size(); ++i)
        to.data()[i] = step.state * from.data()[i] + step.noise_estimate * to.data()[i];
    }
  }
  void substitute(StepRange range, Direction direction, ConstStates rhs, States result,
                  State carry) const override {
    dense().substitute(range, direction, rhs, result, carry);
  }
  void eliminate(StepRange range, Direction direction, ConstStates rhs, Panel map,
                 Panel scratch) const override {
    dense().eliminate(range, direction, rhs, map, scratch);
  }

 private:
  const blocks::DenseLinearisation& dense() const {
    if (!dense_) {
      blocks::DenseLinearisation all(range_, batch_, width_);
      blocks(range_, all.storage());
      dense_.emplace(std::move(all));
    }
    return *dense_;
  }

  const PackedDenoiser<T>& network_;
  const std::vector<SamplerStep>& steps_;
  StepRange range_;
  Index batch_;
  int width_;
  Buffer<T> slopes_;  ///< [m, B, slopes_per_row]
  mutable std::optional<blocks::DenseLinearisation> dense_;
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

/// c_l xi_l by (seed, sample, step), [L, B, n].
Buffer<Real> draw_noise(const std::vector<SamplerStep>& steps, Index batch, int width,
                        std::uint64_t seed) {
  const auto L = static_cast<Index>(steps.size());
  Buffer<Real> noise(L * batch * width);
  const RandomStream random(seed, kFreshStream);
  for (Index l = 0; l < L; ++l) {
    for (Index b = 0; b < batch; ++b) {
      Real* xi = noise.data() + (l * batch + b) * width;
      random.normal((b * L + l) * width, width, xi);
      for (int i = 0; i < width; ++i) xi[i] *= steps[static_cast<std::size_t>(l)].fresh;
    }
  }
  return noise;
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
  drawn_ = std::make_shared<Buffer<Real>>(draw_noise(steps_, batch, width(), seed_));
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
  RandomStream(seed_, kStartStream).normal(0, z.size(), z.data());
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

Index DenoisingChain::fill_guess(States states, Index coarse_steps) const {
  const Index L = num_steps(), S = states.extent(1), n = states.extent(2);
  Buffer<Real> values(S * n), zeros(S * n);
  const State value(values.data(), {S, n}), drift(zeros.data(), {S, n});
  const Index K = std::max<Index>(1, coarse_steps);
  for (Index k = 0; k < K; ++k) {
    const Index first = k * L / K, last = (k + 1) * L / K;
    const ConstState z = states[first];
    if (coarse_steps > 0) {
      this->value({first, first + 1}, {z.data(), {1, S, n}}, {value.data(), {1, S, n}});
      this->drift(first, z, value, drift);
    }
    extrapolate({first, last}, z, drift, states.slice(first + 1, last + 1));
  }
  return coarse_steps;
}

}  // namespace deeppcr::models
