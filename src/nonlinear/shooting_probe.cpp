#include "nonlinear/shooting_probe.hpp"

#include <algorithm>

namespace deeppcr::nonlinear {

plan::ChunkPlan::Method ShootingProbe::choose() {
  work_.sweep_to(std::min(kSteps, work_.chunks().longest()), true);
  work_.gather([this] { return sweep_on(); });
  problem_ = linear::plan_problem(work_.states().layout(), work_.chunks());
  problem_.batch = work_.states().batch();
  problem_.width = work_.states().width();
  problem_.rtol = options_.rtol;
  problem_.newton = options_.newton;
  plan_ = plan::choose_for_chunks(linear::probed(work_.table().facts()), problem_);
  return plan_->method;
}

/// Whole blocks: those between which the states are looked at.
bool ShootingProbe::sweep_on() {
  if (work_.own().empty() || !work_.is_first_of_chain(0)) return false;
  const Chunk& first = work_.sweep()[0];
  const Index next = first.done + ChunkSweep::kBlock;
  if (next >= first.steps.size()) return false;
  work_.sweep().advance(0, next, false);
  return true;
}

Index ShootingProbe::right_steps() const {
  const Index size = work_.chunks().steps(0).size();
  const bool first = !work_.own().empty() && work_.is_first_of_chain(0);
  return std::min(first ? work_.sweep()[0].done : std::min(kSteps, size), size - 1);
}

const std::string& ShootingProbe::sentence() {
  if (plan_ && sentence_.empty() && work_.comm().is_root())
    sentence_ = plan::explain(*plan_, problem_);
  return sentence_;
}

}  // namespace deeppcr::nonlinear
