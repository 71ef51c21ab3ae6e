#pragma once

#include <functional>
#include <optional>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/parallel/block_layout.hpp"
#include "deeppcr/parallel/hand_over.hpp"
#include "deeppcr/sequence/sequence.hpp"

namespace deeppcr::train {

/// One sample of a stream.
struct Frame {
  Index number = 0;  ///< its place in the stream, from 0
  int label = -1;    ///< -1: not known
};

/// Frames one behind the other through the ranks of a contiguous layout, a range of steps each: a
/// stage works on frame t while the one behind it works on frame t - 1. States have the bits of
/// Sequence::propagate() with one sample, on any number of stages.
///
///     tick        0     1     2     3     4
///     stage 0    [0]   [1]   [2]   [3]   [4]
///     stage 1          [0]   [1]   [2]   [3]
///     stage 2                [0]   [1]   [2]
///     stage 3                      [0]   [1]   --> the last state of frame t at tick t + 3
///
/// A stage waits for the one behind it and for the one before it, and for nothing else: frames are
/// not held back until others come, and never pile up between stages.
class FramePipeline {
 public:
  enum class Next { frame, pause, end };

  /// What stands at the two ends.
  struct Ends {
    /// Fills z_0 [1, n] from the next frame and says which it is; or asks for a pause, or ends. On
    /// the first stage.
    std::function<Next(Frame& frame, State z0)> begin;
    /// Takes the last state [1, n] of each frame, in order. On the last stage.
    std::function<void(const Frame& frame, ConstState last)> end;
    /// All frames before it are through. Says, equally on all ranks, whether the stream stops
    /// there. On all stages.
    std::function<bool()> pause;
    /// In place of Sequence::propagate(): the local steps from states[0], [L_local + 1, 1, n]. On
    /// all stages; may be left out.
    std::function<void(States states)> steps = {};
    /// The frame is on its way to the next stage, or through. On all stages; may be left out.
    std::function<void(const Frame& frame)> behind = {};
  };

  /// Chain and communicator must outlive the object. @pre the layout is contiguous; it may leave
  /// stages without steps
  FramePipeline(const parallel::Communicator& comm, const sequence::Sequence& chain,
                const parallel::BlockLayout& layout);

  /// Frames until the end, or a pause that stops. Collective.
  void run(const Ends& ends);

  /// Whether the next stage has taken the last frame.
  bool is_free() { return !to_next_ || to_next_->is_idle(); }

 private:
  void propagate(const Ends& ends);
  Next receive(Frame& frame);
  void hand_over(Next next, const Frame& frame);
  bool is_first() const { return comm_.rank() == 0; }
  State state(Index row) { return {states_.data() + row * width_, {1, width_}}; }

  const parallel::Communicator& comm_;
  const sequence::Sequence& chain_;
  StepRange local_;
  Index width_;
  Buffer<Real> states_;   ///< what comes in, then the local states, [L_local + 1, 1, n]
  Buffer<Real> message_;  ///< a state, then what it is of
  std::optional<parallel::HandOver> to_next_;  ///< nothing on the last stage
};

}  // namespace deeppcr::train
