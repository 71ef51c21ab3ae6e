#include "train/pipeline_passes.hpp"

#include <algorithm>
#include <utility>

#include "deeppcr/sequence/propagate.hpp"

namespace deeppcr::train {

namespace {

using Kind = plan::PipelineTask::Kind;

/// Reals of the states, and of the parameters, of a piece of steps that is worked on at once:
/// between two of them messages can leave.
constexpr Index kPieceStates = Index{1} << 13, kPieceParameters = Index{1} << 14;
/// The same of states where there is no other stage to wait.
constexpr Index kPieceAlone = Index{1} << 16;
/// Steps between two states that are looked at.
constexpr Index kLookedAt = 32;

}  // namespace

PipelinePasses::PipelinePasses(const parallel::Communicator& comm,
                               const parallel::BlockLayout& layout, Index batch, const Chain& chain,
                               const Options& options)
    : comm_(comm),
      options_(options),
      chain_(chain),
      num_steps_(layout.num_steps()),
      stages_(layout.num_active_ranks()),
      width_(chain.sequence.width()),
      local_(layout.range(comm.rank())),
      batches_(parallel::BlockLayout::balanced(batch, options.micro_batches)),
      held_(static_cast<std::size_t>(options.micro_batches +
                                     warm_up(options.schedule, comm.rank(), {stages_, 0}))),
      starts_(size(0)),
      states_((local_.size() + 1) * size(0)),
      losses_(chain.loss_rows * size(0)),
      gradients_(local_.size() * size(0)),
      piece_rows_(std::max<Index>(
          1, std::min((stages_ > 1 ? kPieceStates : kPieceAlone) / size(0),
                      kPieceParameters / std::max<Index>(1, chain.gradients.numbers_a_step())))),
      carry_(size(0) + 1),
      piece_(piece_rows_ * size(0)),
      sends_(comm) {
  for (int m = 0; m < options.micro_batches; ++m)
    chains_.emplace_back(chain.sequence, samples(m).first);
  const sequence::ParameterGradients& gradients = chain.gradients;
  for (int g = 0; g < gradients.groups(); ++g)
    addends_.emplace_back(gradients.shared(g) ? 0 : piece_rows_ * gradients[g].extent(1));
}

void PipelinePasses::run(const std::vector<ChainEnds>& batches, const Turns& turns) {
  const int M = options_.micro_batches;
  updates_ = static_cast<int>(batches.size());
  clock_ = 0;
  largest_.assign(batches.size(), 0);
  seconds_ = {};
  chain_.gradients.clear_shared();
  if (!takes_part()) return;
  const plan::PipelineSize size{stages_, updates_ * M};
  for (const plan::PipelineTask& task : stage_tasks(options_.schedule, comm_.rank(), size)) {
    const int m = task.micro_batch % M;
    batch_ = static_cast<std::size_t>(task.micro_batch / M);
    ends_ = &batches[batch_];
    one_ = &held(task.micro_batch);
    if (turns.enter) turns.enter(batch_, task.kind != Kind::forward);
    if (task.kind == Kind::forward) forward(m, true);
    if (task.kind == Kind::backward || task.kind == Kind::both) backward(m, task.kind);
    if (task.kind == Kind::weights) weights(m);
    clock_ += ticks(task.kind, m);
    const bool ends = task.kind == Kind::weights || task.kind == Kind::both;
    if (ends && m == M - 1 && turns.update) turns.update(batch_);
  }
  ended_ = clock_;
  sends_.wait();
}

void PipelinePasses::evaluate(const ChainEnds& ends) {
  ends_ = &ends;
  batch_ = 0;
  largest_.assign(1, 0);
  for (int m = 0; m < options_.micro_batches && takes_part(); ++m) {
    one_ = &held(m);
    forward(m, false);
  }
  sends_.wait();
}

plan::TaskTimes PipelinePasses::times() const {
  plan::TaskTimes times = options_.times;
  if (options_.recompute) times.backward += times.forward;
  return times;
}

double PipelinePasses::ticks(Kind kind, int m) const {
  return times().of(kind) * static_cast<double>(local_.size() * samples(m).size());
}

State PipelinePasses::receive(int m, int from) {
  comm_.receive(carry_.data(), size(m) + 1, from);
  clock_ = std::max(clock_, carry_[size(m)]);
  return {carry_.data(), {samples(m).size(), width_}};
}

void PipelinePasses::send(Kind kind, int m, const Real* carry, int to) {
  sends_.send(carry, size(m), clock_ + ticks(kind, m), to);
}

template <typename Visit>
void PipelinePasses::each_piece(Direction direction, const Visit& visit) {
  const Index pieces = (local_.size() + piece_rows_ - 1) / piece_rows_;
  for (Index i = 0; i < pieces; ++i) {
    const Index k = direction == Direction::forward ? i : pieces - 1 - i;
    visit(StepRange{k * piece_rows_, std::min(local_.size(), (k + 1) * piece_rows_)},
          static_cast<std::size_t>(k));
    sends_.progress();
  }
}

/// From the state before the local steps, which is there.
void PipelinePasses::propagate(int m, Buffer<Real>& states) {
  each_piece(Direction::forward, [&](StepRange rows, std::size_t) {
    chain(m).propagate(steps(rows), view(states, m, rows.first, rows.first + 1)[0],
                       view(states, m, rows.first + 1, rows.last + 1));
  });
}

/// The same with what the derivatives need, so that B evaluates nothing again.
void PipelinePasses::linearise(int m) {
  MicroBatch& one = *one_;
  each_piece(Direction::forward, [&](StepRange rows, std::size_t) {
    one.linearised.push_back(
        chain(m).linearise_along(steps(rows), view(one.states, m, rows.first, rows.last + 1)));
  });
}

void PipelinePasses::forward(int m, bool keeps) {
  const Stopwatch watch;
  MicroBatch& one = *one_;
  one.states = states_.take();
  const State z = view(one.states, m, 0, 1)[0];
  if (is_first()) {
    ends_->begin(samples(m), z);
  } else {
    const State carry = receive(m, comm_.rank() - 1);
    std::copy(carry.begin(), carry.end(), z.begin());
  }
  if (keeps && options_.recompute) {
    one.start = starts_.take();
    std::copy(z.begin(), z.end(), one.start.data());
  }
  if (keeps && !options_.recompute) {
    linearise(m);
  } else {
    propagate(m, one.states);
  }
  const States states = view(one.states, m, 1, local_.size() + 1);
  if (!is_last()) send(Kind::forward, m, last_state(states), comm_.rank() + 1);
  // What a state is, those behind it are, NaN above all.
  for (Index row = local_.size(); row >= 0; row -= kLookedAt)
    largest_[batch_] =
        std::max(largest_[batch_], sequence::largest_entry(view(one.states, m, row, row + 1)[0]));
  seconds_.add("forward", watch.seconds());
  evaluate_loss(m, states, keeps);
  if (!keeps || options_.recompute) states_.put(std::move(one.states));
}

void PipelinePasses::evaluate_loss(int m, ConstStates states, bool keeps) {
  const StageTimer timer(seconds_, "loss");
  const Index rows = keeps ? chain_.loss_rows : 0;
  MicroBatch& one = *one_;
  if (rows > 0) {
    one.loss = losses_.take();
    std::fill(one.loss.begin(), one.loss.end(), Real{0});  // rows that it does not read stay so
  }
  if (chain_.loss_rows > 0) ends_->loss(samples(m), states, view(one.loss, m, 0, rows));
}

void PipelinePasses::backward(int m, Kind kind) {
  const StageTimer timer(seconds_, "linear");
  MicroBatch& one = *one_;
  if (options_.recompute) {
    one.states = states_.take();
    std::copy_n(one.start.data(), size(m), one.states.data());
    starts_.put(std::move(one.start));
    linearise(m);
  }
  const State carry(carry_.data(), {samples(m).size(), width_});
  if (is_last()) {
    std::fill(carry.begin(), carry.end(), Real{0});
  } else {
    receive(m, comm_.rank() + 1);
  }
  const bool apart = kind == Kind::backward;
  if (apart) one.gradient = gradients_.take();
  each_piece(Direction::backward,
             [&](StepRange rows, std::size_t k) { backward_piece(m, rows, k, carry, apart); });
  if (is_first()) {
    ends_->end(samples(m), carry);
  } else {
    send(kind, m, carry.data(), comm_.rank() - 1);
  }
  if (!apart) release();
}

void PipelinePasses::backward_piece(int m, StepRange rows, std::size_t k, State carry, bool apart) {
  MicroBatch& one = *one_;
  const ConstStates in = view(one.states, m, rows.first, rows.last);
  const Index without_loss = local_.size() - chain_.loss_rows;
  const Index with_loss = std::clamp(without_loss, rows.first, rows.last);
  const auto loss_row = [&](Index row) { return std::max<Index>(0, row - without_loss); };
  const ConstStates loss = view(one.loss, m, loss_row(with_loss), loss_row(rows.last));
  std::unique_ptr<blocks::Linearisation>& J = one.linearised[k];
  if (apart) {
    const States gradient = view(one.gradient, m, rows.first, rows.last);
    J->substitute(steps(rows), Direction::backward, loss, gradient, carry);
    return;
  }
  const States gradient = view(piece_, m, 0, rows.size());
  add_gradients(m, rows, [&](const sequence::GroupRows& into) {
    chain(m).backpropagate(*J, steps(rows), {in, loss, gradient, carry, into});
  });
  J.reset();
}

void PipelinePasses::weights(int m) {
  const StageTimer timer(seconds_, "parameters");
  MicroBatch& one = *one_;
  each_piece(Direction::backward, [&](StepRange rows, std::size_t k) {
    const ConstStates in = view(one.states, m, rows.first, rows.last);
    const ConstStates gradient = view(one.gradient, m, rows.first, rows.last);
    add_gradients(m, rows, [&](const sequence::GroupRows& into) {
      chain(m).parameter_gradient_at(*one.linearised[k], steps(rows), in, gradient, into);
    });
    one.linearised[k].reset();
  });
  gradients_.put(std::move(one.gradient));
  release();
}

void PipelinePasses::release() {
  MicroBatch& one = *one_;
  one.linearised.clear();
  states_.put(std::move(one.states));
  if (chain_.loss_rows > 0) losses_.put(std::move(one.loss));
}

/// Rows of the first micro-batch are assigned, those of others added.
template <typename Visit>
void PipelinePasses::add_gradients(int m, StepRange rows, const Visit& visit) {
  const sequence::ParameterGradients& all = chain_.gradients;
  if (all.empty()) return;
  sequence::GroupRows sums, into;
  all.slice(rows.first, rows.last, sums);
  into = sums;
  const auto adds = [&](std::size_t g) { return m > 0 && !all.shared(static_cast<int>(g)); };
  for (std::size_t g = 0; g < sums.size(); ++g)
    if (adds(g)) into[g] = {addends_[g].data(), sums[g].shape()};
  visit(into);
  for (std::size_t g = 0; g < sums.size(); ++g)
    for (Index i = 0; adds(g) && i < sums[g].size(); ++i) sums[g].data()[i] += into[g].data()[i];
}

double PipelinePasses::idle() const {
  const double end = comm_.max(ended_) * stages_;
  const double work =
      updates_ * times().all() * static_cast<double>(num_steps_ * batches_.num_steps());
  return end > 0 ? 1 - work / end : 0;
}

double PipelinePasses::idle_by_formula() const {
  return simulate_updates(options_.schedule, {stages_, options_.micro_batches}, updates_, times())
      .idle_share();
}

double PipelinePasses::held_bytes() const {
  return starts_.most_bytes() + states_.most_bytes() + losses_.most_bytes() +
         gradients_.most_bytes();
}

}  // namespace deeppcr::train
