#pragma once

#include <string>

#include "deeppcr/train/chain_solver.hpp"

namespace deeppcr::test {

/// Both passes of training, near rounding: forward step after step, or by Newton's method with a
/// linear solver.
inline void set_passes(train::ChainSolverOptions& options, const std::string& forward,
                       const std::string& backward) {
  options.settings.tolerance.rtol = 1e-14;
  options.backward = backward;
  if (forward == "sequential") return;
  options.forward = "newton";
  options.settings.own = OptionValues(nonlinear::find("newton").options);
  options.settings.own.set("linear", forward);
}

}  // namespace deeppcr::test
