#pragma once

#include <vector>

#include "deeppcr/blocks/packed_matrix.hpp"
#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/view.hpp"
#include "deeppcr/models/denoiser.hpp"

namespace deeppcr::models {

/// A denoiser made ready for sampling: its layers packed in precision T, what time and label add to
/// the first one tabled. Any number of (state, step) pairs is one batch, and each pair's result is
/// the same to the last bit whatever the batch.
///
/// Rows of a batch are (step, sample) pairs, [m, B]. Not for use by several threads at once.
template <typename T>
class PackedDenoiser {
 public:
  /// times: of the sampling steps, each 1..T. labels [B]: of the samples; may be empty without
  /// classes. The denoiser must outlive this object.
  PackedDenoiser(const Denoiser& denoiser, const std::vector<int>& times,
                 const std::vector<int>& labels);

  /// Numbers of type T that are kept of one row for push().
  Index slopes_per_row() const { return Index{blocks()} * padded_; }

  /// eps = denoiser(x, time of the step) for the samples from `first_sample` on, as many as x has.
  /// Shapes: x, eps [m, B, n]. Cost: 2 m B K H^2 flops.
  /// silu' of each block is kept in slopes [m B, slopes_per_row()] unless that is null.
  void evaluate(StepRange range, ConstStates x, States eps, Index first_sample = 0,
                T* slopes = nullptr) const;

  /// W = (d eps / d x) V or its transpose applied to V, k columns for each of the `batch` samples
  /// of each step of a range, whose slopes are given. Shapes: V, W [m, B, k, n]. Cost: 2 m B k K
  /// H^2 flops.
  void push(Direction direction, const T* slopes, StepRange range, View<const Real, 4> V,
            View<Real, 4> W) const;

 private:
  int blocks() const { return static_cast<int>(layers_.size()); }
  /// h_0 of a tile of rows, from x in double.
  void enter(const blocks::PackedMatrix<T>& input, Index rows, const Real* x) const;
  /// to = skip from + product, for one row.
  void leave(Index step, const Real* from, const T* product, Real* to) const;
  void push_tile(Direction direction, const T* slopes, Index first, Index rows,
                 Index columns) const;
  /// Packs what only push() needs.
  void prepare_push() const;

  const Denoiser& denoiser_;
  int latent_;
  int padded_;              ///< H, filled up to whole panels
  std::vector<Real> skip_;  ///< of each step
  Buffer<T> time_offset_;   ///< [steps, padded]
  Buffer<T> label_offset_;  ///< [B, padded]; empty without classes
  blocks::PackedMatrix<T> input_, output_;
  std::vector<blocks::PackedMatrix<T>> layers_;
  /// Transposes for Direction::backward, which goes from the output to the input.
  mutable blocks::PackedMatrix<T> output_transposed_, input_transposed_;
  mutable std::vector<blocks::PackedMatrix<T>> layers_transposed_;
  mutable Buffer<T> narrow_;   ///< x, or eps, of a tile
  mutable Buffer<T> hidden_;   ///< h of a tile
  mutable Buffer<T> product_;  ///< W_k h + b_k of a tile
  mutable Buffer<T> scratch_;  ///< W_k^T (s_k .* v) of a tile; only push() needs it
};

extern template class PackedDenoiser<float>;
extern template class PackedDenoiser<double>;

}  // namespace deeppcr::models
