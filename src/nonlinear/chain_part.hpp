#pragma once

#include <algorithm>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/nonlinear/approximate_jacobian.hpp"
#include "deeppcr/parallel/exchange.hpp"
#include "deeppcr/sequence/trajectory.hpp"

namespace deeppcr::nonlinear {

/// Where the states of a windowed solve lie, and how ranks learn of each other's. The state before
/// step l is at state(l), followed by those after it up to the end of the part.
class ChainPart {
 public:
  virtual ~ChainPart() = default;
  virtual Section section(StepRange window) const = 0;
  virtual Real* state(Index l) = 0;
  /// Makes right what this rank needs of the others' states after a change. Collective.
  virtual void exchange(const Section& section, parallel::Traffic& traffic) = 0;
  /// What a monitor is shown.
  virtual const Real* shown() = 0;
};

/// Every rank holds all states and can do every step.
class SharedSteps final : public ChainPart {
 public:
  SharedSteps(const parallel::Communicator& comm, States states) : comm_(comm), states_(states) {}

  Section section(StepRange window) const override {
    const auto parts = parallel::BlockLayout::balanced(window.size(), comm_.size());
    const StepRange mine = parts.range(comm_.rank());
    return {window,
            {window.first + mine.first, window.first + mine.last},
            0,
            parts.num_active_ranks() - 1};
  }
  Real* state(Index l) override { return states_[l].data(); }
  void exchange(const Section& section, parallel::Traffic& traffic) override {
    const auto parts = parallel::BlockLayout::balanced(section.window.size(), comm_.size());
    parallel::gather_rows(comm_, parts.first_steps(), state(section.window.first + 1),
                          states_.extent(1) * states_.extent(2), traffic);
  }
  const Real* shown() override { return states_.data() + states_.extent(1) * states_.extent(2); }

 private:
  const parallel::Communicator& comm_;
  States states_;
};

/// Each rank holds its own steps, [left neighbour's last state, own states].
class OwnSteps final : public ChainPart {
 public:
  OwnSteps(const sequence::Sequence& sequence, sequence::Trajectory& trajectory)
      : sequence_(sequence),
        trajectory_(trajectory),
        row_(trajectory.batch() * trajectory.width()),
        states_((trajectory.local_range().size() + 1) * row_) {
    std::copy(trajectory.input().begin(), trajectory.input().end(), states_.begin());
    take();
  }

  /// Copies the trajectory's states, and back.
  void take() {
    std::copy(trajectory_.states().begin(), trajectory_.states().end(), states_.begin() + row_);
  }
  void give() {
    std::copy(states_.begin() + row_, states_.end(), trajectory_.states().begin());
    trajectory_.touched();
  }

  Section section(StepRange window) const override {
    const parallel::BlockLayout& layout = trajectory_.layout();
    if (window.empty()) return {window, {window.first, window.first}, 0, -1};
    const StepRange local = trajectory_.local_range();
    const StepRange mine = intersect(window, local);
    return {window, mine, layout.owner(window.first), layout.owner(window.last - 1)};
  }
  Real* state(Index l) override {
    return states_.data() + (l - trajectory_.local_range().first) * row_;
  }
  void exchange(const Section&, parallel::Traffic& traffic) override {
    const StepRange local = trajectory_.local_range();
    parallel::halo(trajectory_.comm(), 0, trajectory_.layout().num_active_ranks() - 1,
                   Direction::forward, state(local.last), states_.data(), row_, traffic);
  }
  const Real* shown() override { return states_.data() + row_; }

 private:
  const sequence::Sequence& sequence_;
  sequence::Trajectory& trajectory_;
  Index row_;
  Buffer<Real> states_;
};

}  // namespace deeppcr::nonlinear
