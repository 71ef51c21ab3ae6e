#include "nonlinear/wavefront_backward.hpp"

#include <algorithm>

#include "deeppcr/core/profile.hpp"
#include "deeppcr/linear/catalogue.hpp"
#include "nonlinear/wavefront_pass.hpp"

namespace deeppcr::nonlinear {

namespace {

/// The backward pass of this rank's layers, with all that it reads and writes of all steps.
class BackwardLayers {
 public:
  BackwardLayers(const BackwardTask& task, const LayersOnRanks& layers);

  /// A chunk through own layers, from the last to the first.
  void walk(StepRange chunk, const Real* from_above, Real* by_inputs);
  /// Gradients of states to the ranks of their steps.
  void finish();

  const parallel::Traffic& sent() const { return sent_; }

 private:
  /// One layer: z_0 and the states [L + 1, B, w], explicit gradients of the steps from
  /// first_with_loss_ on, gradients [L, B, w] and the carry [B, w].
  struct Layer {
    sequence::Columns columns;
    Buffer<Real> states, loss, gradient, carry;
    sequence::GroupRows parameters;  ///< of the layer
  };
  void fetch_states();
  void fetch_loss();
  void take_parameters();
  void walk_layer(Index k, StepRange chunk, const Real* x, const Real* from_above, Real* by_inputs);
  States table(Buffer<Real>& values, const Layer& layer, StepRange rows) const;

  const BackwardTask& task_;
  const LayersOnRanks& layers_;
  StepRange own_;
  Index steps_, batch_;
  Index first_with_loss_ = 0;
  std::vector<Layer> all_;
  Buffer<Real> inputs_;  ///< of the first own layer, [L, B, d]
  Buffer<Real> outputs_, handed_[2];
  parallel::Traffic sent_;
};

BackwardLayers::BackwardLayers(const BackwardTask& task, const LayersOnRanks& layers)
    : task_(task),
      layers_(layers),
      own_(layers.own()),
      steps_(task.at.layout().num_steps()),
      batch_(task.at.batch()) {
  for (Index k = own_.first; k < own_.last; ++k) {
    Layer& one = all_.emplace_back();
    one.columns = layers.columns(k);
    const Index state = batch_ * one.columns.count;
    one.states.reset((steps_ + 1) * state);
    one.gradient.reset(steps_ * state);
    one.carry.reset(state);
  }
  fetch_states();
  fetch_loss();
  take_parameters();
  Buffer<Real> of_chain = layers.chain_inputs(sent_), below = layers.outputs_below(sent_);
  inputs_ = layers.is_first() ? std::move(of_chain) : std::move(below);
}

States BackwardLayers::table(Buffer<Real>& values, const Layer& layer, StepRange rows) const {
  const Index w = layer.columns.count;
  return {values.data() + rows.first * batch_ * w, {rows.size(), batch_, w}};
}

void BackwardLayers::fetch_states() {
  std::vector<Real*> data;
  for (Layer& one : all_) {
    const ConstState z0 = task_.at.input();
    Real* start = one.states.data();
    for (Index b = 0; b < batch_; ++b)
      std::copy_n(&z0(b, one.columns.first), one.columns.count, start + b * one.columns.count);
    data.push_back(start + batch_ * one.columns.count);
  }
  layers_.to_layers(task_.at.layout().first_steps(), task_.at.states().data(), data, sent_);
}

/// Each rank has explicit gradients of its last steps, or of none; between them stand zeros.
void BackwardLayers::fetch_loss() {
  const std::vector<Index> counts = layers_.comm().gather_all(task_.loss.extent(0));
  const std::vector<Index>& first_steps = task_.at.layout().first_steps();
  std::vector<Index> first_rows{0};
  for (const Index count : counts) first_rows.push_back(first_rows.back() + count);
  first_with_loss_ = steps_;
  for (std::size_t p = counts.size(); p-- > 0;)
    if (counts[p] > 0) first_with_loss_ = first_steps[p + 1] - counts[p];
  std::vector<Buffer<Real>> rows;
  std::vector<Real*> data;
  for (const Layer& one : all_)
    data.push_back(rows.emplace_back(first_rows.back() * batch_ * one.columns.count).data());
  layers_.to_layers(first_rows, task_.loss.data(), data, sent_);
  for (std::size_t i = 0; i < all_.size(); ++i) {
    const Index state = batch_ * all_[i].columns.count;
    all_[i].loss.reset((steps_ - first_with_loss_) * state);
    for (std::size_t p = 0; p < counts.size(); ++p)
      std::copy_n(
          data[i] + first_rows[p] * state, counts[p] * state,
          all_[i].loss.data() + (first_steps[p + 1] - counts[p] - first_with_loss_) * state);
  }
}

/// The groups of layers follow each other in those of the chain.
void BackwardLayers::take_parameters() {
  if (!task_.wants_parameters()) return;
  int group = 0;
  for (Index k = 0; k < own_.last; ++k) {
    const int groups = static_cast<int>(layers_.parameter_groups(k));
    for (int g = 0; g < groups && k >= own_.first; ++g)
      all_[static_cast<std::size_t>(k - own_.first)].parameters.push_back(
          (*task_.parameters)[group + g]);
    group += groups;
  }
}

void BackwardLayers::walk(StepRange chunk, const Real* from_above, Real* by_inputs) {
  const Index rows = chunk.size() * batch_;
  for (Index k = own_.last - 1; k >= own_.first; --k) {
    const Index d = layers_.layer(k).input_width();
    const Real* x = inputs_.data() + chunk.first * batch_ * d;
    Real* out = by_inputs;
    if (k > own_.first) {
      const Layer& below = all_[static_cast<std::size_t>(k - 1 - own_.first)];
      const Index w = below.columns.count;
      x = columns_of(rows, w, layers_.layer(k - 1).output(),
                     below.states.data() + (chunk.first + 1) * batch_ * w, outputs_);
      Buffer<Real>& next = handed_[k % 2];
      next.reserve(rows * d);
      out = next.data();
    }
    walk_layer(k, chunk, x, from_above, out);
    from_above = out;
  }
}

void BackwardLayers::walk_layer(Index k, StepRange chunk, const Real* x, const Real* from_above,
                                Real* by_inputs) {
  Layer& one = all_[static_cast<std::size_t>(k - own_.first)];
  const sequence::Sequence& layer = layers_.layer(k);
  const StepRange with_loss{std::clamp(first_with_loss_, chunk.first, chunk.last) -
                                std::min(first_with_loss_, chunk.last),
                            chunk.last - std::min(first_with_loss_, chunk.last)};
  const States in = table(one.states, one, chunk),
               out = table(one.states, one, {chunk.first + 1, chunk.last + 1});
  sequence::BackwardPass pass{in,
                              table(one.loss, one, with_loss),
                              table(one.gradient, one, chunk),
                              {one.carry.data(), {batch_, one.columns.count}},
                              one.parameters};
  const Index m = chunk.size();
  if (from_above != nullptr) pass.from_above = {from_above, {m, batch_, layer.output().count}};
  if (by_inputs != nullptr) pass.by_inputs = {by_inputs, {m, batch_, layer.input_width()}};
  const auto bound = layers_.bound(k, chunk, x);
  bound->backpropagate(*bound->linearise_at_solution(chunk, in, out), chunk, pass);
}

void BackwardLayers::finish() {
  std::vector<Real*> gradients, carries;
  for (Layer& one : all_) {
    gradients.push_back(one.gradient.data());
    carries.push_back(one.carry.data());
  }
  layers_.to_steps(task_.at.layout().first_steps(), gradients, task_.gradient.data(), sent_);
  std::vector<Index> on_first(static_cast<std::size_t>(layers_.comm().size()) + 1, 1);
  on_first.front() = 0;
  layers_.to_steps(on_first, carries, task_.input.data(), sent_);
}

}  // namespace

WavefrontBackward::WavefrontBackward(Index chunk_steps)
    : chunk_steps_(chunk_steps), alone_(linear::make("sequential")) {}

void WavefrontBackward::run(const BackwardTask& task, StageTimes& stages) {
  const LayersOnRanks layers(task.chain, task.at, chunk_steps_);
  const WavefrontPlan& plan = layers.plan();
  const Index L = task.at.layout().num_steps();
  double clock = static_cast<double>(L * plan.layers().num_steps());
  if (plan.num_stages() > 1 && L > 0) {
    const Stopwatch watch;
    BackwardLayers work(task, layers);
    WavefrontPass pass(layers, Direction::backward);
    pass.run([&work](StepRange chunk, const Real* in, Real* out) { work.walk(chunk, in, out); });
    work.finish();
    if (task.ready && !task.at.local_range().empty()) task.ready(task.at.local_range());
    stages.add("linear", watch.seconds());
    sent_ = work.sent();
    sent_ += pass.sent();
    clock = task.at.comm().max(pass.clock());
  } else {
    alone_.run(task, stages);
    sent_ = alone_.neighbours();
  }
  path_ = plan.path(clock);
  report_ = plan.report(clock);
}

linear::SolveOutcome WavefrontBackward::outcome(const parallel::BlockLayout&) const {
  linear::SolveOutcome outcome;
  outcome.method = "wavefront";
  outcome.path.evaluations = path_;
  return outcome;
}

}  // namespace deeppcr::nonlinear
