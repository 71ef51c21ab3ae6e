#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "models/torch/torch_denoiser_file.hpp"

namespace deeppcr::models {

/// A TorchScript module as a denoising network, with what each sample is conditioned on.
class TorchDenoiser final : public DenoisingNetwork {
 public:
  /// @throws Error (of this rank) where the conditions are not those of the network
  TorchDenoiser(std::shared_ptr<const TorchDenoiserFile> file,
                const DenoiserConditions& conditions);

  int width() const override { return static_cast<int>(file_->width()); }
  /// Cost: with guidance one evaluation of twice as many rows.
  void evaluate(const DenoisingRows& rows, const Real* x, Real* out) const override;
  /// Cost: by forward mode or backpropagation one evaluation of k times as many rows, 2 to 11 times
  /// as long.
  void product(const DenoisingRows& rows, const Real* x, Direction direction, Index k,
               const Real* V, Real* W) const override;

 private:
  /// Rows for the plug-in; with guidance all of them conditioned, then all of them not.
  struct Batch {
    std::vector<std::int64_t> times, conditions;
  };
  Batch batch_of(const DenoisingRows& rows) const;
  DeepPcrRows plugin_rows(const Batch& batch) const;
  bool guided() const { return guidance_ != 1; }
  /// u + g (c - u) of both halves of `both`, [2, count].
  void guide(const Buffer<Real>& both, Index count, Real* out) const;

  void check(const DenoiserConditions& conditions) const;
  void take_labels(const DenoiserConditions& conditions);
  void take_embeddings(const DenoiserConditions& conditions);

  std::shared_ptr<const TorchDenoiserFile> file_;
  double guidance_;
  std::vector<std::int64_t> conditions_;  ///< [B], classes or rows of embeddings_
  std::int64_t null_condition_ = 0;
  Buffer<Real> embeddings_;  ///< [B + 1, d], the last one that of no condition
};

}  // namespace deeppcr::models
