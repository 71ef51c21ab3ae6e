#include "deeppcr/linear/hybrid.hpp"

#include <algorithm>
#include <limits>

#include "deeppcr/core/cache.hpp"
#include "deeppcr/parallel/exchange.hpp"

namespace deeppcr::linear {

namespace {
/// Fewer steps are not worth a map of their first piece.
constexpr Index kLeastInTwo = 8;
/// Wider forward steps come at the speed of memory (measured).
constexpr int kWidestForward = 8;
/// The first piece's share of a part: its elimination must end while the ranks before substitute.
constexpr double kNearShare = 0.3;
/// Its blocks at most: half of a core's own cache, so that they are still there for the
/// substitution.
constexpr Index kNearBytes = 512 * 1024;

/// Of the `active` steps, those of the rank that the last of two waits for; of more ranks the
/// middle ones take longer than any guess.
Index steps_ahead(const parallel::BlockLayout& layout, int ranks, int first_rank,
                  StepRange active) {
  if (ranks > 2) return std::numeric_limits<Index>::max();
  return intersect(layout.range(first_rank), active).size();
}
}  // namespace

void Hybrid::setup(const blocks::BlockBidiagonal& J) {
  const bool same = J_ != nullptr && chain_ != nullptr && inclusive_.batch() == J.batch() &&
                    inclusive_.width() == J.width();
  J_ = &J;
  if (same) return;
  chain_ = std::make_unique<LocalChain>(J.batch(), J.width());
  speculation_ = std::make_unique<Speculation>(J.batch(), J.width());
  for (blocks::AffineMap* map : {&inclusive_, &exclusive_, &received_, &scratch_, &near_map_})
    *map = blocks::AffineMap(J.batch(), J.width());
  for (Buffer<Real>* vector : {&carry_, &constant_in_, &constant_out_, &after_near_})
    vector->reset(J.batch() * J.width());
}

void Hybrid::solve(ConstStates r, States d) {
  const StepRange local = J_->local_range(), active = J_->active_range();
  const Index frozen = active.first - local.first;
  const States head = d.slice(0, frozen);
  std::fill(head.begin(), head.end(), 0.0);
  run({Direction::forward, active, r.slice(frozen, local.size()), d.slice(frozen, local.size())},
      J_->frozen());
}

void Hybrid::solve_transpose(ConstStates c, States g) {
  run({Direction::backward, J_->local_range(), c, g}, 0);
}

void Hybrid::run(const Part& part, Index first_row) {
  neighbours_ = {};
  levels_.clear();
  const parallel::BlockLayout& layout = J_->layout();
  if (first_row >= layout.num_steps()) return;
  const int rank = J_->comm().rank();
  Place place;
  place.direction = part.direction;
  place.first_rank = layout.owner(first_row);
  place.last_rank = layout.num_active_ranks() - 1;
  place.count = place.last_rank - place.first_rank + 1;
  place.position =
      part.direction == Direction::forward ? rank - place.first_rank : place.last_rank - rank;
  place.ahead =
      steps_ahead(layout, place.count,
                  part.direction == Direction::forward ? place.first_rank : place.last_rank,
                  {first_row, layout.num_steps()});
  levels_.resize(static_cast<std::size_t>(parallel::ceil_log2(place.count)));
  if (part.range.empty()) return;

  const bool first = place.position == 0, last = place.position == place.count - 1;
  Way way = Way::once;
  if (first) {
    std::fill(carry_.begin(), carry_.end(), 0.0);
    substitute(part, last ? Way::once : Way::awaited);
  } else {
    way = prepare(part, place);
  }
  {
    const StageTimer timer(stages_, "reduce");
    reduce(place);
  }
  if (!first) {
    substitute(part, way);
  } else if (!last) {
    const StageTimer timer(stages_, "substitute");
    LocalChain::catch_up(J_->linearisation(), part.direction, with(part, carry_));
  }
}

blocks::Strand Hybrid::with(const Part& part, Buffer<Real>& carry) const {
  return {part.range, part.rhs, part.result, State(carry.data(), {J_->batch(), J_->width()})};
}

Hybrid::Way Hybrid::prepare(const Part& part, const Place& place) {
  const bool last = place.position == place.count - 1;
  if (last) {
    const StageTimer timer(stages_, "substitute");
    if (speculation_->guess(J_->linearisation(), part.direction, with(part, carry_), place.ahead))
      return Way::again;
  }
  const bool in_two = part.range.size() >= kLeastInTwo && part.rhs.extent(0) == part.range.size() &&
                      LocalChain::overlaps(J_->linearisation()) &&
                      (part.direction == Direction::backward || J_->width() <= kWidestForward);
  eliminate(part, in_two, last);
  return in_two ? Way::in_two : Way::once;
}

std::pair<Hybrid::Part, Hybrid::Part> Hybrid::cut(const Part& part) {
  const Index m = part.range.size(), first = part.range.first;
  const auto piece = [&](Index from, Index to) -> Part {
    return {part.direction,
            {first + from, first + to},
            part.rhs.slice(from, to),
            part.result.slice(from, to)};
  };
  const Index batch = part.rhs.extent(1), n = part.rhs.extent(2);
  const Index kept = kNearBytes / (batch * n * n * static_cast<Index>(sizeof(Real)));
  const Index near = std::min(static_cast<Index>(kNearShare * static_cast<double>(m)), kept);
  if (part.direction == Direction::forward) return {piece(0, near), piece(near, m)};
  return {piece(m - near, m), piece(0, m - near)};
}

void Hybrid::eliminate(const Part& part, bool in_two, bool last) {
  const blocks::Linearisation& A = J_->linearisation();
  if (last && !in_two) {
    // It would be idle: three quarters of the cache, the rest is for other things.
    LocalChain::prefetch(A, part.direction, part.range, second_level_cache() / 4 * 3);
    return;
  }
  const StageTimer timer(stages_, "eliminate");
  if (!in_two) {
    chain_->eliminate(A, part.direction, part.range, part.rhs, inclusive_);
    return;
  }
  const auto [near, far] = cut(part);
  chain_->eliminate(A, part.direction, near.range, near.rhs, near_map_);
  if (last) return;
  std::copy_n(near_map_.panel().data(), near_map_.panel().size(), inclusive_.panel().data());
  chain_->extend(A, part.direction, far.range, far.rhs, inclusive_);
}

void Hybrid::substitute(const Part& part, Way way) {
  const StageTimer timer(stages_, "substitute");
  const blocks::Linearisation& A = J_->linearisation();
  const blocks::Strand whole = with(part, carry_);
  if (way == Way::again) {
    speculation_->correct(A, part.direction, whole);
    return;
  }
  if (way == Way::awaited) {
    LocalChain::substitute_first(A, part.direction, whole);
    return;
  }
  if (way == Way::once) {
    LocalChain::substitute(A, part.direction, whole);
    return;
  }
  const auto [near, far] = cut(part);
  const blocks::Strand behind = with(far, after_near_);
  near_map_.apply(whole.carry, behind.carry);
  LocalChain::substitute_both(A, part.direction, with(near, carry_), behind);
}

void Hybrid::reduce(const Place& place) {
  if (place.position == 0) std::copy(carry_.begin(), carry_.end(), constant_out_.begin());
  std::size_t level = 0;
  for (int stride = 1; stride < place.count; stride *= 2, ++level)
    reduce_level(place, stride, levels_[level]);
}

// Level of stride s, position q along the chain; [i..j] is the composition of the maps at positions
// i to j:
//     BEFORE   inclusive [q-s+1 .. q]      exclusive [q-s+1 .. q-1]     (nothing before position 0)
//     message  q - s  --inclusive-->  q
//     AFTER    inclusive [q-2s+1 .. q]     exclusive [q-2s+1 .. q-1]
// A composition that begins at position 0 is a constant: its matrix is neither sent nor computed,
// and the exclusive one is the carry that this rank waits for.
void Hybrid::reduce_level(const Place& place, int stride, parallel::Traffic& traffic) {
  const int q = place.position;
  const bool knows_constant = q < stride, gets_constant = q - stride < stride;
  const Index vector = carry_.size(), map = inclusive_.panel().size();
  parallel::shift(J_->comm(), {place.first_rank, place.last_rank, stride, place.direction},
                  knows_constant ? constant_out_.data() : inclusive_.panel().data(),
                  knows_constant ? vector : map,
                  gets_constant ? constant_in_.data() : received_.panel().data(),
                  gets_constant ? vector : map, traffic);
  if (q < stride) return;
  const bool is_read_later = q + 2 * stride < place.count;
  const std::array<Index, 2> shape{J_->batch(), J_->width()};
  if (gets_constant) {
    const ConstState in(constant_in_.data(), shape);
    if (stride == 1) {
      std::copy(in.begin(), in.end(), carry_.begin());
    } else {
      exclusive_.apply(in, State(carry_.data(), shape));
    }
    if (is_read_later) inclusive_.apply(in, State(constant_out_.data(), shape));
    return;
  }
  if (stride == 1) {
    std::copy_n(received_.panel().data(), map, exclusive_.panel().data());
  } else {
    compose_into(exclusive_);
  }
  if (is_read_later) compose_into(inclusive_);
}

void Hybrid::compose_into(blocks::AffineMap& later) {
  blocks::AffineMap::compose(later, received_, scratch_);
  later.swap(scratch_);
}

Cost Hybrid::cost(const Problem& problem) const {
  Cost cost;
  const Index L = problem.layout.num_steps(), steps = L - problem.frozen;
  const double n = problem.width, B = static_cast<double>(problem.batch);
  cost.sequential_flops = 2 * B * n * n * static_cast<double>(steps);
  if (steps <= 0) return cost;
  const int first = problem.layout.owner(problem.frozen), last = problem.layout.owner(L - 1);
  const int ranks = last - first + 1;
  const Index real = sizeof(Real);
  const Index vector = problem.batch * problem.width * real, map = vector * (problem.width + 1);
  cost.levels.resize(static_cast<std::size_t>(parallel::ceil_log2(ranks)));
  std::size_t level = 0;
  for (int stride = 1; stride < ranks; stride *= 2, ++level) {
    const Index senders = ranks - stride, constants = std::min<Index>(stride, senders);
    cost.levels[level] = {senders, constants * vector + (senders - constants) * map};
  }
  // The longest path: elimination or the first rank's substitution, the levels, substitution.
  double before = 0, after = 0;
  for (int p = first; p <= last; ++p) {
    const Index m = intersect(problem.layout.range(p), {problem.frozen, L}).size();
    const double substitution = 2 * B * n * n * static_cast<double>(m);
    if (p == first) {
      before = std::max(before, substitution);
    } else {
      const Index ahead = steps_ahead(problem.layout, ranks, first, {problem.frozen, L});
      const auto forgets = problem.forgetting_steps;
      const bool speculates =
          p == last && forgets && Speculation::pays(static_cast<double>(*forgets), m, ahead);
      if (p < last) before = std::max(before, substitution * problem.product_weight * (n + 1));
      if (speculates) before = std::max(before, substitution);
      const Index again = speculates ? *forgets : m;
      after = std::max(after, 2 * B * n * n * static_cast<double>(again));
    }
  }
  const double product = 2 * B * n * n * (n + 1) * problem.product_weight;
  const double reduction = ranks > 2 ? 2 * product * parallel::ceil_log2(ranks) : 0;
  cost.critical_flops = before + reduction + after;
  return cost;
}

CriticalPath Hybrid::path(const parallel::BlockLayout& layout) const {
  const auto m = static_cast<double>(longest_part(layout));
  return {m, m + parallel::ceil_log2(layout.num_active_ranks())};
}

// Six maps, and what Speculation keeps: two vectors, a probe's rows, perhaps the right-hand side.
double Hybrid::memory(const Problem& problem) const {
  const double state = static_cast<double>(problem.batch) * problem.width;
  constexpr double kMaps = 6, kVectors = 40;
  const auto kept = static_cast<double>(longest_part(problem.layout));
  return sizeof(Real) * state * (kMaps * (problem.width + 1) + kVectors + kept);
}

double Hybrid::largest_message(const Problem& problem) const {
  const double state = static_cast<double>(problem.batch) * problem.width;
  return problem.layout.num_ranks() > 1 ? state * (problem.width + 1) : 0;
}

}  // namespace deeppcr::linear
