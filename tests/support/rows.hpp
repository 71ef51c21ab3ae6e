#pragma once

#include "deeppcr/sequence/sequence.hpp"

namespace deeppcr::test {

/// The rows of a chain whose parameters are one group.
inline View<Real, 2> rows_of(sequence::Sequence& chain) {
  return chain.parameters().front().values;
}

}  // namespace deeppcr::test
