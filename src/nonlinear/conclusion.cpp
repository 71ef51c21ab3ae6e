#include "deeppcr/nonlinear/conclusion.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "deeppcr/core/profile.hpp"
#include "deeppcr/sequence/propagate.hpp"

namespace deeppcr::nonlinear {

namespace {

constexpr double kLog10 = 2.302585092994046;

}  // namespace

double largest_state(const sequence::Trajectory& states) {
  // A number of 32 steps apart: what one of them is, those behind it are, NaN above all.
  constexpr Index kApart = 32;
  const ConstStates z = states.states();
  double most = sequence::largest_entry(states.input());
  for (Index i = z.extent(0); i > 0; i -= kApart)
    most = std::max(most, sequence::largest_entry(z[i - 1]));
  return most;
}

std::string why_growth(const SolveReport& report, double error) {
  return fmt::format(
      "the chain expands (Lyapunov exponent {:+.2g}; a change grows up to 1e{:+.0f} times), so "
      "that a residual of {:.1e} may be an error of {:.1e} tolerances",
      report.lyapunov, report.growth / kLog10, report.residual, error);
}

std::string why_not_finite(const std::string& after) {
  return fmt::format("the states became infinite or NaN after {}", after);
}

void take_sequential(double largest, Index num_steps, const Tolerance& tolerance,
                     SolveReport& report) {
  const bool finite = std::isfinite(largest);
  report.tolerance = tolerance.limit(largest);
  // Each state is the value of the one before it.
  report.residual = finite ? 0 : largest;
  if (finite) report.frozen_prefix = report.exact_states = num_steps;
}

void end_sequential(double largest, Index num_steps, const Tolerance& tolerance,
                    SolveReport& report) {
  take_sequential(largest, num_steps, tolerance, report);
  report.status = std::isfinite(largest) ? Status::converged : Status::failed;
  if (report.status == Status::failed)
    report.reason = "the chain itself overflows or meets a value that is no number";
}

namespace {

/// All steps behind the exact ones, one after another.
parallel::Traffic fall_back(Index exact, const Tolerance& tolerance,
                            const sequence::Sequence& chain, sequence::Trajectory& states,
                            SolveReport& report) {
  const Stopwatch watch;
  const Index L = states.layout().num_steps();
  parallel::Traffic all;
  sequence::propagate(chain, states, exact, &all);
  report.frozen_prefix = report.exact_states = exact;
  std::vector<double> worst{largest_state(states), watch.seconds()};
  states.comm().max(worst);
  take_sequential(worst[0], L, tolerance, report);
  report.path.evaluations += static_cast<double>(L - exact);
  report.seconds["fallback"] = worst[1];
  if (std::isfinite(report.tolerance)) {
    report.status = Status::fell_back;
    report.reason += fmt::format("; sequential substitution from step {} on", exact);
  } else {
    report.reason += "; sequential execution gives infinite or NaN states as well";
  }
  return states.comm().is_root() ? all : parallel::Traffic();  // it counts those of all ranks
}

}  // namespace

parallel::Traffic conclude(const Conclusion& conclusion, const Tolerance& tolerance,
                           const sequence::Sequence& chain, sequence::Trajectory& states,
                           SolveReport& report) {
  parallel::Traffic sent;
  report.exact_states = conclusion.exact;
  report.reason = conclusion.interrupted ? "stopped on request" : conclusion.why_not;
  if (conclusion.interrupted) {
    report.status = Status::interrupted;
    return sent;
  }
  report.status = report.reason.empty() ? Status::converged : Status::failed;
  if (report.status == Status::converged) return sent;
  if (conclusion.fallback) sent = fall_back(conclusion.exact, tolerance, chain, states, report);
  if (!std::isfinite(report.tolerance) || !std::isfinite(report.residual) ||
      !conclusion.measures_growth)
    return sent;
  const Assessment found = assess(chain, states, tolerance, sent);
  report.lyapunov = found.lyapunov;
  report.growth = found.growth;
  if (report.status == Status::failed && found.hopeless)
    report.reason += fmt::format(
        "; a change grows up to 1e{:+.0f} times along the chain: it determines no trajectory in "
        "this precision, and sequential execution was not to decide",
        report.growth / kLog10);
  return sent;
}

}  // namespace deeppcr::nonlinear
