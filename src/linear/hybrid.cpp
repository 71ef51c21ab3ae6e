#include "linear/hybrid.hpp"

#include <algorithm>

#include "deeppcr/core/machine.hpp"
#include "deeppcr/parallel/exchange.hpp"

namespace deeppcr::linear {

void Hybrid::prepare() {
  if (inclusive_.batch() == J_->batch() && inclusive_.width() == J_->width()) return;
  for (blocks::AffineMap* map : {&inclusive_, &exclusive_, &received_, &scratch_})
    *map = blocks::AffineMap(J_->batch(), J_->width());
  for (Buffer<Real>* vector : {&carry_, &constant_in_, &constant_out_})
    vector->reset(J_->batch() * J_->width());
}

void Hybrid::run(Direction direction, ConstStates rhs, States result) {
  const Part part = active_part(direction, rhs, result);
  levels_.resize(static_cast<std::size_t>(parallel::ceil_log2(part.count())));
  if (part.range.empty()) return;
  const blocks::Linearisation& A = J_->linearisation();
  const State carry(carry_.data(), {J_->batch(), J_->width()});
  const bool last = part.position + 1 == part.count(), awaited = part.position == 0 && !last;
  if (part.position == 0) std::fill(carry.begin(), carry.end(), 0.0);
  if (awaited) {
    const StageTimer timer(stages_, "substitute");
    blocks::substitute_first(A, part.range, direction, part.rhs, part.result, carry);
    std::copy(carry.begin(), carry.end(), constant_out_.begin());
  } else if (!last) {
    const StageTimer timer(stages_, "eliminate");
    blocks::set_identity(inclusive_.panel());
    A.eliminate(part.range, direction, part.rhs, inclusive_.panel(), scratch_.panel());
  }
  {
    const StageTimer timer(stages_, "reduce");
    int stride = 1;
    for (parallel::Traffic& level : levels_) {
      reduce_level(part, direction, stride, level);
      stride *= 2;
    }
  }
  const StageTimer timer(stages_, "substitute");
  if (awaited) {
    blocks::catch_up(A, part.range, direction, part.result);
  } else {
    A.substitute(part.range, direction, part.rhs, part.result, carry);
  }
}

// Level of stride s, position q along the chain; [i..j] is the composition of the maps at positions
// i to j:
//     BEFORE   inclusive [q-s+1 .. q]      exclusive [q-s+1 .. q-1]     (nothing before position 0)
//     message  q - s  --inclusive-->  q
//     AFTER    inclusive [q-2s+1 .. q]     exclusive [q-2s+1 .. q-1]
// A composition that begins at position 0 is a constant: its matrix is neither sent nor computed,
// and the exclusive one is the carry that this rank waits for.
void Hybrid::reduce_level(const Part& part, Direction direction, int stride,
                          parallel::Traffic& traffic) {
  const int q = part.position;
  const bool knows_constant = q < stride, gets_constant = q - stride < stride;
  const Index vector = carry_.size(), map = inclusive_.panel().size();
  parallel::shift(J_->comm(), {part.first_rank, part.last_rank, stride, direction},
                  knows_constant ? constant_out_.data() : inclusive_.panel().data(),
                  knows_constant ? vector : map,
                  gets_constant ? constant_in_.data() : received_.panel().data(),
                  gets_constant ? vector : map, traffic);
  if (q < stride) return;
  const bool is_read_later = q + 2 * stride < part.count();
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

CriticalPath Hybrid::path(const parallel::BlockLayout& layout) const {
  const auto most = static_cast<double>(layout.longest());
  return {most, most + parallel::ceil_log2(layout.num_active_ranks())};
}

Cost Hybrid::cost(const Problem& problem) const {
  constexpr int kMaps = 4, kVectors = 3;
  Cost cost;
  const parallel::BlockLayout& layout = problem.layout;
  const int n = problem.width, ranks = problem.active_ranks();
  const Index vector = problem.state_bytes(), map = vector * (n + 1);
  cost.path = path(layout);
  cost.memory = static_cast<double>(kMaps * map + kVectors * vector);
  cost.largest_message = layout.num_ranks() > 1 ? problem.state_reals() * (n + 1) : 0;
  for (int stride = 1; stride < ranks; stride *= 2) {
    const Index senders = ranks - stride, constants = std::min<Index>(stride, senders);
    cost.network += machine().network.level(static_cast<double>(map), stride, ranks);
    cost.levels.push_back({senders, constants * vector + (senders - constants) * map});
  }
  // The longest path: elimination or the first rank's substitution, the levels, substitution.
  const double with_map = problem.product_weight * (n + 1);
  double before = 0, after = 0;
  if (ranks > 0) {
    const int first = layout.owner(problem.frozen), last = first + ranks - 1;
    after = problem.flops(layout.longest(first + 1, last + 1));
    before = std::max(problem.flops(layout.range(first).last - problem.frozen),
                      problem.flops(layout.longest(first + 1, last)) * with_map);
  }
  const double reduction =
      ranks > 2 ? 2 * problem.flops(1) * with_map * parallel::ceil_log2(ranks) : 0;
  cost.critical_flops = before + reduction + after;
  return cost;
}

}  // namespace deeppcr::linear
