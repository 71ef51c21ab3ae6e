#include "deeppcr/models/packed_denoiser.hpp"

#include <algorithm>

#include "deeppcr/blocks/activation.hpp"
#include "deeppcr/blocks/kernels.hpp"
#include "deeppcr/core/error.hpp"

namespace deeppcr::models {

namespace {

/// Rows that go through all layers together: their activations stay in the second-level cache.
constexpr Index kTile = 96;

using blocks::add;

template <typename T>
blocks::PackedMatrix<T> pack(const DenseShape& layer, const Real* theta, bool with_bias) {
  return {layer.outputs, layer.inputs, theta + layer.offset,
          with_bias ? theta + layer.bias_offset() : nullptr};
}

template <typename T>
blocks::PackedMatrix<T> pack_transposed(const DenseShape& layer, const Real* theta) {
  Buffer<Real> transposed(Index{layer.inputs} * layer.outputs);
  blocks::transpose(layer.outputs, layer.inputs, theta + layer.offset, transposed.data());
  return {layer.inputs, layer.outputs, transposed.data()};
}

}  // namespace

template <typename T>
PackedDenoiser<T>::PackedDenoiser(const Denoiser& denoiser, const std::vector<int>& times,
                                  const std::vector<int>& labels)
    : denoiser_(denoiser), latent_(denoiser.shape().latent) {
  const Real* theta = denoiser.parameters().data();
  const int H = denoiser.shape().hidden;
  input_ = pack<T>(denoiser.input_layer(), theta, false);  // its bias is in the time table
  output_ = pack<T>(denoiser.output_layer(), theta, true);
  for (int k = 0; k < denoiser.shape().blocks; ++k)
    layers_.push_back(pack<T>(denoiser.block_layer(k), theta, true));
  padded_ = input_.padded_rows();
  Buffer<Real> offset(H);
  time_offset_.reset(static_cast<Index>(times.size()) * padded_);
  for (std::size_t l = 0; l < times.size(); ++l) {
    skip_.push_back(denoiser.skip(times[l]));
    denoiser.time_offset(times[l], offset.data());
    std::copy(offset.begin(), offset.end(), time_offset_.data() + static_cast<Index>(l) * padded_);
  }
  if (denoiser.shape().classes > 0) {
    label_offset_.reset(static_cast<Index>(labels.size()) * padded_);
    for (std::size_t b = 0; b < labels.size(); ++b) {
      denoiser.label_offset(labels[b], offset.data());
      std::copy(offset.begin(), offset.end(),
                label_offset_.data() + static_cast<Index>(b) * padded_);
    }
  }
  narrow_.reset(kTile * output_.padded_rows());
  hidden_.reset(kTile * padded_);
  product_.reset(kTile * padded_);
}

template <typename T>
void PackedDenoiser<T>::prepare_push() const {
  if (!scratch_.empty()) return;
  const Real* theta = denoiser_.parameters().data();
  scratch_.reset(kTile * padded_);
  input_transposed_ = pack_transposed<T>(denoiser_.input_layer(), theta);
  output_transposed_ = pack_transposed<T>(denoiser_.output_layer(), theta);
  for (int k = 0; k < blocks(); ++k)
    layers_transposed_.push_back(pack_transposed<T>(denoiser_.block_layer(k), theta));
}

template <typename T>
void PackedDenoiser<T>::enter(const blocks::PackedMatrix<T>& input, Index rows,
                              const Real* x) const {
  for (Index i = 0; i < rows * latent_; ++i) narrow_[i] = static_cast<T>(x[i]);
  input.multiply(rows, narrow_.data(), latent_, hidden_.data());
}

template <typename T>
void PackedDenoiser<T>::leave(Index step, const Real* from, const T* product, Real* to) const {
  const Real g = skip_[static_cast<std::size_t>(step)];
  for (int i = 0; i < latent_; ++i) to[i] = g * from[i] + static_cast<Real>(product[i]);
}

template <typename T>
void PackedDenoiser<T>::evaluate(StepRange range, ConstStates x, States eps, Index first_sample,
                                 T* slopes) const {
  const Index B = x.extent(1), all = range.size() * B;
  for (Index first = 0; first < all; first += kTile) {
    const Index rows = std::min(kTile, all - first);
    enter(input_, rows, x.data() + first * latent_);
    for (Index r = 0; r < rows; ++r) {
      const Index step = range.first + (first + r) / B, sample = first_sample + (first + r) % B;
      T* h = hidden_.data() + r * padded_;
      add(padded_, time_offset_.data() + step * padded_, h);
      if (!label_offset_.empty()) add(padded_, label_offset_.data() + sample * padded_, h);
    }
    for (int k = 0; k < blocks(); ++k) {
      // h <- h + silu(W_k h + b_k)
      layers_[static_cast<std::size_t>(k)].multiply(rows, hidden_.data(), padded_, product_.data());
      for (Index r = 0; r < rows; ++r)
        blocks::add_silu(
            padded_, product_.data() + r * padded_, hidden_.data() + r * padded_,
            slopes == nullptr ? nullptr : slopes + ((first + r) * blocks() + k) * padded_);
    }
    output_.multiply(rows, hidden_.data(), padded_, narrow_.data());
    for (Index r = 0; r < rows; ++r) {
      const Index at = (first + r) * latent_;
      leave(range.first + (first + r) / B, x.data() + at,
            narrow_.data() + r * output_.padded_rows(), eps.data() + at);
    }
  }
}

/// Pushes the tile in hidden_ through the blocks; rows `first`.. of [pairs, columns].
template <typename T>
void PackedDenoiser<T>::push_tile(Direction direction, const T* slopes, Index first, Index rows,
                                  Index columns) const {
  const bool forward = direction == Direction::forward;
  for (int j = 0; j < blocks(); ++j) {
    const int k = forward ? j : blocks() - 1 - j;
    const auto slope = [&](Index r) {
      return slopes + ((first + r) / columns * blocks() + k) * padded_;
    };
    if (forward) {
      // v <- v + s_k .* (W_k v)
      layers_[static_cast<std::size_t>(k)].multiply_linear(rows, hidden_.data(), padded_,
                                                           product_.data());
      for (Index r = 0; r < rows; ++r)
        for (Index i = 0; i < padded_; ++i)
          hidden_[r * padded_ + i] += slope(r)[i] * product_[r * padded_ + i];
    } else {
      // v <- v + W_k^T (s_k .* v)
      for (Index r = 0; r < rows; ++r)
        for (Index i = 0; i < padded_; ++i)
          product_[r * padded_ + i] = slope(r)[i] * hidden_[r * padded_ + i];
      layers_transposed_[static_cast<std::size_t>(k)].multiply(rows, product_.data(), padded_,
                                                               scratch_.data());
      add(rows * padded_, scratch_.data(), hidden_.data());
    }
  }
}

template <typename T>
void PackedDenoiser<T>::push(Direction direction, const T* slopes, StepRange range,
                             View<const Real, 4> V, View<Real, 4> W) const {
  const bool forward = direction == Direction::forward;
  const blocks::PackedMatrix<T>& in = forward ? input_ : output_transposed_;
  const blocks::PackedMatrix<T>& out = forward ? output_ : input_transposed_;
  const Index columns = V.extent(2), a_step = V.extent(1) * columns, all = range.size() * a_step;
  prepare_push();
  for (Index first = 0; first < all; first += kTile) {
    const Index rows = std::min(kTile, all - first);
    enter(in, rows, V.data() + first * latent_);
    push_tile(direction, slopes, first, rows, columns);
    out.multiply_linear(rows, hidden_.data(), padded_, narrow_.data());
    for (Index r = 0; r < rows; ++r) {
      const Index at = (first + r) * latent_;
      leave(range.first + (first + r) / a_step, V.data() + at,
            narrow_.data() + r * out.padded_rows(), W.data() + at);
    }
  }
}

template class PackedDenoiser<float>;
template class PackedDenoiser<double>;

}  // namespace deeppcr::models
