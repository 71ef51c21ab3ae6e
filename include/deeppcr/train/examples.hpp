#pragma once

#include <cstdint>
#include <vector>

#include "deeppcr/core/types.hpp"
#include "deeppcr/core/view.hpp"
#include "deeppcr/parallel/process_grid.hpp"

namespace deeppcr::train {

/// A number v of channel c becomes (v - mean[c]) / deviation[c].
struct Normalisation {
  std::vector<Real> mean{0};
  std::vector<Real> deviation{1};
};

/// Random changes of the images of an epoch, by (seed, epoch, sample).
struct Augmentation {
  Index shift = 0;    ///< up to so many pixels up, down, left, right; what comes in is 0
  bool flip = false;  ///< left and right, every second image
  std::uint64_t seed = 0;
};

/// Samples to learn from or to be scored with: their features, and what is known of them. Counts,
/// labels, lengths and targets are on all ranks.
class Examples {
 public:
  virtual ~Examples() = default;

  virtual Index count() const = 0;
  /// Numbers of a sample; of a sequence its steps one after another.
  virtual Index features() const = 0;
  /// Neighbouring numbers that are normalised each in its own way: those of a step of a sequence.
  /// Default: all numbers are alike.
  virtual Index channels() const { return 1; }
  /// Mean and deviation over all samples. @pre the features are here
  virtual Normalisation normalisation() const = 0;
  /// Gives the features to the ranks that need them: those which are first in depth, or all.
  /// Collective.
  virtual void distribute(const parallel::ProcessGrid& grid) = 0;
  /// Whether all ranks have the features then.
  virtual bool everywhere() const { return false; }
  /// Shapes: samples [count], out [count, features]. @pre the features are here
  virtual void fill(const Index* samples, Index epoch, const Normalisation& normalisation,
                    const Augmentation& augmentation, State out) const = 0;

  /// Classes that the labels ask for; 0: there are no labels.
  virtual int classes() const = 0;
  /// Whether each step has a label of its own. Default: the sample has one.
  virtual bool labels_each() const { return false; }
  virtual int label(Index sample, Index step = 0) const = 0;
  /// Of two classes, the part of the samples that is of class 1. Default: not known, 0.
  virtual double positive_share() const { return 0; }
  /// Whether samples end early, and the steps that one has. Default: all have all.
  virtual bool has_lengths() const { return false; }
  virtual Index length(Index) const { return features() / channels(); }
  /// Numbers that states are compared with at each step, null behind a sample's end. Default: none.
  virtual int target_width() const { return 0; }
  virtual const Real* target(Index, Index) const { return nullptr; }
};

}  // namespace deeppcr::train
