#include "deeppcr/parallel/scan_lines.hpp"

#include <algorithm>

#include "deeppcr/parallel/block_layout.hpp"

namespace deeppcr::parallel {

RankLine RankLine::of(int rank, int first, int last, Direction direction) {
  const bool forward = direction == Direction::forward, takes_part = first <= rank && rank <= last;
  RankLine line;
  line.first = forward ? first : last;
  line.increment = forward ? 1 : -1;
  line.lowest = first;
  line.highest = last;
  line.count = std::max(last - first + 1, 0);
  if (takes_part) line.position = forward ? rank - first : last - rank;
  return line;
}

int RankLine::rank_at(int i) const { return std::clamp(first + i * increment, lowest, highest); }

ScanLines::ScanLines(int rank, int node_ranks, int first, int last, Direction direction) {
  if (last < first) return;
  const bool forward = direction == Direction::forward;
  const int g = node_ranks, first_node = first / g, last_node = last / g;
  const auto ranks_of = [&](int k) {
    return std::min((k + 1) * g - 1, last) - std::max(k * g, first) + 1;
  };
  const int own = std::clamp(rank / g, first_node, last_node);
  const int begin = forward ? first_node : last_node, end = forward ? last_node : first_node;
  begins = own == begin;
  node = RankLine::of(rank, std::max(own * g, first), std::min((own + 1) * g - 1, last), direction);
  leaders.first = forward ? (begin + 1) * g - 1 : begin * g;
  leaders.increment = forward ? g : -g;
  leaders.lowest = first;
  leaders.highest = last;
  leaders.count = last_node - first_node + 1;
  if (node.position >= 0 && node.is_last()) leaders.position = forward ? own - begin : begin - own;

  nodes.push_back({ranks_of(begin), 1, true});
  if (leaders.count > 2) nodes.push_back({g, leaders.count - 2, false});
  if (leaders.count > 1) nodes.push_back({ranks_of(end), 1, false});
  leader_levels = ceil_log2(leaders.count);
  for (const NodeKind& kind : nodes) {
    node_levels = std::max(node_levels, ceil_log2(kind.ranks));
    if (!kind.begins) entering_levels = std::max(entering_levels, ceil_log2(kind.ranks));
  }
}

namespace {

/// The levels of a scan on lines of a kind.
void add_scan(const NodeKind& kind, Index value, Index constant, Traffic* level) {
  for (int stride = 1; stride < kind.ranks; stride *= 2, ++level) {
    const Index senders = kind.ranks - stride;
    const Index constants = kind.begins ? std::min<Index>(stride, senders) : 0;
    level->add(kind.nodes * senders,
               kind.nodes * (constants * constant + (senders - constants) * value));
  }
}

}  // namespace

TrafficByLevel ScanLines::traffic(Index value, Index constant) const {
  TrafficByLevel levels(static_cast<std::size_t>(num_levels()));
  Traffic *between = levels.data() + node_levels, *entering = between + leader_levels;
  for (const NodeKind& kind : nodes) {
    add_scan(kind, value, constant, levels.data());
    if (kind.begins) continue;
    Traffic* level = entering;
    for (int distance = 1; distance < kind.ranks; distance *= 2, ++level) {
      const Index senders = kind.nodes * std::min(distance, kind.ranks - distance);
      level->add(senders, senders * constant);
    }
  }
  add_scan({leaders.count, 1, true}, value, constant, between);
  return levels;
}

}  // namespace deeppcr::parallel
