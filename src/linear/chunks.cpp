#include "deeppcr/linear/chunks.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/parallel/exchange.hpp"

namespace deeppcr::linear {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

}  // namespace

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

void sums_before(const parallel::Communicator& comm, int active, Direction direction, ConstStates r,
                 States v, parallel::TrafficByLevel& traffic) {
  traffic.clear();
  if (comm.rank() >= active) return;
  const Index state = r.extent(1) * r.extent(2);
  Buffer<Real> sum(state);
  const auto add = [&](const Real* x) {
    for (Index i = 0; i < state; ++i) sum[i] += x[i];
  };
  for (Index c = 0; c < r.extent(0); ++c) add(r[c].data());
  parallel::prefix_sum(comm, active, direction, sum.data(), state, traffic);
  for (Index c = 0; c < r.extent(0); ++c) {
    std::copy_n(sum.data(), state, v[c].data());
    add(r[c].data());
  }
}

double normalise(Index n, Real* x, const Real* fresh) {
  const double kDead = std::log(std::numeric_limits<double>::min());
  double square = 0;
  for (Index i = 0; i < n; ++i) square += x[i] * x[i];
  const double length = std::sqrt(square);
  if (!std::isfinite(length) || length == 0) {
    std::copy_n(fresh, n, x);
    return length == 0 ? kDead : -kDead;
  }
  for (Index i = 0; i < n; ++i) x[i] /= length;
  return std::log(length);
}

void Chunk::note_drift(Index samples, Index n, const Real* tangents, const Real* first) {
  const double grown = std::exp(growth.back());
  double square = 0;
  for (Index i = 0; i < samples * n; ++i) {
    const double change = grown * tangents[i] - first[i];
    square += change * change;
  }
  drift = std::sqrt(square / static_cast<double>(samples));
}

void Chunk::merged(Index block, double size) {
  seams.erase(std::remove_if(seams.begin(), seams.end(),
                             [&](const Seam& seam) { return seam.block <= block; }),
              seams.end());
  if (size > 0) seams.push_back({block, size});
}

double Chunk::exit_after(Index block) const {
  if (growth.empty()) return -kInfinity;
  return growth.back() - (block < 0 ? 0.0 : growth[static_cast<std::size_t>(block)]);
}

double Chunk::peak_after(Index block) const {
  if (growth.empty()) return -kInfinity;
  const auto first = growth.begin() + std::max<Index>(block, 0);
  const double peak = *std::max_element(first, growth.end());
  return block < 0 ? std::max(peak, 0.0) : peak - *first;
}

double Chunk::rise_after(Index block) const {
  double lowest = block < 0 ? 0.0 : kInfinity, rise = 0;
  for (auto i = static_cast<std::size_t>(std::max<Index>(block, 0)); i < growth.size(); ++i) {
    lowest = std::min(lowest, growth[i]);
    rise = std::max(rise, growth[i] - lowest);
  }
  return rise;
}

double Chunk::exit_rise_after(Index block) const {
  if (growth.empty()) return 0;
  const auto first = growth.begin() + std::max<Index>(block, 0);
  const double lowest = *std::min_element(first, growth.end());
  return growth.back() - (block < 0 ? std::min(lowest, 0.0) : lowest);
}

}  // namespace deeppcr::linear
