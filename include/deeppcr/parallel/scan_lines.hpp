#pragma once

#include <vector>

#include "deeppcr/core/types.hpp"
#include "deeppcr/parallel/traffic.hpp"

namespace deeppcr::parallel {

/// Ranks in the order in which they pass something on, at equal distances but for the last one.
struct RankLine {
  int first = 0, increment = 1;  ///< rank at position 0, and from there to the next
  int lowest = 0, highest = -1;  ///< all are between these
  int count = 0;
  int position = -1;  ///< of this rank; -1: it is not among them

  /// first..last, down the direction of the chain.
  static RankLine of(int rank, int first, int last, Direction direction);
  int rank_at(int i) const;
  bool is_last() const { return position + 1 == count; }
};

/// Nodes with as many ranks of a scan.
struct NodeKind {
  int ranks = 0, nodes = 0;
  bool begins = false;  ///< has the first rank
};

/// How a scan over ranks goes where messages between nodes are dear: each node scans alone, then
/// the last ranks of all nodes among themselves, and what enters a node goes from there to its
/// ranks. A node's link then carries one message a level in place of one of each of its ranks.
///
///     7 ranks, nodes of 3    own         a    b    c   | d    e    f   | g
///                            within      a    ba   cba | d    ed   fed | g
///                            between               cba |           fedcba
///                            enters                    | cba (d, e, f)   | fedcba (g)
///
/// On one node nothing is between and nothing enters.
struct ScanLines {
  /// Ranks first..last; node i has ranks i node_ranks and on.
  ScanLines(int rank, int node_ranks, int first, int last, Direction direction);

  RankLine node;                ///< this rank's node
  RankLine leaders;             ///< the last rank of each node, in the order of the nodes
  bool begins = false;          ///< this rank's node is the first
  std::vector<NodeKind> nodes;  ///< all, at most three kinds
  int node_levels = 0, leader_levels = 0, entering_levels = 0;

  int num_levels() const { return node_levels + leader_levels + entering_levels; }
  bool has_one_node() const { return leaders.count <= 1; }
  /// What all ranks send, by level, where a value has so many bytes, and one that begins with the
  /// first rank, as what enters a node does, `constant` bytes.
  TrafficByLevel traffic(Index value, Index constant) const;
};

}  // namespace deeppcr::parallel
