#include "deeppcr/train/frame_pipeline.hpp"

#include <algorithm>

namespace deeppcr::train {

namespace {

/// Numbers behind the state in a message: what it is, the frame's number and its label.
constexpr Index kBehind = 3;

}  // namespace

FramePipeline::FramePipeline(const parallel::Communicator& comm, const sequence::Sequence& chain,
                             const parallel::BlockLayout& layout)
    : comm_(comm),
      chain_(chain),
      local_(layout.range(comm.rank())),
      width_(chain.width()),
      states_((local_.size() + 1) * width_),
      message_(width_ + kBehind) {
  if (comm.rank() + 1 < comm.size()) to_next_.emplace(comm, comm.rank() + 1, message_.size());
}

void FramePipeline::run(const Ends& ends) {
  for (;;) {
    Frame frame;
    const Next next = is_first() ? ends.begin(frame, state(0)) : receive(frame);
    if (next == Next::frame) propagate(ends);
    if (to_next_) {
      hand_over(next, frame);
    } else if (next == Next::frame) {
      ends.end(frame, state(local_.size()));
    }
    if (next == Next::frame && ends.behind) ends.behind(frame);
    if (next == Next::end || (next == Next::pause && ends.pause())) return;
  }
}

void FramePipeline::propagate(const Ends& ends) {
  if (ends.steps) {
    ends.steps({states_.data(), {local_.size() + 1, 1, width_}});
  } else if (!local_.empty()) {
    chain_.propagate(local_, state(0), {states_.data() + width_, {local_.size(), 1, width_}});
  }
}

FramePipeline::Next FramePipeline::receive(Frame& frame) {
  parallel::HandOver::take(comm_, message_.data(), message_.size(), comm_.rank() - 1);
  std::copy_n(message_.data(), width_, states_.data());
  const Real* behind = message_.data() + width_;
  frame = {static_cast<Index>(behind[1]), static_cast<int>(behind[2])};
  return static_cast<Next>(static_cast<int>(behind[0]));
}

void FramePipeline::hand_over(Next next, const Frame& frame) {
  Real* to = to_next_->room();
  std::copy_n(states_.data() + local_.size() * width_, width_, to);
  to[width_] = static_cast<Real>(next);
  to[width_ + 1] = static_cast<Real>(frame.number);
  to[width_ + 2] = static_cast<Real>(frame.label);
  to_next_->send();
}

}  // namespace deeppcr::train
