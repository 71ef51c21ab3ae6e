#include "nonlinear/chunk_sweep.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "deeppcr/core/random.hpp"

namespace deeppcr::nonlinear {

ChunkSweep::ChunkSweep(const sequence::Sequence& sequence, sequence::Trajectory& trajectory,
                       const Chunks& chunks, double merge)
    : sequence_(sequence),
      trajectory_(trajectory),
      batch_(trajectory.batch()),
      width_(trajectory.width()),
      merge_(merge),
      starts_(chunks.of_rank(trajectory.comm().rank()).size() * batch_ * width_),
      tangents_(chunks.of_rank(trajectory.comm().rank()).size() * width_),
      first_tangent_(width_),
      old_(batch_ * width_) {
  constexpr std::uint64_t kStream = 0x74616e67;  // "tang"
  RandomStream(0, kStream).uniform(0, width_, first_tangent_.data());
  for (Real& value : first_tangent_) value -= 0.5;
  normalise(width_, first_tangent_.data(), first_tangent_.data());
  const StepRange mine = chunks.of_rank(trajectory.comm().rank());
  for (Index c = mine.first; c < mine.last; ++c) {
    const Index i = c - mine.first;
    chunks_.emplace_back();
    samples_.push_back(0);
    chunks_.back().steps = chunks.steps(c);
    std::copy_n(first_tangent_.data(), width_, tangents_.data() + i * width_);
    const Real* start = i > 0 ? state_after(chunks_.back(), -1) : trajectory.input().data();
    std::copy_n(start, state_size(), starts_.data() + i * state_size());
  }
}

State ChunkSweep::start(Index i) { return {starts_.data() + i * state_size(), {batch_, width_}}; }

/// Behind step `step` of a chunk, counted from its beginning.
Real* ChunkSweep::state_after(const Chunk& c, Index step) const {
  const Index row = c.steps.first + step - trajectory_.local_range().first;
  return trajectory_.states().data() + row * state_size();
}

ConstState ChunkSweep::end(Index i) const {
  const Chunk& c = (*this)[i];
  return {state_after(c, c.steps.size() - 1), {batch_, width_}};
}

ConstState ChunkSweep::before(Index i, Index at) {
  return at == 0 ? ConstState(start(i))
                 : ConstState(state_after(chunk(i), at - 1), {batch_, width_});
}

bool ChunkSweep::same(const Real* a, const Real* old) const {
  for (Index b = 0; b < batch_; ++b, a += width_, old += width_) {
    const double size = largest(width_, old);
    if (!(largest_difference(width_, a, old) <= merge_ * size) || !std::isfinite(size))
      return false;
  }
  return true;
}

/// Evaluates one block, with the tangent where asked for, which is scaled to length one behind it;
/// log of what it has grown by.
double ChunkSweep::evaluate(Index i, Index from, Index to, bool with_tangent) {
  Chunk& c = chunk(i);
  Real* tangent = tangents_.data() + i * width_;
  const StepRange steps{c.steps.first + from, c.steps.first + to};
  const States out(state_after(c, from), {to - from, batch_, width_});
  if (with_tangent) {
    sequence_.propagate_with_tangent(steps, before(i, from), out,
                                     samples_[static_cast<std::size_t>(i)], {tangent, {width_}});
  } else {
    sequence_.propagate(steps, before(i, from), out);
  }
  c.swept += to - from;
  // At once: later it would have left the cache.
  c.scale = std::max(c.scale, largest(state_size(), state_after(c, to - 1)));
  if (!with_tangent) return 0;
  return normalise(width_, tangent, first_tangent_.data());
}

void ChunkSweep::advance(Index i, Index steps, bool with_tangent) {
  Chunk& c = chunk(i);
  const Index until = std::min(steps, c.steps.size()), from = c.done;
  if (from >= until) return;
  for (Index at = from; at < until;) {
    const Index to = std::min(at + kBlock, until);
    const double grown = evaluate(i, at, to, with_tangent);
    if (with_tangent) c.growth.push_back(grown + (c.growth.empty() ? 0.0 : c.growth.back()));
    at = to;
  }
  if (with_tangent) c.note_drift(1, width_, &tangents_[i * width_], first_tangent_.data());
  c.done = until;
}

void ChunkSweep::rest() {
  for (Chunk& c : chunks_) c.swept = 0;
}

void ChunkSweep::restart(Index i, const Real* start) {
  Index& sample = samples_[static_cast<std::size_t>(i)];
  Real* old = this->start(i).data();
  // Of the sample that changes most.
  double most = 0;
  for (Index b = 0; b < batch_; ++b) {
    const double change = largest_difference(width_, start + b * width_, old + b * width_);
    if (change > most) sample = b;
    most = std::max(most, change);
  }
  Real* tangent = tangents_.data() + i * width_;
  const Index offset = sample * width_;
  for (Index j = 0; j < width_; ++j) tangent[j] = start[offset + j] - old[offset + j];
  normalise(width_, tangent, first_tangent_.data());
  std::copy_n(start, state_size(), old);
}

// old states  |--------------------------------------|
// new states  |=====block=====block===|  within `merge` of the old one: the old ones stay
void ChunkSweep::again(Index i) {
  Chunk& c = chunk(i);
  const Index known = c.steps.size();
  const bool measured = !c.growth.empty();
  const double scale_before = std::exchange(c.scale, 0.0);
  double grown = 0, correction = 0;  // logs; what growth behind the last block has changed by
  std::size_t block = 0;
  for (Index from = 0; from < known; ++block) {
    const Index to = std::min(from + kBlock, known);
    Real* last = state_after(c, to - 1);
    std::copy_n(last, state_size(), old_.data());
    grown += evaluate(i, from, to, measured);
    if (measured) correction = grown - std::exchange(c.growth[block], grown);
    if (same(last, old_.data())) {
      c.merged(from / kBlock, largest_difference(state_size(), last, old_.data()));
      std::copy_n(old_.data(), state_size(), last);
      c.scale = std::max(c.scale, scale_before);
      break;
    }
    from = to;
    if (from == known) c.seams.clear();
  }
  for (++block; measured && block < c.growth.size(); ++block) c.growth[block] += correction;
}

}  // namespace deeppcr::nonlinear
