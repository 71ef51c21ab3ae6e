#pragma once

#include <cstdint>
#include <string>

#include "deeppcr/core/types.hpp"

namespace deeppcr::models {

/// How the weights of an n x n layer start.
///
///     fan_in      uniform on +-1/sqrt(n), as PyTorch's nn.Linear ("default" on the command line)
///     xavier      uniform on +-sqrt(3/n): variance 1/n (Glorot and Bengio, AISTATS 2010)
///     he          normal with variance 2/n (He et al., arXiv 1502.01852)
///     orthogonal  uniformly distributed orthogonal matrix (Saxe et al., arXiv 1312.6120)
///     zero        all zero, bias too: to be filled through parameters()
///
/// Weights are multiplied by the gain. The bias is uniform on +-1/sqrt(n) in all but the last.
enum class Initialisation { fan_in, xavier, he, orthogonal, zero };

/// What the parameters of a chain begin with.
struct FirstWeights {
  Initialisation kind = Initialisation::fan_in;
  double gain = 1;
  std::uint64_t seed = 1;
};

/// Which random numbers a layer gets: they depend on these three only, not on the number of ranks.
struct LayerKey {
  std::uint64_t seed = 0;
  Index step = 0;  ///< global index
  int layer = 0;   ///< within the step
};

/// Fills W, column-major [n x n].
void initialise_weights(Initialisation kind, double gain, const LayerKey& key, int n, Real* W);
/// Fills b [n].
void initialise_bias(Initialisation kind, const LayerKey& key, int n, Real* b);

/// By "default", "xavier" and so on, as the command line has it. @throws Error that lists the known
/// names
Initialisation initialisation_from(const std::string& name);

}  // namespace deeppcr::models
