#include "deeppcr/linear/local_chain.hpp"

namespace deeppcr::linear {

LocalChain::LocalChain(Index batch, int width)
    : batch_(batch), width_(width), scratch_(batch, width) {}

void LocalChain::substitute(const blocks::Linearisation& A, Direction direction,
                            const blocks::Strand& part) {
  if (direction == Direction::forward) {
    A.substitute(part.range, part.rhs, part.result, part.carry);
  } else {
    A.substitute_transposed(part.range, part.rhs, part.result, part.carry);
  }
}

void LocalChain::substitute_first(const blocks::Linearisation& A, Direction direction,
                                  const blocks::Strand& part) {
  if (direction == Direction::forward) {
    substitute(A, direction, part);
  } else {
    A.substitute_transposed_first(part.range, part.rhs, part.result, part.carry);
  }
}

void LocalChain::catch_up(const blocks::Linearisation& A, Direction direction,
                          const blocks::Strand& part) {
  if (direction == Direction::backward) A.catch_up(part.range, part.result);
}

void LocalChain::substitute_both(const blocks::Linearisation& A, Direction direction,
                                 const blocks::Strand& one, const blocks::Strand& other) {
  if (direction == Direction::forward) {
    A.substitute_both(one, other);
  } else {
    A.substitute_both_transposed(one, other);
  }
}

void LocalChain::eliminate(const blocks::Linearisation& A, Direction direction, StepRange range,
                           ConstStates rhs, blocks::AffineMap& map) {
  map.set_identity();
  extend(A, direction, range, rhs, map);
}

void LocalChain::extend(const blocks::Linearisation& A, Direction direction, StepRange range,
                        ConstStates rhs, blocks::AffineMap& map) {
  if (direction == Direction::forward) {
    A.eliminate(range, rhs, map.panel(), scratch_.panel());
  } else {
    A.eliminate_transposed(range, rhs, map.panel(), scratch_.panel());
  }
}

}  // namespace deeppcr::linear
