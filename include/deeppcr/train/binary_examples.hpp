#pragma once

#include <memory>
#include <vector>

#include "deeppcr/train/examples.hpp"

namespace deeppcr::train {

/// Labelled samples as those of two classes: 1 has the samples of some classes, 0 all others.
class BinaryExamples final : public Examples {
 public:
  /// fraction: samples of class 1 are left out, chosen by the seed, until they are this part of all
  /// that stay; 0: none. @pre each sample has one label
  /// @throws Error where there are too few of them, or none would stay
  BinaryExamples(std::unique_ptr<Examples> all, const std::vector<int>& positives,
                 double fraction = 0, std::uint64_t seed = 0);

  Index count() const override { return static_cast<Index>(kept_.size()); }
  Index features() const override { return all_->features(); }
  Index channels() const override { return all_->channels(); }
  /// That of all samples, those that are left out among them.
  Normalisation normalisation() const override { return all_->normalisation(); }
  void distribute(const parallel::ProcessGrid& grid) override { all_->distribute(grid); }
  bool everywhere() const override { return all_->everywhere(); }
  void fill(const Index* samples, Index epoch, const Normalisation& normalisation,
            const Augmentation& augmentation, State out) const override;

  int classes() const override { return 2; }
  int label(Index sample, Index = 0) const override { return is_positive(kept(sample)) ? 1 : 0; }
  double positive_share() const override { return share_; }
  bool has_lengths() const override { return all_->has_lengths(); }
  Index length(Index sample) const override { return all_->length(kept(sample)); }

 private:
  Index kept(Index sample) const { return kept_[static_cast<std::size_t>(sample)]; }
  bool is_positive(Index original) const {
    return positive_[static_cast<std::size_t>(all_->label(original))];
  }

  std::unique_ptr<Examples> all_;
  std::vector<bool> positive_;  ///< [classes]
  std::vector<Index> kept_;     ///< of all samples, rising
  double share_ = 0;
};

}  // namespace deeppcr::train
