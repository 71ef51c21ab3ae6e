#pragma once

#include <string>

#include "deeppcr/train/chain_network.hpp"

namespace deeppcr::test {

/// Both passes of training, near rounding: forward step after step, or by Newton's method with a
/// linear solver.
inline void set_passes(train::PassMethods& methods, const std::string& forward,
                       const std::string& backward) {
  methods.settings.tolerance.rtol = 1e-14;
  methods.backward = backward;
  if (forward == "sequential") return;
  methods.forward = "newton";
  methods.settings.own = OptionValues(nonlinear::find("newton").options);
  methods.settings.own.set("linear", forward);
}

}  // namespace deeppcr::test
