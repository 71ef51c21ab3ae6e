#include "linear/chunk_walk.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "deeppcr/core/random.hpp"

namespace deeppcr::linear {

namespace {

constexpr Index kBlock = Chunk::kBlock;

/// Each sample of x [B, n] by itself; the log of the longest of them.
double normalise_samples(Index batch, Index n, Real* x, const Real* fresh) {
  double most = std::log(std::numeric_limits<double>::min());
  for (Index b = 0; b < batch; ++b) most = std::max(most, normalise(n, x + b * n, fresh + b * n));
  return most;
}

}  // namespace

ChunkWalk::ChunkWalk(const blocks::BlockBidiagonal& J, const Chunks& chunks, Direction direction)
    : A_(J.local_range().empty() ? nullptr : &J.linearisation()),
      local_(J.local_range()),
      direction_(direction),
      batch_(J.batch()),
      width_(J.width()),
      state_(batch_ * width_),
      carry_(state_),
      scratch_(state_),
      old_(state_) {
  constexpr std::uint64_t kStream = 0x636f7461;  // "cota"
  const StepRange mine = chunks.of_rank(J.comm().rank());
  for (Index i = 0; i < mine.size(); ++i) {
    const Index c = direction == Direction::forward ? mine.first + i : mine.last - 1 - i;
    chunks_.emplace_back();
    chunks_.back().steps = chunks.steps(c);
  }
  in_.reset(mine.size() * state_);
  out_.reset(mine.size() * state_);
  tangents_.reset(mine.size() * state_);
  first_tangents_.reset(state_);
  RandomStream(0, kStream).normal(0, state_, first_tangents_.data());
  normalise_samples(batch_, width_, first_tangents_.data(), first_tangents_.data());
  for (Index i = 0; i < mine.size(); ++i)
    std::copy_n(first_tangents_.data(), state_, tangents_.data() + i * state_);
}

StepRange ChunkWalk::part(const Chunk& c, Index from, Index to) const {
  if (direction_ == Direction::forward) return {c.steps.first + from, c.steps.first + to};
  return {c.steps.last - to, c.steps.last - from};
}

void ChunkWalk::substitute(StepRange range, ConstStates rhs, States result, Real* carry) const {
  const Index first = range.first - local_.first, last = range.last - local_.first;
  const State at(carry, {batch_, width_});
  A_->substitute(range, direction_, blocks::rows_at(rhs, local_.size(), first, last),
                 result.slice(first, last), at);
}

void ChunkWalk::first(Index k, ConstStates rhs, States result) {
  Chunk& c = (*this)[k];
  const State leaves = leaving(k);
  std::fill(leaves.begin(), leaves.end(), 0.0);
  c.done = c.steps.size();
  if (rhs.extent(0) == 0) {
    blocks::skip(*A_, c.steps, direction_,
                 result.slice(c.steps.first - local_.first, c.steps.last - local_.first));
    return;
  }
  substitute(c.steps, rhs, result, leaves.data());
  c.swept = c.steps.size();
  for (Index at = 0; at < c.steps.size(); at += kBlock) {
    const StepRange step = part(c, at, at + 1);
    c.scale = std::max(c.scale, largest(state_, result[step.first - local_.first].data()));
  }
}

// old values  |--------------------------------------|
// new values  |=====block=====block===|  within `merge` of the old ones: those stay
void ChunkWalk::again(Index k, ConstStates rhs, States result, double merge) {
  Chunk& c = (*this)[k];
  const State enters = entering(k), leaves = leaving(k);
  std::copy(enters.begin(), enters.end(), carry_.data());
  for (Index from = 0; from < c.steps.size(); from += kBlock) {
    const Index to = std::min(from + kBlock, c.steps.size());
    const StepRange range = part(c, from, to);
    const Index last = direction_ == Direction::forward ? range.last - 1 : range.first;
    Real* end = result[last - local_.first].data();
    std::copy_n(end, state_, old_.data());
    substitute(range, rhs, result, carry_.data());
    c.swept += to - from;
    const double size = largest_difference(state_, end, old_.data());
    if (!(size <= merge)) continue;
    std::copy_n(old_.data(), state_, end);
    c.merged(from / kBlock, size);
    return;
  }
  c.seams.clear();
  std::copy_n(carry_.data(), state_, leaves.data());
}

void ChunkWalk::push(StepRange range, Buffer<Real>& from, Buffer<Real>& to) const {
  const std::array<Index, 3> shape{batch_, 1, width_};
  for (Index i = 0; i < range.size(); ++i) {
    const Index l = direction_ == Direction::forward ? range.first + i : range.last - 1 - i;
    A_->product(l, direction_, ConstPanel(from.data(), shape), Panel(to.data(), shape));
    from.swap(to);
  }
}

void ChunkWalk::push_tangents(Index k, Index steps) {
  Chunk& c = (*this)[k];
  const Index until = std::min(steps, c.steps.size());
  Index from = static_cast<Index>(c.growth.size()) * kBlock;
  if (from >= until) return;
  Real* tangents = tangents_.data() + k * state_;
  std::copy_n(tangents, state_, carry_.data());
  for (; from < until; from += kBlock) {
    push(part(c, from, std::min(from + kBlock, until)), carry_, scratch_);
    const double grown = normalise_samples(batch_, width_, carry_.data(), first_tangents_.data());
    c.growth.push_back((c.growth.empty() ? 0.0 : c.growth.back()) + grown);
  }
  std::copy_n(carry_.data(), state_, tangents);
  c.note_drift(batch_, width_, tangents, first_tangents_.data());
}

void ChunkWalk::homogeneous(Index k, const Real* x, Real* y) const {
  std::copy_n(x, state_, carry_.data());
  push((*this)[k].steps, carry_, scratch_);
  std::copy_n(carry_.data(), state_, y);
}

}  // namespace deeppcr::linear
