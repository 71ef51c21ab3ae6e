#pragma once

#include <cstddef>
#include <deque>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/parallel/process_grid.hpp"
#include "deeppcr/sequence/sequence.hpp"
#include "deeppcr/train/examples.hpp"
#include "deeppcr/train/trainable.hpp"

namespace deeppcr::train {

/// Samples of a batch on this rank, and what they are of.
struct Drawn {
  const Examples& examples;
  const Index* samples;
  Index epoch;
  const Augmentation& augmentation;
  Index judged = 1;  ///< samples of the whole batch that the loss judges: it is a mean over those
  std::size_t place =
      0;  ///< of batches that are open at once: its features have memory of their own
};

/// Features of a batch for a chain: for its embedding, or as inputs of its steps with the length of
/// each sample. Their memory and normalisation stay the same for all batches.
class Feed {
 public:
  /// For batches of so many samples of such examples, on a rank with the `local` steps. Grid and
  /// sequence must outlive the object. @throws Error where steps take fewer features than there are
  Feed(const parallel::ProcessGrid& grid, const sequence::Sequence& sequence, const StepSet& local,
       Index batch, const Examples& examples, const Normalisation& normalisation);

  bool takes_inputs() const { return sequence_.input_width() > 0; }
  /// Those of the local steps, in memory that deal() fills.
  sequence::Inputs inputs() const;
  /// Steps that each sample has, [B]; null where those of these examples have all.
  const Index* lengths() const { return lengths_.empty() ? nullptr : lengths_.data(); }
  /// Features of the samples `part` of the batch, [b, features]. @pre they are on this rank
  State fill(const Drawn& drawn, StepRange part);
  /// What fill() has filled last for that place, [B, features].
  ConstState features(const Drawn& drawn) const {
    return {features_.at(drawn.place).data(), {batch_, numbers_}};
  }
  /// Gives inputs and lengths of a batch to all ranks in depth. Collective along it.
  void deal(const Drawn& drawn);

  Normalisation known() const;
  /// Mean, then deviation of each channel; with the first rank in depth.
  StoredArray normalisation();

 private:
  const parallel::ProcessGrid& grid_;
  const sequence::Sequence& sequence_;
  StepSet local_;
  Index batch_, numbers_;              ///< samples; features of each
  bool everywhere_, is_first_;         ///< features are on all ranks; first in depth
  std::deque<Buffer<Real>> features_;  ///< [B, features] by place
  Buffer<Real> inputs_;                ///< of the local steps, [L_local, B, d]
  std::vector<Index> lengths_;         ///< [B], or empty
  Buffer<Real> normalisation_;
};

}  // namespace deeppcr::train
