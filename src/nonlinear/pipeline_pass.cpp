#include "nonlinear/pipeline_pass.hpp"

#include <algorithm>

#include "deeppcr/core/profile.hpp"

namespace deeppcr::nonlinear {

PipelinePass::PipelinePass(const sequence::Trajectory& at, const PipelinePlan& plan,
                           Direction direction)
    : at_(at),
      plan_(plan),
      direction_(direction),
      sends_(at.comm()),
      carry_(plan.batches().count(0) * at.width() + 1) {}

void PipelinePass::run(PipelineWork& work) {
  const StepSet local = at_.local_steps();
  const Index blocks = local.num_ranges();
  const int M = plan_.batches().num_ranks(), rank = at_.comm().rank();
  for (Index k = 0; k < blocks; ++k) {
    const StepRange block = local.range(direction_ == Direction::forward ? k : blocks - 1 - k);
    if (plan_.shares_samples()) {
      run_block(work, block, rank);
    } else {
      for (int m = 0; m < M; ++m) run_block(work, block, m);
    }
    work.done(block);
  }
  sends_.wait();
}

// forward     rank p  [block k]  --carry, time-->  rank p + 1  [block k + 1]
// backward    rank p  [block k]  <--carry, time--  rank p + 1  [block k + 1]
void PipelinePass::run_block(PipelineWork& work, StepRange block, int m) {
  const Index L = at_.layout().num_steps(), n = at_.width();
  const bool forward = direction_ == Direction::forward;
  const Index before = forward ? block.first - 1 : block.last;  // steps of the next blocks
  const Index behind = forward ? block.last : block.first - 1;
  const auto in_chain = [L](Index l) { return 0 <= l && l < L; };
  const StepRange samples = plan_.batches().range(m);
  if (samples.empty()) return;
  const Index size = samples.size() * n;
  const State carry(carry_.data(), {samples.size(), n});
  if (in_chain(before)) {
    const Stopwatch watch;
    at_.comm().receive(carry_.data(), size + 1, at_.layout().owner(before));
    waited_ += watch.seconds();
    clock_ = std::max(clock_, carry_[size]);
  } else {
    work.begin(samples, carry);
  }
  work.walk(block, m, carry, [this] { sends_.progress(); });
  clock_ += static_cast<double>(block.size() * samples.size());
  if (in_chain(behind)) {
    sends_.send(carry_.data(), size, clock_, at_.layout().owner(behind));
    sent_.add(1, (size + 1) * Index{sizeof(Real)});
  } else {
    work.end(samples, carry);
  }
}

void pack(ConstStates from, StepRange samples, States to) {
  for (Index i = 0; i < to.extent(0); ++i)
    std::copy_n(from[i].data() + samples.first * from.extent(2), to[i].size(), to[i].data());
}

void unpack(ConstStates from, StepRange samples, States to) {
  for (Index i = 0; i < from.extent(0); ++i)
    std::copy_n(from[i].data(), from[i].size(), to[i].data() + samples.first * from.extent(2));
}

namespace {

/// Steps whose states of all samples are gathered at once.
Index gathered_steps(Index state_reals) {
  constexpr Index kReals = Index{1} << 17;
  return std::max<Index>(1, kReals / std::max<Index>(1, state_reals));
}

}  // namespace

void gather_samples(const parallel::Communicator& comm, const parallel::BlockLayout& batches,
                    States states, parallel::Traffic& traffic) {
  const Index m = states.extent(0), B = states.extent(1), n = states.extent(2);
  const Index piece = gathered_steps(B * n);
  Buffer<Real> table(std::min(piece, m) * B * n);  // rank by rank, [ranks] of [piece, B_p, n]
  for (Index first = 0; first < m; first += piece) {
    const States part = states.slice(first, std::min(m, first + piece));
    const auto of_rank = [&](int p) {
      const StepRange samples = batches.range(p);
      return States(table.data() + part.extent(0) * samples.first * n,
                    {part.extent(0), samples.size(), n});
    };
    pack(part, batches.range(comm.rank()), of_rank(comm.rank()));
    std::vector<Index> rows;
    for (const Index sample : batches.first_steps()) rows.push_back(sample * part.extent(0));
    parallel::gather_rows(comm, rows, table.data(), n, traffic);
    for (int p = 0; p < comm.size(); ++p) unpack(of_rank(p), batches.range(p), part);
  }
}

parallel::Traffic gathering_cost(Index steps, const Problem& problem) {
  const Index piece = gathered_steps(problem.batch * problem.width), P = problem.ranks;
  const Index senders = std::min(P, problem.batch);
  return {(steps + piece - 1) / piece * senders * (P - 1), steps * (P - 1) * problem.state_bytes()};
}

}  // namespace deeppcr::nonlinear
