#pragma once

#include <string>
#include <vector>

#include "deeppcr/models/catalogue.hpp"

namespace deeppcr::bench {

/// One of the networks that solvers are compared on.
struct NamedChain {
  std::string name;
  models::ModelOptions options;  ///< steps and width are to be set
  bool forgets = false;          ///< default-initialised tanh and relu: shooting's best case
};

/// mlp with tanh, relu and gelu, and tanh by xavier with gains 0.9 and 1; resnets of scale 1/L and
/// 1/sqrt(L) with tanh and relu; affine chains of contraction 0.5, 0.99, 1 and 1.01.
const std::vector<NamedChain>& all_chains();
/// Those of these names, all where there are none. @throws Error that lists the known names
std::vector<NamedChain> chosen_chains(const std::vector<std::string>& names);

}  // namespace deeppcr::bench
