#pragma once

#include <memory>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/train/examples.hpp"

namespace deeppcr::train {

/// Sequences of numbers as samples, such as signals: T steps of d features, of which each sample
/// has all or the first ones. A step may have a label or targets of its own. All ranks hold all.
class Sequences final : public Examples {
 public:
  struct Content {
    Index samples = 0, steps = 0, features = 0;  ///< B, T, d
    Buffer<Real> inputs;                         ///< [T, B, d]
    std::vector<Index> lengths;                  ///< [B]; empty: all have T steps
    std::vector<Index> labels;  ///< [B], or [T, B] with labels_each; empty without any
    bool labels_each = false;
    int target_width = 0;
    Buffer<Real> targets;  ///< [T, B, target_width]
  };

  /// Samples first..last-1 of some content. @pre first < last <= samples
  Sequences(std::shared_ptr<const Content> content, Index first, Index last);

  /// T
  Index steps() const { return content_->steps; }
  Index count() const override { return last_ - first_; }
  Index features() const override { return content_->steps * content_->features; }
  Index channels() const override { return content_->features; }
  /// Over the steps that the samples have.
  Normalisation normalisation() const override;
  void distribute(const parallel::ProcessGrid&) override {}
  bool everywhere() const override { return true; }
  /// Zeros behind a sample's end. Nothing here is changed at random.
  void fill(const Index* samples, Index epoch, const Normalisation& normalisation,
            const Augmentation& augmentation, State out) const override;

  /// One more than the largest label of the whole content.
  int classes() const override { return classes_; }
  bool labels_each() const override { return content_->labels_each; }
  int label(Index sample, Index step = 0) const override;
  bool has_lengths() const override { return !content_->lengths.empty(); }
  Index length(Index sample) const override;
  int target_width() const override { return content_->target_width; }
  const Real* target(Index sample, Index step) const override;

 private:
  std::shared_ptr<const Content> content_;
  Index first_, last_;
  int classes_;
};

}  // namespace deeppcr::train
