#include "deeppcr/sequence/inputs.hpp"

#include <algorithm>

namespace deeppcr::sequence {

void deal_features(ConstState features, StepRange steps, View<Real, 3> inputs) {
  const Index F = features.extent(1), d = inputs.extent(2);
  for (Index i = 0; i < steps.size(); ++i) {
    const Index first = std::min((steps.first + i) * d, F), count = std::min(d, F - first);
    for (Index b = 0; b < features.extent(0); ++b) {
      Real* x = inputs[i][b].data();
      std::copy_n(features[b].data() + first, count, x);
      std::fill(x + count, x + d, Real{0});
    }
  }
}

}  // namespace deeppcr::sequence
