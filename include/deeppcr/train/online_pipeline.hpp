#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "deeppcr/models/end.hpp"
#include "deeppcr/models/loss.hpp"
#include "deeppcr/train/frame_pipeline.hpp"
#include "deeppcr/train/optimiser.hpp"

namespace deeppcr::train {

/// Learning from frames as they come, one after the other through the stages of a FramePipeline.
///
/// In a tick, a stage passes a frame forward and, with its state and weights of just then, the
/// gradient back that the next stage has made one tick before; then its optimiser takes a step.
/// Old states and weights are not kept. Stage i works on frame t - i at tick t; {f}: the gradient
/// it uses is of the loss of frame f, 2 (S - 1 - i) frames older.
///
///     tick        0    1    2    3       4       5       6       7
///     stage 0    [0]  [1]  [2]  [3]     [4]     [5]     [6]{0}  [7]{1}
///     stage 1         [0]  [1]  [2]     [3]     [4]{0}  [5]{1}  [6]{2}
///     stage 2              [0]  [1]     [2]{0}  [3]{1}  [4]{2}  [5]{3}
///     stage 3                   [0]{0}  [1]{1}  [2]{2}  [3]{3}  [4]{4}
///
/// One stage: each frame is one step of the optimiser (online learning). A stage takes no step
/// without a gradient, so that N frames are N - 2 (S - 1 - i) steps; gradients under way when the
/// frames end are dropped. One that is infinite or NaN changes nothing.
/// Cost: a frame takes max_i(forward + backward of stage i), and two messages of n reals.
/// Source: PARTIME, arXiv 2210.09147
class OnlinePipeline {
 public:
  using Next = FramePipeline::Next;

  /// The steps of this stage and the two ends, which the first and the last stage learn.
  struct Network {
    sequence::Sequence& chain;
    models::End& embedding;
    models::Loss& loss;  ///< of a chain of one step: of the last state alone
  };
  struct Ends {
    /// As in FramePipeline, but it fills the sample [1, embedding inputs].
    std::function<Next(Frame& frame, State sample)> begin;
    /// Takes the last state [1, n], before anything is learned from its frame. On the last stage.
    std::function<void(const Frame& frame, ConstState last)> end;
    /// The loss of this frame, which has a label. On the last stage.
    std::function<void(const Frame& frame, const models::LossReport& report)> learned;
    std::function<bool()> pause;  ///< as in FramePipeline
  };

  /// Communicator and network must outlive the object. @pre the layout is contiguous; no steps
  /// share parameters, unless there is one stage
  OnlinePipeline(const parallel::Communicator& comm, const Network& network,
                 const parallel::BlockLayout& layout, const OptimiserOptions& optimiser,
                 Schedule schedule);

  /// Frames until the end, or a pause that stops; another call begins with empty stages.
  /// Collective.
  void run(const Ends& ends);

  bool is_free() { return frames_.is_free(); }
  /// Frames between the state and the loss that meet at a stage.
  static Index staleness(int stage, int stages) { return 2 * (Index{stages} - 1 - stage); }
  /// Steps of this stage's optimiser, over all runs.
  Index updates() const { return optimiser_.updates(); }
  /// What this stage learns, with its last gradients.
  const std::vector<ParameterGroup>& parameters() const { return parameters_; }
  /// What learning goes on from besides updates(), between two runs: "parameters/..", then
  /// "optimiser/..".
  std::vector<StoredArray> stored();
  /// Says that those were filled as they stood after so many updates.
  void resume(Index updates) { optimiser_.set_updates(updates); }

 private:
  bool is_first() const { return comm_.rank() == 0; }
  bool is_last() const { return comm_.rank() + 1 == comm_.size(); }
  std::vector<ParameterGroup> group();
  State carry() { return {carry_.data(), {1, network_.chain.width()}}; }

  void forward(States states);
  void learn(const Frame& frame, const Ends& ends);
  void differentiate_loss(const Frame& frame, const Ends& ends);
  bool take_gradient();
  void backward();
  void pass_gradient(bool there);

  const parallel::Communicator& comm_;
  parallel::Communicator alone_ = parallel::Communicator::self();  ///< holders of parameters
  Network network_;
  StepRange local_;
  FramePipeline frames_;
  Schedule schedule_;  ///< by the updates of this stage
  sequence::ParameterGradients chain_gradients_, loss_gradients_;
  Buffer<Real> embedding_gradient_;
  std::vector<ParameterGroup> parameters_;
  Optimiser optimiser_;

  Buffer<Real> sample_;  ///< on the first stage
  States states_;        ///< of the frame here, [L_local + 1, 1, n]
  std::unique_ptr<blocks::Linearisation> linearised_;
  Buffer<Real> by_states_;  ///< gradient by the local states
  Buffer<Real> carry_;      ///< by the last of them, then by the first; whether there is one
  Index done_ = 0;          ///< frames of this run
  std::optional<parallel::HandOver> to_previous_;  ///< nothing on the first stage
};

}  // namespace deeppcr::train
