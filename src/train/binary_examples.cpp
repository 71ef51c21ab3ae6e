#include "deeppcr/train/binary_examples.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "deeppcr/core/error.hpp"
#include "train/random_order.hpp"

namespace deeppcr::train {
namespace {

constexpr std::uint64_t kThinStream = 0x7468696e;  // "thin"

std::vector<bool> class_table(const std::vector<int>& positives, int classes) {
  for (const int one : positives) classes = std::max(classes, one + 1);
  std::vector<bool> table(static_cast<std::size_t>(classes), false);
  for (const int one : positives) table[static_cast<std::size_t>(one)] = true;
  return table;
}

/// Positive samples that make such a share of themselves and the negative ones.
Index positives_for(double fraction, Index positives, Index negatives) {
  const auto total = static_cast<double>(positives + negatives);
  const double most = static_cast<double>(positives) / total;
  const double wanted = std::round(fraction * static_cast<double>(negatives) / (1 - fraction));
  if (!(fraction < 1) || wanted > static_cast<double>(positives) || wanted < 1)
    throw input_error(
        "--positive-fraction {}: {} of the {} training samples are positive; give a number up to "
        "{:.6g} that leaves one of them, or leave it out",
        fraction, positives, positives + negatives, most);
  return static_cast<Index>(wanted);
}

}  // namespace

BinaryExamples::BinaryExamples(std::unique_ptr<Examples> all, const std::vector<int>& positives,
                               double fraction, std::uint64_t seed)
    : all_(std::move(all)) {
  DEEPPCR_ASSERT(all_->classes() > 0 && !all_->labels_each(), "{} classes, labels of {}",
                 all_->classes(), all_->labels_each() ? "steps" : "samples");
  positive_ = class_table(positives, all_->classes());
  std::vector<Index> ours, others;
  for (Index i = 0; i < all_->count(); ++i) (is_positive(i) ? ours : others).push_back(i);
  const auto negatives = static_cast<Index>(others.size());
  if (fraction > 0) {
    const auto count = static_cast<Index>(ours.size());
    const std::vector<Index> order = random_order(count, RandomStream(seed, kThinStream));
    std::vector<Index> left;
    for (Index i = 0; i < positives_for(fraction, count, negatives); ++i)
      left.push_back(ours[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])]);
    ours = std::move(left);
  }
  kept_ = std::move(others);
  kept_.insert(kept_.end(), ours.begin(), ours.end());
  std::sort(kept_.begin(), kept_.end());
  share_ = static_cast<double>(ours.size()) /
           static_cast<double>(std::max<std::size_t>(1, kept_.size()));
}

void BinaryExamples::fill(const Index* samples, Index epoch, const Normalisation& normalisation,
                          const Augmentation& augmentation, State out) const {
  std::vector<Index> originals;
  for (Index b = 0; b < out.extent(0); ++b) originals.push_back(kept(samples[b]));
  all_->fill(originals.data(), epoch, normalisation, augmentation, out);
}

}  // namespace deeppcr::train
