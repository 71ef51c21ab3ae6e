#include "linear/pcr_cost.hpp"

#include <algorithm>

#include "deeppcr/core/machine.hpp"
#include "linear/pcr.hpp"

namespace deeppcr::linear {

namespace {

using parallel::BlockLayout;

/// Whole numbers t in first..last with t = s modulo q.
Index count_congruent(Index first, Index last, Index s, Index q) {
  if (last < first) return 0;
  const Index smallest = first + ((s - first) % q + q) % q;
  return smallest > last ? 0 : (last - smallest) / q + 1;
}

/// What rows_fetched() asks of a layout.
class Partition {
 public:
  explicit Partition(const BlockLayout& layout)
      : layout_(layout),
        equal_(layout == BlockLayout::balanced(layout.num_steps(), layout.num_ranks())),
        count_(layout.num_steps() / layout.num_ranks()),
        longer_(layout.num_steps() % layout.num_ranks()) {}

  /// Ranks from first on, and rows of theirs, whose row `stride` further is their own.
  RowsFetched own(Index first, Index stride) const {
    RowsFetched sum;
    const auto add = [&](Index ranks, Index count) {
      if (ranks <= 0 || count <= stride) return;
      sum.messages += ranks;
      sum.rows += ranks * (count - stride);
    };
    if (equal_) {
      add(longer_ - first, count_ + 1);
      add(layout_.num_ranks() - std::max(first, longer_), count_);
    } else {
      for (auto p = static_cast<int>(first); p < layout_.num_ranks(); ++p) add(1, layout_.count(p));
    }
    return sum;
  }

  /// Ranks first..last whose first row is another rank's first row, `stride` further on.
  /// @pre that row is one of the chain
  Index coincidences(Index first, Index last, Index stride) const {
    if (!equal_) {
      Index number = 0;
      for (Index o = first; o <= last; ++o) {
        const Index row = layout_.range(static_cast<int>(o)).first + stride;
        if (layout_.range(layout_.owner(row)).first == row) ++number;
      }
      return number;
    }
    // Among the ranks with one row more; among the others; from those to these, t ranks before the
    // first of these: stride - t (count + 1) is a multiple of count, and positive.
    const Index longer = count_ + 1, ranks = stride / longer;
    Index number = 0;
    if (stride % longer == 0)
      number += std::max<Index>(0, std::min(last, longer_ - ranks) - first + 1);
    if (count_ == 0) return number;
    if (stride % count_ == 0) number += std::max<Index>(0, last - std::max(first, longer_) + 1);
    const Index nearest = std::max<Index>(1, longer_ - last),
                farthest = std::min(longer_ - first, (stride - 1) / longer);
    return number + count_congruent(nearest, farthest, stride, count_);
  }

 private:
  const BlockLayout& layout_;
  const bool equal_;
  const Index count_, longer_;
};

}  // namespace

// The rows are cut where an owner ends and where one who asks ends: a message for each piece, but
// for those that are the asker's own.
RowsFetched rows_fetched(const BlockLayout& layout, Index first, Index stride) {
  const Index L = layout.num_steps(), last = L - stride - 1;
  if (first > last) return {};
  const Partition partition(layout);
  const int owner = layout.owner(first);
  const Index pieces = 1 + (layout.owner(last) - owner) +
                       (layout.owner(L - 1) - layout.owner(first + stride)) -
                       partition.coincidences(owner + 1, layout.owner(last), stride);
  RowsFetched own = partition.own(owner + 1, stride);
  const Index of_first = layout.range(owner).last - stride - first;
  if (of_first > 0) {
    ++own.messages;
    own.rows += of_first;
  }
  return {pieces - own.messages, last + 1 - first - own.rows};
}

namespace {

/// Rows and products of the rank that has most to do in a level.
double most_of_a_rank(const BlockLayout& layout, Index stride, double product) {
  const Index L = layout.num_steps();
  const int first = layout.owner(stride), ranks = layout.num_ranks();
  const auto work = [&](int p) {
    const auto size = [&](Index from) {
      return static_cast<double>(intersect(layout.range(p), {from, L}).size());
    };
    return product * size(2 * stride) + size(stride);
  };
  double most = work(first);
  const int first_with_block = 2 * stride < L ? layout.owner(2 * stride) : ranks;
  most = std::max(most, static_cast<double>(layout.longest(first + 1, first_with_block)));
  if (first_with_block == ranks) return most;
  most = std::max(most, work(first_with_block));
  return std::max(most,
                  (product + 1) * static_cast<double>(layout.longest(first_with_block + 1, ranks)));
}

}  // namespace

CriticalPath Pcr::path(const BlockLayout& layout) const {
  return {0, static_cast<double>(layout.longest() * parallel::ceil_log2(layout.num_steps()))};
}

// Forward; the backward solve is its mirror image and sends one halo of B n reals a rank on top.
Cost Pcr::cost(const Problem& problem) const {
  Cost cost;
  const BlockLayout& layout = problem.layout;
  const Index L = layout.num_steps();
  const double n = problem.width;
  const Index column = problem.state_bytes(), most_rows = layout.longest();
  for (Index stride = 1; stride < L; stride *= 2) {
    const RowsFetched columns = rows_fetched(layout, 0, stride),
                      blocks = rows_fetched(layout, stride, stride);
    const parallel::Traffic traffic{columns.messages + blocks.messages,
                                    (columns.rows + blocks.rows * problem.width) * column};
    if (traffic.messages > 0)
      cost.network += machine().network.message(
          static_cast<double>(traffic.bytes) / static_cast<double>(traffic.messages),
          layout.num_ranks());
    cost.levels.push_back(traffic);
    cost.critical_flops +=
        problem.flops(1) * most_of_a_rank(layout, stride, problem.product_weight * n);
  }
  cost.path = path(layout);
  // Two levels, and the rows that arrive.
  constexpr int kArrays = 3;
  cost.memory = static_cast<double>(kArrays * column * (problem.width + 1) * most_rows);
  // A block row is described to MPI on one rank too.
  cost.largest_message = problem.state_reals() * (n + 1);
  return cost;
}

}  // namespace deeppcr::linear
