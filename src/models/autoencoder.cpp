#include "deeppcr/models/autoencoder.hpp"

#include <algorithm>
#include <cmath>

#include "deeppcr/blocks/activation.hpp"
#include "deeppcr/core/error.hpp"

namespace deeppcr::models {

namespace {

constexpr std::uint64_t kRole = 0x4155544f454e43;  // one more for each layer

/// Layers from `inputs` to `outputs` numbers with hidden ones between, behind `offset` parameters.
std::vector<DenseShape> perceptron(int inputs, int hidden, int hidden_layers, int outputs,
                                   Index offset) {
  std::vector<DenseShape> layers;
  for (int k = 0; k <= hidden_layers; ++k) {
    layers.push_back({k == 0 ? inputs : hidden, k == hidden_layers ? outputs : hidden, offset});
    offset = layers.back().end();
  }
  return layers;
}

/// The lower triangle C with C C^T = S, column-major [n x n], in place; S is read below its
/// diagonal.
void cholesky(int n, std::vector<Real>& S) {
  const auto at = [&](int i, int j) -> Real& { return S[static_cast<std::size_t>(j * n + i)]; };
  for (int j = 0; j < n; ++j) {
    for (int k = 0; k < j; ++k)
      for (int i = j; i < n; ++i) at(i, j) -= at(i, k) * at(j, k);
    if (!(at(j, j) > 0))
      throw input_error("the latents have no variance in some direction; use a smaller --width");
    const Real root = std::sqrt(at(j, j));
    for (int i = j; i < n; ++i) at(i, j) /= root;
    for (int i = 0; i < j; ++i) at(i, j) = 0;
  }
}

struct Moments {
  std::vector<Real> mean;        ///< [n]
  std::vector<Real> covariance;  ///< [n x n]
};

Moments moments(ConstState latents) {
  const Index N = latents.extent(0);
  const auto n = static_cast<std::size_t>(latents.extent(1));
  Moments m{std::vector<Real>(n, 0), std::vector<Real>(n * n, 0)};
  for (Index s = 0; s < N; ++s)
    for (std::size_t i = 0; i < n; ++i) m.mean[i] += latents(s, i) / static_cast<Real>(N);
  for (Index s = 0; s < N; ++s)
    for (std::size_t j = 0; j < n; ++j)
      for (std::size_t i = 0; i < n; ++i)
        m.covariance[j * n + i] +=
            (latents(s, i) - m.mean[i]) * (latents(s, j) - m.mean[j]) / static_cast<Real>(N);
  return m;
}

}  // namespace

Autoencoder::Autoencoder(const AutoencoderShape& shape, std::uint64_t seed) : shape_(shape) {
  if (shape.pixels < 1 || shape.latent < 1 || shape.hidden < 1 || shape.hidden_layers < 1)
    throw input_error(
        "an autoencoder needs 1 or more pixels, latent and hidden numbers and layers");
  encoder_ = perceptron(shape.pixels, shape.hidden, shape.hidden_layers, shape.latent, 0);
  decoder_ = perceptron(shape.latent, shape.hidden, shape.hidden_layers, shape.pixels,
                        encoder_.back().end());
  parameters_.reset(decoder_.back().end());
  std::uint64_t role = kRole;
  for (const Layers* half : {&encoder_, &decoder_})
    for (const DenseShape& layer : *half) dense_initialise(layer, seed, role++, parameters_.data());
}

/// Inputs and slopes of the layers of one half.
struct Autoencoder::Pass {
  Pass(const Layers& layers, Index samples) : N(samples) {
    for (const DenseShape& layer : layers) {
      outputs.emplace_back(N * layer.outputs);
      slopes.emplace_back(N * layer.outputs);
    }
  }
  State output(const Layers& layers, std::size_t k) {
    return {outputs[k].data(), {N, layers[k].outputs}};
  }
  ConstState input(const Layers& layers, std::size_t k, ConstState in) {
    return k == 0 ? in : output(layers, k - 1);
  }
  Index N;
  std::vector<Buffer<Real>> outputs, slopes;
};

void Autoencoder::forward(const Layers& layers, ConstState in, Pass& pass) const {
  for (std::size_t k = 0; k < layers.size(); ++k) {
    const State out = pass.output(layers, k);
    dense_forward(layers[k], parameters_.data(), pass.input(layers, k, in), out);
    if (k + 1 == layers.size()) return;
    blocks::activate_with_slope(blocks::Activation::silu, out.size(), out.data(), out.data(),
                                pass.slopes[k].data());
  }
}

void Autoencoder::backward(const Layers& layers, ConstState in, Pass& pass, ConstState g,
                           Real* gradient, State input_gradient) const {
  Buffer<Real> upstream(g.size()), product;
  std::copy(g.begin(), g.end(), upstream.begin());
  for (std::size_t k = layers.size(); k-- > 0;) {
    const DenseShape& layer = layers[k];
    if (k + 1 < layers.size())
      for (Index i = 0; i < upstream.size(); ++i) upstream[i] *= pass.slopes[k][i];
    State dx = input_gradient;
    if (k > 0) {
      product.reset(pass.N * layer.inputs);
      dx = {product.data(), {pass.N, layer.inputs}};
    }
    dense_gradient(layer, parameters_.data(), pass.input(layers, k, in),
                   {upstream.data(), {pass.N, layer.outputs}}, gradient, dx);
    upstream.swap(product);
  }
}

void Autoencoder::run(const Layers& layers, ConstState in, State out) const {
  Pass pass(layers, in.extent(0));
  forward(layers, in, pass);
  std::copy(pass.outputs.back().begin(), pass.outputs.back().end(), out.begin());
}

void Autoencoder::encode(ConstState images, State latents) const { run(encoder_, images, latents); }
void Autoencoder::decode(ConstState latents, State images) const { run(decoder_, latents, images); }

double Autoencoder::loss(ConstState images, ConstState jitter, double shrink,
                         View<Real, 1> gradient) const {
  const Index N = images.extent(0);
  Pass encoding(encoder_, N), decoding(decoder_, N);
  forward(encoder_, images, encoding);
  const State latents = encoding.output(encoder_, encoder_.size() - 1);
  Buffer<Real> seen(latents.size()), latent_gradient(latents.size());
  for (Index i = 0; i < seen.size(); ++i)
    seen[i] = latents.data()[i] + (jitter.size() > 0 ? jitter.data()[i] : 0);
  const ConstState z(seen.data(), latents.shape());
  forward(decoder_, z, decoding);
  const State out = decoding.output(decoder_, decoder_.size() - 1);
  const double error = mean_square({out.data(), {out.size()}}, images.data());
  double size = 0;
  for (const Real value : latents) size += value * value / static_cast<double>(latents.size());
  if (gradient.size() > 0) {
    const State dz(latent_gradient.data(), latents.shape());
    backward(decoder_, z, decoding, out, gradient.data(), dz);
    for (Index i = 0; i < dz.size(); ++i)
      dz.data()[i] += 2 * shrink * latents.data()[i] / static_cast<Real>(dz.size());
    backward(encoder_, images, encoding, dz, gradient.data(), {});
  }
  return error + shrink * size;
}

void Autoencoder::whiten(ConstState latents) {
  const int n = shape_.latent;
  Moments m = moments(latents);
  std::vector<Real>& C = m.covariance;
  cholesky(n, C);
  const auto c = [&](int i, int j) { return C[static_cast<std::size_t>(j * n + i)]; };
  // decoder: W (C y + mean) + b, so W <- W C (columns from the left on: column j needs j.. only)
  const DenseShape& first = decoder_.front();
  Real* W = parameters_.data() + first.offset;
  Real* b = parameters_.data() + first.bias_offset();
  const Index H = first.outputs;
  for (int j = 0; j < n; ++j) {
    for (Index i = 0; i < H; ++i) {
      b[i] += W[j * H + i] * m.mean[static_cast<std::size_t>(j)];
      Real sum = 0;
      for (int k = j; k < n; ++k) sum += W[k * H + i] * c(k, j);
      W[j * H + i] = sum;
    }
  }
  // encoder: C^-1 (W h + b - mean), by forward substitution on each column of [W | b - mean]
  const DenseShape& last = encoder_.back();
  Real* rows = parameters_.data() + last.offset;
  for (int i = 0; i < n; ++i)
    rows[Index{last.inputs} * n + i] -= m.mean[static_cast<std::size_t>(i)];
  for (Index column = 0; column <= last.inputs; ++column) {
    Real* x = rows + column * n;
    for (int i = 0; i < n; ++i) {
      for (int k = 0; k < i; ++k) x[i] -= c(i, k) * x[k];
      x[i] /= c(i, i);
    }
  }
}

}  // namespace deeppcr::models
