#include "linear/hybrid.hpp"

#include <algorithm>

#include "deeppcr/core/machine.hpp"
#include "deeppcr/parallel/exchange.hpp"

namespace deeppcr::linear {

void Hybrid::prepare() {
  const bool spans_nodes = J_->comm().node_ranks() < J_->comm().size();
  const auto fits = [this](const blocks::AffineMap& map) {
    return map.batch() == J_->batch() && map.width() == J_->width();
  };
  if (spans_nodes && !fits(nodes_)) nodes_ = blocks::AffineMap(J_->batch(), J_->width());
  if (fits(inclusive_)) return;
  for (blocks::AffineMap* map : {&inclusive_, &exclusive_, &received_, &scratch_})
    *map = blocks::AffineMap(J_->batch(), J_->width());
  for (Buffer<Real>* vector : {&carry_, &entering_, &constant_in_, &constant_out_})
    vector->reset(J_->batch() * J_->width());
}

void Hybrid::run(Direction direction, ConstStates rhs, States result) {
  const Part part = active_part(direction, rhs, result);
  const parallel::Communicator& comm = J_->comm();
  const parallel::ScanLines lines(comm.rank(), comm.node_ranks(), part.first_rank, part.last_rank,
                                  direction);
  levels_.resize(static_cast<std::size_t>(lines.num_levels()));
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
    reduce_over_ranks(lines);
  }
  const StageTimer timer(stages_, "substitute");
  if (awaited) {
    blocks::catch_up(A, part.range, direction, part.result);
  } else {
    A.substitute(part.range, direction, part.rhs, part.result, carry);
  }
}

void Hybrid::reduce_over_ranks(const parallel::ScanLines& lines) {
  const bool is_read_between = lines.leaders.position >= 0 && !lines.leaders.is_last();
  parallel::Traffic* levels = levels_.data();
  reduce(lines.node, lines.begins, is_read_between, {exclusive_, carry_}, levels);
  levels += lines.node_levels;
  if (lines.leaders.position >= 0) reduce(lines.leaders, true, false, {nodes_, entering_}, levels);
  levels += lines.leader_levels;
  if (lines.begins) return;
  parallel::spread_from_last(J_->comm(), lines.node, entering_.data(), entering_.size(), levels);
  if (lines.node.position == 0) {
    std::copy(entering_.begin(), entering_.end(), carry_.begin());
  } else {
    const std::array<Index, 2> shape{J_->batch(), J_->width()};
    exclusive_.apply(ConstState(entering_.data(), shape), State(carry_.data(), shape));
  }
}

void Hybrid::reduce(const parallel::RankLine& line, bool begins, bool is_read_at_its_end,
                    const Before& before, parallel::Traffic* levels) {
  for (int stride = 1; stride < line.count; stride *= 2, ++levels)
    reduce_level(line, begins, is_read_at_its_end, stride, before, *levels);
}

// Level of stride s, position q of the line; [i..j] is the composition of the maps at positions
// i to j:
//     BEFORE   inclusive [q-s+1 .. q]      exclusive [q-s+1 .. q-1]     (nothing before position 0)
//     message  q - s  --inclusive-->  q
//     AFTER    inclusive [q-2s+1 .. q]     exclusive [q-2s+1 .. q-1]
// Where the line begins with the chain, a composition that begins at position 0 is a constant: its
// matrix is neither sent nor computed, and the exclusive one is what enters behind it.
void Hybrid::reduce_level(const parallel::RankLine& line, bool begins, bool is_read_at_its_end,
                          int stride, const Before& before, parallel::Traffic& traffic) {
  const int q = line.position;
  const bool knows_constant = begins && q < stride, gets_constant = begins && q - stride < stride;
  const Index vector = carry_.size(), map = inclusive_.panel().size();
  parallel::shift(
      J_->comm(), line, stride, knows_constant ? constant_out_.data() : inclusive_.panel().data(),
      knows_constant ? vector : map, gets_constant ? constant_in_.data() : received_.panel().data(),
      gets_constant ? vector : map, traffic);
  if (q < stride) return;
  const bool is_read_later = is_read_at_its_end || q + 2 * stride < line.count;
  const std::array<Index, 2> shape{J_->batch(), J_->width()};
  if (gets_constant) {
    const ConstState in(constant_in_.data(), shape);
    if (stride == 1) {
      std::copy(in.begin(), in.end(), before.constant.begin());
    } else {
      before.map.apply(in, State(before.constant.data(), shape));
    }
    if (is_read_later) inclusive_.apply(in, State(constant_out_.data(), shape));
    return;
  }
  if (stride == 1) {
    std::copy_n(received_.panel().data(), map, before.map.panel().data());
  } else {
    compose_into(before.map);
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
  Cost cost;
  const parallel::BlockLayout& layout = problem.layout;
  const int n = problem.width, ranks = problem.active_ranks();
  const Index vector = problem.state_bytes(), map = vector * (n + 1);
  const parallel::ScanLines lines = problem.scan_lines();
  const int maps = lines.has_one_node() ? 4 : 5, vectors = 4;
  cost.path = path(layout);
  cost.memory = static_cast<double>(maps * map + vectors * vector);
  cost.largest_message = layout.num_ranks() > 1 ? problem.state_reals() * (n + 1) : 0;
  cost.network =
      machine().network.scan(static_cast<double>(map), ranks, static_cast<double>(vector));
  cost.levels = lines.traffic(map, vector);
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
