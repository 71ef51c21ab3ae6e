#include "deeppcr/blocks/linearisation.hpp"

#include <vector>

namespace deeppcr::blocks {

void Linearisation::blocks(StepRange range, Blocks A) const {
  const Index batch = A.extent(1), n = A.extent(2);
  std::vector<Real> identity(static_cast<std::size_t>(batch * n * n), 0.0);
  const Panel V(identity.data(), {batch, n, n});
  for (Index b = 0; b < batch; ++b)
    for (Index i = 0; i < n; ++i) V(b, i, i) = 1.0;
  for (Index l = range.first; l < range.last; ++l) jvp(l, V, A[l - range.first]);
}

}  // namespace deeppcr::blocks
