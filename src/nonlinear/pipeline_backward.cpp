#include "nonlinear/pipeline_backward.hpp"

#include <algorithm>
#include <deque>

#include "nonlinear/pipeline_pass.hpp"

namespace deeppcr::nonlinear {

namespace {

/// Reals of the states, and of the parameters, of a piece of steps that is worked on at once:
/// little enough that memory for them is not fetched from the system in each pass.
constexpr Index kPieceReals = Index{1} << 13, kPieceParameters = Index{1} << 14;

class BackwardWork final : public PipelineWork {
 public:
  BackwardWork(const BackwardTask& task, const PipelinePlan& plan)
      : task_(task),
        local_(task.at.local_steps()),
        without_loss_(local_.size() - task.loss.extent(0)),
        batches_(plan.batches()),
        rows_final_(!plan.shares_samples()) {
    const Index state = std::max<Index>(1, batches_.count(0) * task.at.width());
    const Index row = task.wants_parameters() ? task.parameters->numbers_a_step() : 0;
    piece_steps_ = std::max<Index>(
        1, std::min(kPieceReals / state, kPieceParameters / std::max<Index>(1, row)));
    fetch_fronts();
    for (Buffer<Real>* one : {&in_, &out_, &loss_, &gradient_}) one->reset(piece_steps_ * state);
    for (int m = 0; m < batches_.num_ranks(); ++m)
      chains_.emplace_back(task.chain, batches_.range(m).first);
    for (int g = 0; task.wants_parameters() && g < task.parameters->groups(); ++g)
      rows_of_one_.emplace_back(
          task.parameters->shared(g) ? 0 : piece_steps_ * (*task.parameters)[g].extent(1));
  }

  void begin(StepRange, State carry) override { std::fill(carry.begin(), carry.end(), Real{0}); }
  void end(StepRange samples, ConstState carry) override {
    std::copy(carry.begin(), carry.end(), task_.input[samples.first].data());
  }
  void walk(StepRange block, int m, State carry, const std::function<void()>& progress) override;
  void done(StepRange block) override {
    adds_ = false;
    --block_;
    if (task_.ready && rows_final_) task_.ready(block);
  }

 private:
  void fetch_fronts();
  void pack_starts(StepRange piece, StepRange samples, States in) const;
  void run_piece(StepRange piece, int m, State carry);
  void parameters(StepRange piece, int m, const blocks::Linearisation& J,
                  const std::array<States, 3>& states, State carry);

  const BackwardTask& task_;
  StepSet local_;
  Index without_loss_;  ///< local steps before the first with an explicit gradient
  const parallel::BlockLayout& batches_;
  bool rows_final_;                          ///< once all micro-batches are through a block
  Index block_ = local_.num_ranges() - 1;    ///< at hand
  bool adds_ = false;                        ///< rows of the block at hand are there already
  std::deque<sequence::FromSample> chains_;  ///< one a micro-batch
  Buffer<Real> fronts_;                      ///< the state before each block, [ranges, B, n]
  Index piece_steps_ = 1;
  Buffer<Real> in_, out_, loss_, gradient_;  ///< of a piece, [m, B_m, n]
  std::deque<Buffer<Real>> rows_of_one_;     ///< of a micro-batch, before they are added
  sequence::GroupRows rows_;
};

void BackwardWork::fetch_fronts() {
  const sequence::Trajectory& at = task_.at;
  const Index state = at.input().size();
  fronts_.reset(local_.num_ranges() * state);
  parallel::Traffic halo;
  parallel::halo(at.comm(), at.layout(), at.states().data(), fronts_.data(), state, halo);
  if (local_.contains(Index{0})) std::copy_n(at.input().data(), state, fronts_.data());
}

/// The states that the steps of a piece start from.
void BackwardWork::pack_starts(StepRange piece, StepRange samples, States in) const {
  const ConstStates z = task_.at.states();
  const Index row = local_.row(piece.first), end = row + piece.size();
  const bool first = piece.first == local_.range(block_).first;
  if (first) {
    const Index state = task_.at.input().size();
    pack({fronts_.data() + block_ * state, {1, z.extent(1), z.extent(2)}}, samples, in.slice(0, 1));
  }
  const Index own = first ? 1 : 0;
  pack(z.slice(row - 1 + own, end - 1), samples, in.slice(own, piece.size()));
}

void BackwardWork::walk(StepRange block, int m, State carry,
                        const std::function<void()>& progress) {
  for (Index last = block.last; last > block.first;) {
    const Index first = std::max(block.first, last - piece_steps_);
    run_piece({first, last}, m, carry);
    last = first;
    progress();
  }
  adds_ = true;
}

void BackwardWork::run_piece(StepRange piece, int m, State carry) {
  const StepRange samples = batches_.range(m);
  const std::array<Index, 3> shape{piece.size(), samples.size(), carry.extent(1)};
  const Index row = local_.row(piece.first), end = row + piece.size();
  const States in(in_.data(), shape), out(out_.data(), shape), gradient(gradient_.data(), shape);
  pack_starts(piece, samples, in);
  pack(task_.at.states().slice(row, end), samples, out);
  const Index with_loss = std::clamp(without_loss_, row, end);
  const States loss(loss_.data(), {end - with_loss, shape[1], shape[2]});
  const auto loss_row = [&](Index at) { return std::max<Index>(0, at - without_loss_); };
  pack(task_.loss.slice(loss_row(with_loss), loss_row(end)), samples, loss);
  const auto J = chains_[static_cast<std::size_t>(m)]->linearise_at_solution(piece, in, out);
  if (task_.wants_parameters()) {
    parameters(piece, m, *J, {in, loss, gradient}, carry);
  } else {
    J->substitute(piece, Direction::backward, loss, gradient, carry);
  }
  unpack(gradient, samples, task_.gradient.slice(row, end));
}

/// With them: rows of the first micro-batch are assigned, those of others added.
void BackwardWork::parameters(StepRange piece, int m, const blocks::Linearisation& J,
                              const std::array<States, 3>& states, State carry) {
  const sequence::ParameterGradients& all = *task_.parameters;
  const Index row = local_.row(piece.first);
  sequence::GroupRows sums;
  all.slice(row, row + piece.size(), sums);
  rows_ = sums;
  const auto adds = [&](int g) { return adds_ && !all.shared(g); };
  for (int g = 0; g < all.groups(); ++g) {
    const auto k = static_cast<std::size_t>(g);
    if (adds(g)) rows_[k] = {rows_of_one_[k].data(), sums[k].shape()};
  }
  chains_[static_cast<std::size_t>(m)]->backpropagate(
      J, piece, {states[0], states[1], states[2], carry, rows_});
  for (int g = 0; g < all.groups(); ++g) {
    const auto k = static_cast<std::size_t>(g);
    for (Index i = 0; adds(g) && i < sums[k].size(); ++i) sums[k].data()[i] += rows_[k].data()[i];
  }
}

/// What ranks that share the samples have: gradients of states to all, those of parameters summed.
void exchange(const BackwardTask& task, const PipelinePlan& plan, parallel::Traffic& sent) {
  const parallel::Communicator& comm = task.at.comm();
  gather_samples(comm, plan.batches(), task.gradient, sent);
  const States input(task.input.data(), {1, task.at.batch(), task.at.width()});
  if (task.at.layout().num_steps() > 0) gather_samples(comm, plan.batches(), input, sent);
  for (int g = 0; task.wants_parameters() && g < task.parameters->groups(); ++g) {
    const View<Real, 2> rows = (*task.parameters)[g];
    if (task.parameters->shared(g)) continue;
    if (plan.batches().range(comm.rank()).empty()) std::fill(rows.begin(), rows.end(), Real{0});
    comm.sum(rows.data(), rows.size());
  }
  if (task.ready && task.at.layout().num_steps() > 0) task.ready({0, task.at.layout().num_steps()});
}

}  // namespace

void PipelineBackward::run(const BackwardTask& task, StageTimes& stages) {
  const sequence::Trajectory& at = task.at;
  const Stopwatch watch;
  const PipelinePlan plan(at.layout(), at.batch(), micro_batches_);
  BackwardWork work(task, plan);
  PipelinePass pass(at, plan, Direction::backward);
  pass.run(work);
  sent_ = pass.sent();
  stages.add("linear", watch.seconds());
  const Stopwatch behind;
  if (plan.shares_samples()) exchange(task, plan, sent_);
  stages.add("parameters", behind.seconds());
  const double clock = at.comm().max(pass.clock());
  path_ = clock / static_cast<double>(at.batch());
  report_ = plan.report(clock);
}

linear::Cost PipelineBackward::cost(const linear::Problem& problem) const {
  const PipelinePlan plan(problem.layout, problem.batch, micro_batches_);
  linear::Cost cost;
  cost.path.evaluations = plan.sample_steps() / static_cast<double>(problem.batch);
  cost.critical_flops = problem.flops(1) * cost.path.evaluations;
  const auto fronts = static_cast<double>(problem.layout.steps(0).num_ranges());
  cost.memory = sizeof(Real) * ((4 + 2 * fronts) * problem.state_reals() + 4.0 * kPieceReals);
  return cost;
}

linear::SolveOutcome PipelineBackward::outcome(const parallel::BlockLayout&) const {
  linear::SolveOutcome outcome;
  outcome.method = "pipeline";
  outcome.path.evaluations = path_;
  return outcome;
}

}  // namespace deeppcr::nonlinear
