#include "deeppcr/sequence/sequence.hpp"

namespace deeppcr::sequence {

void Sequence::propagate(StepRange range, ConstState z, States out) const {
  const Index batch = z.extent(0), n = z.extent(1);
  const Real* before = z.data();
  for (Index l = range.first; l < range.last; ++l) {
    const States after = out.slice(l - range.first, l - range.first + 1);
    value({l, l + 1}, ConstStates(before, {1, batch, n}), after);
    before = after.data();
  }
}

}  // namespace deeppcr::sequence
