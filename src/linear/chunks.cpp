#include "deeppcr/linear/chunks.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/machine.hpp"
#include "deeppcr/linear/chunk_facts.hpp"
#include "deeppcr/parallel/exchange.hpp"

namespace deeppcr::linear {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

}  // namespace

Chunks::Chunks(const parallel::BlockLayout& layout, Index count) : layout_(layout) {
  DEEPPCR_ASSERT(layout.is_contiguous(), "chunks need one range of steps a rank");
  const int active = layout.num_active_ranks(), ranks = layout.num_ranks();
  if (count <= active) {
    owners_ = parallel::BlockLayout::balanced(active, ranks);
    longest_ = layout.longest();
    return;
  }
  const auto wanted = parallel::BlockLayout::balanced(count, std::max(active, 1));
  std::vector<Index> first_chunk{0};
  for (int p = 0; p < ranks; ++p) {
    const Index steps = layout.count(p);
    const Index pieces = p < active ? std::min(steps, wanted.count(p)) : 0;
    if (pieces > 0) longest_ = std::max(longest_, (steps - 1) / pieces + 1);
    first_chunk.push_back(first_chunk.back() + pieces);
  }
  owners_ = parallel::BlockLayout(std::move(first_chunk));
}

StepRange Chunks::steps(Index c) const {
  const int rank = owners_.owner(c);
  const StepRange own = layout_.range(rank), chunks = owners_.range(rank);
  const auto cuts = parallel::BlockLayout::balanced(own.size(), static_cast<int>(chunks.size()));
  const StepRange part = cuts.range(static_cast<int>(c - chunks.first));
  return {own.first + part.first, own.first + part.last};
}

plan::ChunkProblem plan_problem(const parallel::BlockLayout& layout, const Chunks& chunks,
                                Index batch, int width, double products) {
  plan::ChunkProblem problem;
  problem.steps = layout.num_steps();
  problem.chunks = chunks.size();
  problem.longest_rank = layout.longest();
  problem.chunks_per_rank = chunks.owners().longest();
  problem.batch = batch;
  problem.width = width;
  const int ranks = chunks.owners().num_active_ranks();
  const Network& network = machine().network;
  const double step = products * machine().kernels.layer(width, batch);
  const double state = sizeof(Real) * static_cast<double>(batch * width);
  problem.ranks = ranks;
  problem.step_seconds = step;
  problem.waits = {network.message(state, ranks) / step, network.reduction(ranks) / step,
                   (network.scan(kJudgementBytes, ranks) + network.reduction(ranks)) / step,
                   network.scan(state, ranks) / step,
                   network.scan(state * (width + 1), ranks, state) / step};
  return problem;
}

void sums_before(const parallel::Communicator& comm, int active, Direction direction, ConstStates r,
                 States v, parallel::TrafficByLevel& traffic) {
  traffic.assign(static_cast<std::size_t>(parallel::ceil_log2(active)), {});
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
