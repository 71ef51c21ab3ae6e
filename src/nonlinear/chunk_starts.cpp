#include "nonlinear/chunk_starts.hpp"

#include <algorithm>

#include "deeppcr/parallel/exchange.hpp"

namespace deeppcr::nonlinear {

ChunkStarts::ChunkStarts(const sequence::Trajectory& states, const Chunks& chunks,
                         ChunkSweep& sweep)
    : comm_(states.comm()),
      sweep_(sweep),
      own_(chunks.of_rank(comm_.rank())),
      num_chunks_(chunks.size()),
      last_rank_(chunks.owners().num_active_ranks() - 1),
      state_(states.batch() * states.width()),
      shape_{own_.size(), states.batch(), states.width()},
      used_(own_.size() * state_),
      next_(used_.size()),
      mismatch_(used_.size()),
      incoming_(state_),
      sizes_(static_cast<std::size_t>(own_.size()), 0.0),
      changed_(sizes_.size(), false) {
  for (Index i = 0; i < own_.size(); ++i)
    std::copy_n(sweep_.end(i).data(), state_, used_.data() + i * state_);
}

// rank 0 [chunks ..] --last--> rank 1 [chunks ..] --last--> rank 2 ..
void ChunkStarts::exchange(const Real* last, parallel::Traffic& traffic) {
  parallel::halo(comm_, 0, last_rank_, Direction::forward, last, incoming_.data(), state_, traffic);
}

void ChunkStarts::exchange_guess(parallel::Traffic& traffic) {
  exchange(last_state(used()), traffic);
  if (own_.first > 0 && !own_.empty())
    std::copy(incoming_.begin(), incoming_.end(), sweep_.start(0).begin());
}

const std::vector<double>& ChunkStarts::measure() {
  for (Index i = 0; i < own_.size(); ++i) {
    const bool last = own_.first + i + 1 == num_chunks_;
    Real* r = mismatch_.data() + i * state_;
    const Real *used = used_.data() + i * state_, *end = sweep_.end(i).data();
    for (Index j = 0; j < state_; ++j) r[j] = last ? 0.0 : end[j] - used[j];
    sizes_[static_cast<std::size_t>(i)] = largest(state_, r);
  }
  return sizes_;
}

void ChunkStarts::propose(ChunkCoupling* coupling, Index exact_chunks) {
  if (coupling != nullptr) {
    coupling->solve({mismatch_.data(), shape_}, next(), exact_chunks);
  } else {
    std::fill(next_.begin(), next_.end(), 0.0);
  }
  for (Index i = 0; i < own_.size(); ++i) {
    Real* next = next_.data() + i * state_;
    const Real* end = sweep_.end(i).data();
    for (Index j = 0; j < state_; ++j) next[j] += end[j];
  }
}

void ChunkStarts::take(Index i, const Real* start) {
  if (sweep_.same(start, sweep_.start(i).data())) return;
  sweep_.restart(i, start);
  changed_[static_cast<std::size_t>(i)] = true;
}

// Both sides of a boundary compare with the start used before, and so agree on whether it changes.
double ChunkStarts::send(parallel::Traffic& traffic) {
  exchange(last_state(next()), traffic);
  double change = 0;
  std::fill(changed_.begin(), changed_.end(), false);
  if (own_.empty()) return change;
  if (own_.first > 0) take(0, incoming_.data());
  for (Index i = 0; i < own_.size() && own_.first + i + 1 < num_chunks_; ++i) {
    const Real* next = next_.data() + i * state_;
    Real* used = used_.data() + i * state_;
    if (i + 1 < own_.size()) take(i + 1, next);
    if (sweep_.same(next, used)) continue;
    change = std::max(change, largest_difference(state_, next, used));
    std::copy_n(next, state_, used);
  }
  return change;
}

const Real* ChunkStarts::receive_end(parallel::Traffic& traffic) {
  exchange(own_.empty() ? nullptr : sweep_.end(own_.size() - 1).data(), traffic);
  return own_.first > 0 ? incoming_.data() : nullptr;
}

}  // namespace deeppcr::nonlinear
