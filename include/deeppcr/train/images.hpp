#pragma once

#include <cstdint>
#include <vector>

#include "deeppcr/parallel/communicator.hpp"
#include "deeppcr/train/examples.hpp"

namespace deeppcr::train {

/// A labelled set of images, kept as bytes: an eighth of what their features take.
class Images final : public Examples {
 public:
  Images() = default;
  /// Shapes: pixels [count, height, width], labels [count].
  Images(Index height, Index width, std::vector<unsigned char> pixels,
         std::vector<unsigned char> labels);
  /// Noise around ten random pictures of 8 x 8 pixels: something to learn where there are no data.
  /// `stream` tells sets with the same pictures apart.
  static Images random(Index count, std::uint64_t seed, std::uint64_t stream);

  Index count() const override { return static_cast<Index>(labels_.size()); }
  Index height() const { return height_; }
  Index width() const { return width_; }
  Index features() const override { return height_ * width_; }
  /// Ten, or more where a label asks for it.
  int classes() const override { return classes_; }
  int label(Index sample, Index = 0) const override {
    return labels_[static_cast<std::size_t>(sample)];
  }
  /// Mean and deviation over all pixels of the set.
  Normalisation normalisation() const override;

  /// From here on the pixels of an image come in another order, by the seed alone: the same for
  /// training and test images, behind all changes of the image. 0: in rows.
  void permute(std::uint64_t seed);

  /// Gives the root's sizes and labels to all ranks. Collective.
  void broadcast_labels(const parallel::Communicator& comm);
  /// Gives the root's pixels to all ranks that need them. Collective; behind broadcast_labels().
  void broadcast_pixels(const parallel::Communicator& comm);
  /// Pixels for the ranks that are first in depth.
  void distribute(const parallel::ProcessGrid& grid) override;

  /// Features are (pixel / 255 - mean) / deviation.
  void fill(const Index* samples, Index epoch, const Normalisation& normalisation,
            const Augmentation& augmentation, State out) const override;

 private:
  Index height_ = 0;
  Index width_ = 0;
  int classes_ = 0;
  std::vector<unsigned char> pixels_;
  std::vector<unsigned char> labels_;
  std::vector<Index> places_;  ///< [pixels]: where each of them goes; empty: where it is
};

}  // namespace deeppcr::train
