#include "deeppcr/train/sequences.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "deeppcr/core/error.hpp"

namespace deeppcr::train {

namespace {

/// Of the steps that samples have: behind their ends labels mean nothing.
int classes_of(const Sequences::Content& content) {
  Index largest = -1;
  const auto rows = content.labels_each ? content.steps : std::min<Index>(1, content.samples);
  for (Index l = 0; l < rows && !content.labels.empty(); ++l) {
    for (Index b = 0; b < content.samples; ++b) {
      const auto k = static_cast<std::size_t>(b);
      const bool there = content.lengths.empty() || !content.labels_each || l < content.lengths[k];
      if (there)
        largest =
            std::max(largest, content.labels[static_cast<std::size_t>(l * content.samples) + k]);
    }
  }
  return static_cast<int>(largest + 1);
}

}  // namespace

Sequences::Sequences(std::shared_ptr<const Content> content, Index first, Index last)
    : content_(std::move(content)), first_(first), last_(last), classes_(classes_of(*content_)) {
  DEEPPCR_ASSERT(0 <= first && first < last && last <= content_->samples, "samples {} to {} of {}",
                 first, last, content_->samples);
}

Index Sequences::length(Index sample) const {
  const auto b = static_cast<std::size_t>(first_ + sample);
  return content_->lengths.empty() ? content_->steps : content_->lengths[b];
}

int Sequences::label(Index sample, Index step) const {
  const Index row = content_->labels_each ? step * content_->samples : 0;
  return static_cast<int>(content_->labels[static_cast<std::size_t>(row + first_ + sample)]);
}

const Real* Sequences::target(Index sample, Index step) const {
  if (content_->target_width == 0 || step >= length(sample)) return nullptr;
  const Index row = step * content_->samples + first_ + sample;
  return content_->targets.data() + row * content_->target_width;
}

/// A feature that varies by no more of its largest value varies by rounding.
constexpr Real kRounding = 1e-12;

Normalisation Sequences::normalisation() const {
  const Index d = content_->features;
  const auto width = static_cast<std::size_t>(d);
  constexpr Real kInfinity = std::numeric_limits<Real>::infinity();
  std::vector<Real> sums(width), squares(width), least(width, kInfinity), most(width, -kInfinity);
  Index steps = 0;
  for (Index b = 0; b < count(); ++b) steps += length(b);
  const auto each = [&](auto&& visit) {
    for (Index b = 0; b < count(); ++b)
      for (Index l = 0; l < length(b); ++l)
        for (Index k = 0; k < d; ++k)
          visit(static_cast<std::size_t>(k),
                content_->inputs[(l * content_->samples + first_ + b) * d + k]);
  };
  // the mean first: a small deviation from a large mean keeps its digits
  each([&](std::size_t k, Real value) {
    sums[k] += value;
    least[k] = std::min(least[k], value);
    most[k] = std::max(most[k], value);
  });
  Normalisation found{sums, std::vector<Real>(width, 1)};
  for (std::size_t k = 0; k < width && steps > 0; ++k)  // a rounded mean may be outside
    found.mean[k] = std::clamp(sums[k] / static_cast<Real>(steps), least[k], most[k]);
  each([&](std::size_t k, Real value) {
    squares[k] += (value - found.mean[k]) * (value - found.mean[k]);
  });
  for (std::size_t k = 0; k < width; ++k) {
    const Real deviation = std::sqrt(squares[k] / static_cast<Real>(std::max<Index>(steps, 1)));
    if (deviation > kRounding * std::max(std::abs(least[k]), std::abs(most[k])))
      found.deviation[k] = deviation;
  }
  return found;
}

void Sequences::fill(const Index* samples, Index, const Normalisation& normalisation,
                     const Augmentation&, State out) const {
  const Index d = content_->features;
  for (Index b = 0; b < out.extent(0); ++b) {
    Real* row = out[b].data();
    const Index steps = length(samples[b]);
    for (Index l = 0; l < steps; ++l) {
      const Real* x = content_->inputs.data() + (l * content_->samples + first_ + samples[b]) * d;
      for (Index k = 0; k < d; ++k) {
        const auto c = static_cast<std::size_t>(k);
        row[l * d + k] = (x[k] - normalisation.mean[c]) / normalisation.deviation[c];
      }
    }
    std::fill(row + steps * d, row + content_->steps * d, Real{0});
  }
}

}  // namespace deeppcr::train
