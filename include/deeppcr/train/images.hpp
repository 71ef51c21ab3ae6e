#pragma once

#include <cstdint>
#include <vector>

#include "deeppcr/core/types.hpp"
#include "deeppcr/core/view.hpp"
#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::train {

/// Features are (pixel / 255 - mean) / deviation.
struct Normalisation {
  Real mean = 0;
  Real deviation = 1;
};

/// Random changes of the images of an epoch, by (seed, epoch, sample).
struct Augmentation {
  Index shift = 0;    ///< up to so many pixels up, down, left, right; what comes in is 0
  bool flip = false;  ///< left and right, every second image
  std::uint64_t seed = 0;
};

/// A labelled set of images, kept as bytes: an eighth of what their features take.
class Images {
 public:
  Images() = default;
  /// Shapes: pixels [count, height, width], labels [count].
  Images(Index height, Index width, std::vector<unsigned char> pixels,
         std::vector<unsigned char> labels);
  /// Noise around ten random pictures of 8 x 8 pixels: something to learn where there are no data.
  /// `stream` tells sets with the same pictures apart.
  static Images random(Index count, std::uint64_t seed, std::uint64_t stream);

  Index count() const { return static_cast<Index>(labels_.size()); }
  Index height() const { return height_; }
  Index width() const { return width_; }
  Index features() const { return height_ * width_; }
  /// Ten, or more where a label asks for it.
  int classes() const { return classes_; }
  int label(Index sample) const { return labels_[static_cast<std::size_t>(sample)]; }
  /// Mean and deviation over all pixels of the set.
  Normalisation normalisation() const;

  /// Gives the root's sizes and labels to all ranks. Collective.
  void broadcast_labels(const parallel::Communicator& comm);
  /// Gives the root's pixels to all ranks that need them. Collective; behind broadcast_labels().
  void broadcast_pixels(const parallel::Communicator& comm);

  /// Shapes: samples [count], out [count, features].
  void fill(const Index* samples, Index epoch, const Normalisation& normalisation,
            const Augmentation& augmentation, State out) const;

 private:
  Index height_ = 0;
  Index width_ = 0;
  int classes_ = 0;
  std::vector<unsigned char> pixels_;
  std::vector<unsigned char> labels_;
};

}  // namespace deeppcr::train
