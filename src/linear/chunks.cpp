#include "deeppcr/linear/chunks.hpp"

#include <algorithm>

#include "deeppcr/core/error.hpp"

namespace deeppcr::linear {

Chunks::Chunks(const parallel::BlockLayout& layout, Index count) {
  DEEPPCR_ASSERT(layout.is_contiguous(), "chunks need one range of steps a rank");
  const int active = layout.num_steps() == 0 ? 0 : layout.num_active_ranks();
  std::vector<Index> first_chunk{0};
  const auto wanted =
      parallel::BlockLayout::balanced(std::max<Index>(count, active), std::max(active, 1));
  for (int p = 0; p < layout.num_ranks(); ++p) {
    const StepRange own = layout.range(p);
    const Index pieces = p < active ? std::min(own.size(), wanted.range(p).size()) : 0;
    if (pieces > 0) {
      const auto cuts = parallel::BlockLayout::balanced(own.size(), static_cast<int>(pieces));
      for (int i = 0; i < pieces; ++i) first_step_.push_back(own.first + cuts.range(i).first);
    }
    first_chunk.push_back(first_chunk.back() + pieces);
  }
  if (!first_step_.empty()) first_step_.push_back(layout.num_steps());
  owners_ = parallel::BlockLayout(std::move(first_chunk));
}

std::vector<double> Chunks::sizes() const {
  std::vector<double> all;
  for (Index c = 0; c < size(); ++c) all.push_back(static_cast<double>(steps(c).size()));
  return all;
}

Index Chunks::longest() const {
  Index most = 0;
  for (Index c = 0; c < size(); ++c) most = std::max(most, steps(c).size());
  return most;
}

plan::ChunkProblem plan_problem(const parallel::BlockLayout& layout, const Chunks& chunks) {
  plan::ChunkProblem problem;
  problem.steps = layout.num_steps();
  problem.chunks = chunks.size();
  for (int p = 0; p < layout.num_ranks(); ++p) {
    problem.longest_rank = std::max(problem.longest_rank, layout.range(p).size());
    problem.chunks_per_rank = std::max(problem.chunks_per_rank, chunks.of_rank(p).size());
  }
  return problem;
}

}  // namespace deeppcr::linear
