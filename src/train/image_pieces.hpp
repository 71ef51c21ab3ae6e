#pragma once

#include <algorithm>
#include <numeric>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/train/images.hpp"

namespace deeppcr::train {

constexpr Index kPiece = 1000;  ///< samples at a time

/// Calls body(samples [count], first, count) for the numbers of a range.
template <typename Body>
void in_pieces(StepRange range, Body&& body) {
  std::vector<Index> samples(static_cast<std::size_t>(kPiece));
  for (Index first = range.first; first < range.last; first += kPiece) {
    const Index count = std::min(kPiece, range.last - first);
    std::iota(samples.begin(), samples.end(), first);
    body(samples.data(), first, count);
  }
}

/// Calls body(first, pixels [count, features]) for the images of a range, as they are.
template <typename Body>
void in_pieces(const Images& images, StepRange range, Body&& body) {
  Buffer<Real> pixels(std::min(kPiece, range.size()) * images.features());
  in_pieces(range, [&](const Index* samples, Index first, Index count) {
    const State view(pixels.data(), {count, images.features()});
    images.fill(samples, 0, {}, {}, view);
    body(first, ConstState(view));
  });
}

}  // namespace deeppcr::train
