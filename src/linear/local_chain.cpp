#include "deeppcr/linear/local_chain.hpp"

#include <algorithm>

namespace deeppcr::linear {

namespace {

/// What is to be called where substituting backward computes something else on its way; else null.
const blocks::Tuned* with_more_to_do(const blocks::Linearisation& A, Direction direction) {
  const blocks::Tuned* tuned = direction == Direction::backward ? A.tuned() : nullptr;
  return tuned == nullptr || tuned->repeatable() ? nullptr : tuned;
}

}  // namespace

LocalChain::LocalChain(Index batch, int width)
    : batch_(batch), width_(width), scratch_(batch, width) {}

void LocalChain::substitute(const blocks::Linearisation& A, Direction direction,
                            const blocks::Strand& part) {
  A.substitute(part.range, direction, part.rhs, part.result, part.carry);
}

void LocalChain::substitute_first(const blocks::Linearisation& A, Direction direction,
                                  const blocks::Strand& part) {
  const blocks::Tuned* tuned = with_more_to_do(A, direction);
  if (tuned == nullptr) {
    substitute(A, direction, part);
  } else {
    tuned->substitute_first(part);
  }
}

void LocalChain::catch_up(const blocks::Linearisation& A, Direction direction,
                          const blocks::Strand& part) {
  const blocks::Tuned* tuned = with_more_to_do(A, direction);
  if (tuned != nullptr) tuned->catch_up(part.range, part.result);
}

void LocalChain::skip(const blocks::Linearisation& A, Direction direction, StepRange range,
                      States result) {
  const blocks::Tuned* tuned = with_more_to_do(A, direction);
  if (tuned == nullptr) {
    std::fill(result.begin(), result.end(), 0.0);
  } else {
    tuned->skip(range, result);
  }
}

bool LocalChain::overlaps(const blocks::Linearisation& A) {
  const blocks::Tuned* tuned = A.tuned();
  return tuned != nullptr && tuned->overlaps();
}

bool LocalChain::repeatable(const blocks::Linearisation& A) {
  const blocks::Tuned* tuned = A.tuned();
  return tuned == nullptr || tuned->repeatable();
}

void LocalChain::prefetch(const blocks::Linearisation& A, Direction direction, StepRange range,
                          Index bytes) {
  const blocks::Tuned* tuned = A.tuned();
  if (tuned != nullptr) tuned->prefetch(range, direction, bytes);
}

void LocalChain::substitute_both(const blocks::Linearisation& A, Direction direction,
                                 const blocks::Strand& one, const blocks::Strand& other) {
  if (overlaps(A)) {
    A.tuned()->substitute_both(direction, one, other);
  } else {
    for (const blocks::Strand* part : {&one, &other}) substitute(A, direction, *part);
  }
}

void LocalChain::eliminate(const blocks::Linearisation& A, Direction direction, StepRange range,
                           ConstStates rhs, blocks::AffineMap& map) {
  map.set_identity();
  extend(A, direction, range, rhs, map);
}

void LocalChain::extend(const blocks::Linearisation& A, Direction direction, StepRange range,
                        ConstStates rhs, blocks::AffineMap& map) {
  A.eliminate(range, direction, rhs, map.panel(), scratch_.panel());
}

}  // namespace deeppcr::linear
