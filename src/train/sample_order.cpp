#include <numeric>
#include <utility>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/random.hpp"
#include "deeppcr/train/trainer.hpp"

namespace deeppcr::train {

namespace {
constexpr std::uint64_t kOrderStream = 0x6f726465;  // "orde"
}

SampleOrder::SampleOrder(Index samples, Index batch, std::uint64_t seed)
    : samples_(samples), batch_(batch), seed_(seed) {
  if (batch < 1 || batch > samples)
    throw input_error("a batch of {} out of {} samples is not possible: use 1 to {}", batch,
                      samples, samples);
}

const Index* SampleOrder::batch(Index step) {
  const Index epoch = epoch_of(step);
  if (epoch != epoch_) permute(epoch);
  return order_.data() + (step - epoch * batches_per_epoch()) * batch_;
}

/// Fisher and Yates.
void SampleOrder::permute(Index epoch) {
  const RandomStream random(seed_, (kOrderStream << 32) + static_cast<std::uint64_t>(epoch));
  order_.resize(static_cast<std::size_t>(samples_));
  std::iota(order_.begin(), order_.end(), Index{0});
  for (Index i = samples_ - 1; i > 0; --i) {
    std::swap(order_[static_cast<std::size_t>(i)],
              order_[static_cast<std::size_t>(random.integer(i, i + 1))]);
  }
  epoch_ = epoch;
}

}  // namespace deeppcr::train
