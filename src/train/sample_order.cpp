#include "deeppcr/train/sample_order.hpp"

#include <algorithm>
#include <numeric>

#include "deeppcr/core/error.hpp"
#include "deeppcr/parallel/block_layout.hpp"
#include "train/random_order.hpp"

namespace deeppcr::train {

namespace {
using parallel::BlockLayout;

constexpr std::uint64_t kOrderStream = 0x6f726465;  // "orde"
constexpr std::uint64_t kShardStream = 0x73686172;  // "shar", and on by data rank
}  // namespace

SampleOrder::SampleOrder(Index samples, Index batch, std::uint64_t seed, const Shards& shards)
    : samples_(samples), batch_(batch), seed_(seed), shards_(shards.ranks) {
  if (batch < 1 || batch > samples)
    throw input_error("a batch of {} out of {} samples is not possible: use 1 to {}", batch,
                      samples, samples);
  batches_ = samples / batch;
  if (shards_ == 1) return;
  DEEPPCR_ASSERT(static_cast<Index>(shards.classes.size()) == samples,
                 "classes of {} samples of {}", shards.classes.size(), samples);
  if (batch < shards_)
    throw input_error("a batch of {} cannot be split over {} data ranks", batch, shards_);
  by_class_.resize(static_cast<std::size_t>(samples));
  std::iota(by_class_.begin(), by_class_.end(), Index{0});
  const auto class_of = [&](Index s) { return shards.classes[static_cast<std::size_t>(s)]; };
  std::stable_sort(by_class_.begin(), by_class_.end(),
                   [&](Index a, Index b) { return class_of(a) < class_of(b); });
  const auto parts = BlockLayout::balanced(samples, shards_);
  const auto shares = BlockLayout::balanced(batch, shards_);
  for (int r = 0; r < shards_; ++r)
    batches_ = std::min(batches_, parts.range(r).size() / shares.range(r).size());
  if (batches_ == 0)
    throw input_error(
        "a batch of {} takes more samples of a data rank than its shard has, {} in {} shards; use "
        "a smaller --batch or more --samples",
        batch, samples, shards_);
}

//     shards  0: a b c d  1: e f g h;  batches of 4:  c a g h | d b e f
void SampleOrder::deal_shards(Index epoch) {
  const auto parts = BlockLayout::balanced(samples_, shards_);
  const auto shares = BlockLayout::balanced(batch_, shards_);
  order_.resize(static_cast<std::size_t>(batches_ * batch_));
  for (int r = 0; r < shards_; ++r) {
    const StepRange part = parts.range(r), share = shares.range(r);
    const std::uint64_t stream = (kShardStream + static_cast<std::uint64_t>(r)) << 32;
    const std::vector<Index> own =
        random_order(part.size(), RandomStream(seed_, stream + static_cast<std::uint64_t>(epoch)));
    for (Index i = 0; i < batches_ * share.size(); ++i) {
      const Index at = i / share.size() * batch_ + share.first + i % share.size();
      const Index sample = part.first + own[static_cast<std::size_t>(i)];
      order_[static_cast<std::size_t>(at)] = by_class_[static_cast<std::size_t>(sample)];
    }
  }
}

const Index* SampleOrder::batch(Index step) {
  const Index epoch = epoch_of(step);
  if (epoch != epoch_ && shards_ > 1) {
    deal_shards(epoch);
  } else if (epoch != epoch_) {
    order_ = random_order(
        samples_, RandomStream(seed_, (kOrderStream << 32) + static_cast<std::uint64_t>(epoch)));
  }
  epoch_ = epoch;
  return order_.data() + (step - epoch * batches_per_epoch()) * batch_;
}

}  // namespace deeppcr::train
