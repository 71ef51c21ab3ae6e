#include "train/feed.hpp"

#include <algorithm>

#include "deeppcr/core/error.hpp"

namespace deeppcr::train {

namespace {

void check_features(const sequence::Sequence& sequence, Index features) {
  const Index taken = sequence.num_steps() * sequence.input_width();
  if (sequence.input_width() == 0 || taken >= features) return;
  throw input_error(
      "{} steps with {} inputs each take {} features, but a sample has {}; use more steps",
      sequence.num_steps(), sequence.input_width(), taken, features);
}

}  // namespace

Feed::Feed(const parallel::ProcessGrid& grid, const sequence::Sequence& sequence,
           const StepSet& local, Index batch, const Examples& examples,
           const Normalisation& normalisation)
    : grid_(grid),
      sequence_(sequence),
      local_(local),
      batch_(batch),
      numbers_(examples.features()),
      everywhere_(examples.everywhere()),
      is_first_(grid.depth().rank() == 0),
      inputs_(local.size() * batch * sequence.input_width()),
      normalisation_(2 * examples.channels()) {
  check_features(sequence, numbers_);
  features_.emplace_back(takes_inputs() || is_first_ ? batch * numbers_ : 0);
  if (takes_inputs() && examples.has_lengths())
    lengths_.assign(static_cast<std::size_t>(batch), sequence.num_steps());
  const bool fits = static_cast<Index>(normalisation.mean.size()) == examples.channels();
  for (Index c = 0; c < examples.channels(); ++c) {
    const std::size_t k = fits ? static_cast<std::size_t>(c) : 0;
    normalisation_[c] = normalisation.mean[k];
    normalisation_[examples.channels() + c] = normalisation.deviation[k];
  }
}

sequence::Inputs Feed::inputs() const {
  const ConstStates values(inputs_.data(), {local_.size(), batch_, sequence_.input_width()});
  return {local_, values, 0, lengths()};
}

Normalisation Feed::known() const {
  const Real *mean = normalisation_.data(), *deviation = mean + normalisation_.size() / 2;
  return {{mean, deviation}, {deviation, mean + normalisation_.size()}};
}

State Feed::fill(const Drawn& drawn, StepRange part) {
  while (features_.size() <= drawn.place) features_.emplace_back(batch_ * numbers_);
  const State x(features_[drawn.place].data(), {batch_, numbers_});
  const State own = x.slice(part.first, part.last);
  drawn.examples.fill(drawn.samples + part.first, drawn.epoch, known(), drawn.augmentation, own);
  return own;
}

void Feed::deal(const Drawn& drawn) {
  const Examples& examples = drawn.examples;
  DEEPPCR_ASSERT(examples.features() == numbers_ && (lengths() || !examples.has_lengths()),
                 "{} features a sample for {}, {} lengths", examples.features(), numbers_,
                 lengths() ? "with" : "without");
  if (everywhere_ || is_first_) fill(drawn, {0, batch_});
  if (grid_.depth().size() > 1 && !everywhere_)
    grid_.depth().broadcast(features_[drawn.place].data(), batch_ * numbers_, 0);
  sequence::deal_features(features(drawn), local_,
                          {inputs_.data(), {local_.size(), batch_, sequence_.input_width()}});
  for (std::size_t b = 0; b < lengths_.size(); ++b) lengths_[b] = examples.length(drawn.samples[b]);
}

StoredArray Feed::normalisation() {
  StoredArray array{
      "normalisation",       1,
      normalisation_.size(), StepRange{0, 1},
      normalisation_.data(), "mean, then deviation that features are normalised with"};
  array.shared = true;  // where all ranks have the features, each of them normalises them
  return array;
}

}  // namespace deeppcr::train
