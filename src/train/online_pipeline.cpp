#include "deeppcr/train/online_pipeline.hpp"

#include <algorithm>
#include <utility>

#include "deeppcr/core/error.hpp"
#include "train/loss_on_grid.hpp"

namespace deeppcr::train {

namespace {

/// Frames that a stage is ahead of the next one when the gradient that it meets is made.
constexpr int kAhead = 2;

}  // namespace

OnlinePipeline::OnlinePipeline(const parallel::Communicator& comm, const Network& network,
                               const parallel::BlockLayout& layout,
                               const OptimiserOptions& optimiser, Schedule schedule)
    : comm_(comm),
      network_(network),
      local_(layout.range(comm.rank())),
      frames_(comm, network.chain, layout),
      schedule_(std::move(schedule)),
      chain_gradients_(network.chain.parameters()),
      loss_gradients_(network.loss.parameters()),
      embedding_gradient_(network.embedding.parameters().size()),
      parameters_(group()),
      optimiser_(alone_, optimiser, parameters_),
      sample_(is_first() ? network.embedding.inputs() : 0),
      by_states_(local_.size() * network.chain.width()),
      carry_(network.chain.width() + 1) {
  DEEPPCR_ASSERT(comm.size() == 1 || !chain_gradients_.any_shared(),
                 "{} stages of steps that share parameters", comm.size());
  if (!is_first()) to_previous_.emplace(comm, comm.rank() - 1, carry_.size(), kAhead);
}

std::vector<ParameterGroup> OnlinePipeline::group() {
  std::vector<ParameterGroup> all;
  const std::vector<sequence::ParameterGroup> chain = network_.chain.parameters();
  for (int g = 0; g < chain_gradients_.groups(); ++g) {
    const sequence::ParameterGroup& one = chain[static_cast<std::size_t>(g)];
    const StepRange own = one.shared ? StepRange{0, 1} : local_;
    all.push_back(group_of(one, own, one.shared, chain_gradients_[g].data()));
  }
  Index at = 0;
  for (const sequence::ParameterGroup& one : network_.embedding.groups()) {
    const StepRange own{0, is_first() ? one.rows : 0};
    all.push_back(group_of(one, own, false, embedding_gradient_.data() + at));
    at += one.values.size();
  }
  const std::vector<sequence::ParameterGroup> loss = network_.loss.parameters();
  for (int g = 0; g < loss_gradients_.groups(); ++g) {
    const sequence::ParameterGroup& one = loss[static_cast<std::size_t>(g)];
    const StepRange own{0, is_last() ? one.rows : 0};
    all.push_back(group_of(one, own, false, loss_gradients_[g].data()));
  }
  return all;
}

std::vector<StoredArray> OnlinePipeline::stored() {
  std::vector<StoredArray> all;
  for (const ParameterGroup& one : parameters_) {
    all.push_back(one.array);
    all.back().name.insert(0, "parameters/");
  }
  for (StoredArray& one : optimiser_.state()) {
    one.name.insert(0, "optimiser/");
    all.push_back(std::move(one));
  }
  return all;
}

void OnlinePipeline::run(const Ends& ends) {
  done_ = 0;
  FramePipeline::Ends inner;
  inner.begin = [&](Frame& frame, State z0) {
    const State sample(sample_.data(), {1, sample_.size()});
    const Next next = ends.begin(frame, sample);
    if (next == Next::frame) network_.embedding.forward(sample, z0);
    return next;
  };
  inner.end = ends.end;
  inner.pause = ends.pause;
  inner.steps = [this](States states) { forward(states); };
  inner.behind = [&](const Frame& frame) { learn(frame, ends); };
  frames_.run(inner);
  linearised_.reset();
  // Gradients that would have met further frames.
  for (Index i = 0; !is_last() && i < std::min<Index>(done_, kAhead); ++i) take_gradient();
}

void OnlinePipeline::forward(States states) {
  states_ = states;
  linearised_.reset();
  if (!local_.empty()) linearised_ = network_.chain.linearise_along(local_, states);
}

/// The exchange of a tick is drawn for the frames 5, 4, 3, 2 that the stages work on; G(f): the
/// gradient by the state in front of the stage, made while it worked on frame f.
///
///     BEFORE   rank 0 -      rank 1 G(3)   rank 2 G(2)   rank 3 G(1)
///     AFTER    rank 0 G(3)   rank 1 G(2)   rank 2 G(1)   rank 3 the loss of frame 2
void OnlinePipeline::learn(const Frame& frame, const Ends& ends) {
  if (is_last()) differentiate_loss(frame, ends);
  const bool there = is_last() || (done_ >= kAhead && take_gradient());
  if (there) backward();
  // On its way while this stage takes its step.
  if (!is_first()) pass_gradient(there);
  if (there) optimiser_.update(schedule_.rate(optimiser_.updates()));
  ++done_;
}

void OnlinePipeline::differentiate_loss(const Frame& frame, const Ends& ends) {
  const StepRange last{0, 1};
  const Index n = network_.chain.width();
  models::LossData data;
  data.local = StepSet(last);
  data.states = ConstStates(states_.data() + local_.size() * n, {1, 1, n});
  data.samples = 1;
  data.labels = {frame.label};
  models::LossGradients gradients;
  gradients.states = States(carry_.data(), {1, 1, n});
  for (int g = 0; g < loss_gradients_.groups(); ++g)
    gradients.parameters.push_back(loss_gradients_[g]);
  ends.learned(frame, network_.loss.evaluate(data, &gradients));
}

/// Whether there is one: the first frames meet none.
bool OnlinePipeline::take_gradient() {
  parallel::HandOver::take(comm_, carry_.data(), carry_.size(), comm_.rank() + 1);
  return carry_[carry_.size() - 1] != 0;
}

// g_l = A_{l+1}^T g_{l+1}, dW_l = (df_l / dW_l)^T g_l, each at the frame that is here
void OnlinePipeline::backward() {
  const Index m = local_.size(), n = network_.chain.width();
  if (m > 0) {
    const ConstStates no_loss(by_states_.data(), {0, 1, n});
    const States by_states(by_states_.data(), {m, 1, n});
    sequence::GroupRows rows;
    chain_gradients_.clear_shared();
    chain_gradients_.slice(0, m, rows);
    if (rows.empty()) {
      linearised_->substitute(local_, Direction::backward, no_loss, by_states, carry());
    } else {
      network_.chain.backpropagate(*linearised_, local_,
                                   {states_.slice(0, m), no_loss, by_states, carry(), rows});
    }
  }
  if (is_first())
    network_.embedding.gradient({sample_.data(), {1, sample_.size()}}, carry(),
                                {embedding_gradient_.data(), {embedding_gradient_.size()}},
                                State());
}

void OnlinePipeline::pass_gradient(bool there) {
  carry_[carry_.size() - 1] = there ? 1 : 0;
  std::copy(carry_.begin(), carry_.end(), to_previous_->room());
  to_previous_->send();
}

}  // namespace deeppcr::train
