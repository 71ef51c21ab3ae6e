#include "deeppcr/models/denoiser.hpp"

#include <algorithm>
#include <cmath>

#include "deeppcr/blocks/activation.hpp"
#include "deeppcr/blocks/kernels.hpp"
#include "deeppcr/core/error.hpp"

namespace deeppcr::models {

namespace {

constexpr std::uint64_t kRole = 0x44454e4f495345;  // one more for each layer

void check(const DenoiserShape& shape) {
  static constexpr int kMost = 32768;
  const auto need = [](const char* what, int value, int least) {
    if (value < least || value > kMost)
      throw input_error("a denoiser with {} {} is not possible: {} to {}", value, what, least,
                        kMost);
  };
  need("numbers in a latent", shape.latent, 1);
  need("hidden numbers", shape.hidden, 1);
  need("blocks", shape.blocks, 1);
  need("frequencies", shape.frequencies, 1);
  need("classes", shape.classes, 0);
}

using blocks::add;

}  // namespace

Denoiser::Denoiser(const DenoiserShape& shape, const NoiseSchedule& schedule, std::uint64_t seed)
    : shape_(shape), schedule_(schedule) {
  check(shape);
  const int n = shape.latent, H = shape.hidden;
  input_ = {n, H, 0};
  time_ = {2 * shape.frequencies, H, input_.end()};
  Index end = time_.end();
  if (shape.classes > 0) {
    label_ = {shape.classes, H, end};
    end = label_.end();
  }
  for (int k = 0; k < shape.blocks; ++k, end = blocks_.back().end()) blocks_.push_back({H, H, end});
  output_ = {H, n, end};
  parameters_.reset(output_.end());
  std::vector<DenseShape> layers{input_, time_};
  if (shape.classes > 0) layers.push_back(label_);
  layers.insert(layers.end(), blocks_.begin(), blocks_.end());
  std::uint64_t role = kRole;
  for (const DenseShape& layer : layers) dense_initialise(layer, seed, role++, parameters_.data());
  // W_out stays zero: the untrained denoiser is the best linear one.
}

/// sin and cos of t times frequencies from 1 down to 1e-4, as Vaswani et al.
void Denoiser::time_features(int t, Real* features) const {
  const int F = shape_.frequencies;
  const double position = 1000.0 * t / schedule_.steps();
  for (int f = 0; f < F; ++f) {
    const double angle = position * std::pow(1e4, -static_cast<double>(f) / F);
    features[f] = std::sin(angle);
    features[F + f] = std::cos(angle);
  }
}

void Denoiser::time_offset(int t, Real* offset) const {
  std::vector<Real> features(static_cast<std::size_t>(time_.inputs));
  time_features(t, features.data());
  dense_forward(time_, parameters_.data(), {features.data(), {1, time_.inputs}},
                {offset, {1, shape_.hidden}});
  add(shape_.hidden, parameters_.data() + input_.bias_offset(), offset);
}

void Denoiser::label_offset(int label, Real* offset) const {
  std::fill_n(offset, shape_.hidden, Real{0});
  if (shape_.classes == 0) return;
  add(shape_.hidden, parameters_.data() + label_.offset + Index{label} * shape_.hidden, offset);
  add(shape_.hidden, parameters_.data() + label_.bias_offset(), offset);
}

Real Denoiser::skip(int t) const { return std::sqrt(schedule_.noise(t)); }

/// What the backward pass needs of the forward one.
struct Denoiser::Pass {
  Pass(Index samples, const DenoiserShape& shape, int time_inputs)
      : N(samples),
        H(shape.hidden),
        time(N * time_inputs),
        label(N * shape.classes),
        hidden((shape.blocks + 1) * N * H),
        slopes(shape.blocks * N * H),
        scratch(N * H),
        output(N * shape.latent) {}

  State state(Buffer<Real>& buffer, Index width, Index k = 0) const {
    return {buffer.data() + k * N * width, {N, width}};
  }
  Index N, H;
  Buffer<Real> time, label, hidden, slopes, scratch, output;
};

void Denoiser::forward(const Samples& samples, Pass& pass) const {
  const Real* theta = parameters_.data();
  const Index N = pass.N, H = pass.H, n = shape_.latent;
  for (Index s = 0; s < N; ++s)
    time_features(samples.times[static_cast<std::size_t>(s)], pass.time.data() + s * time_.inputs);
  const State h0 = pass.state(pass.hidden, H), a = pass.state(pass.scratch, H);
  dense_forward(input_, theta, samples.x, h0);
  dense_forward(time_, theta, pass.state(pass.time, time_.inputs), a);
  add(N * H, a.data(), h0.data());
  if (shape_.classes > 0) {
    for (Index s = 0; s < N; ++s)
      pass.label[s * shape_.classes + samples.labels[static_cast<std::size_t>(s)]] = 1;
    dense_forward(label_, theta, pass.state(pass.label, shape_.classes), a);
    add(N * H, a.data(), h0.data());
  }
  for (int k = 0; k < shape_.blocks; ++k) {
    // h_k = h_{k-1} + silu(W_k h_{k-1} + b_k)
    const State before = pass.state(pass.hidden, H, k), after = pass.state(pass.hidden, H, k + 1);
    dense_forward(block_layer(k), theta, before, a);
    blocks::activate_with_slope(blocks::Activation::silu, N * H, a.data(), after.data(),
                                pass.slopes.data() + k * N * H);
    add(N * H, before.data(), after.data());
  }
  const State eps = pass.state(pass.output, n);
  dense_forward(output_, theta, pass.state(pass.hidden, H, shape_.blocks), eps);
  for (Index s = 0; s < N; ++s) {
    const Real g = skip(samples.times[static_cast<std::size_t>(s)]);
    for (Index i = 0; i < n; ++i) eps(s, i) += g * samples.x(s, i);
  }
}

void Denoiser::backward(const Samples& samples, Pass& pass, Real* gradient) const {
  const Real* theta = parameters_.data();
  const Index N = pass.N, H = pass.H;
  Buffer<Real> upstream(N * H), product(N * H);
  const State g = pass.state(upstream, H), dx = pass.state(product, H),
              a = pass.state(pass.scratch, H);
  dense_gradient(output_, theta, pass.state(pass.hidden, H, shape_.blocks),
                 pass.state(pass.output, shape_.latent), gradient, g);
  for (int k = shape_.blocks - 1; k >= 0; --k) {
    const Real* slope = pass.slopes.data() + k * N * H;
    for (Index i = 0; i < N * H; ++i) a.data()[i] = slope[i] * g.data()[i];
    dense_gradient(block_layer(k), theta, pass.state(pass.hidden, H, k), a, gradient, dx);
    add(N * H, dx.data(), g.data());
  }
  dense_gradient(input_, theta, samples.x, g, gradient, {});
  dense_gradient(time_, theta, pass.state(pass.time, time_.inputs), g, gradient, {});
  if (shape_.classes > 0)
    dense_gradient(label_, theta, pass.state(pass.label, shape_.classes), g, gradient, {});
}

double Denoiser::loss(const Samples& samples, View<Real, 1> gradient) const {
  Pass pass(samples.x.extent(0), shape_, time_.inputs);
  forward(samples, pass);
  const double mean = mean_square({pass.output.data(), {pass.output.size()}}, samples.noise.data());
  if (gradient.size() > 0) backward(samples, pass, gradient.data());
  return mean;
}

}  // namespace deeppcr::models
