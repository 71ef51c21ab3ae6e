#include "deeppcr/linear/speculation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "deeppcr/core/cache.hpp"
#include "deeppcr/core/random.hpp"
#include "deeppcr/linear/local_chain.hpp"

namespace deeppcr::linear {

namespace {

constexpr std::uint64_t kSeed = 5;
constexpr Real kRounding = std::numeric_limits<Real>::epsilon();
/// Steps that a vector is pushed through, and steps between two looks whether states still change.
constexpr Index kProbe = 32, kPiece = 32;
/// Fewer steps are substituted through sooner than looked at.
constexpr Index kLeastSteps = 4 * kProbe;

/// Whether each of some vectors a differs from b by rounding at most. Not where either is NaN.
bool equal_to_rounding(const Real* a, const Real* b, Index vectors, Index width) {
  for (Index s = 0; s < vectors; ++s, a += width, b += width) {
    Real difference = 0, size = 0;
    for (Index i = 0; i < width; ++i) {
      const Real d = std::abs(a[i] - b[i]);
      if (!(d <= std::numeric_limits<Real>::max())) return false;
      difference = std::max(difference, d);
      size = std::max(size, std::abs(b[i]));
    }
    if (difference > kRounding * size) return false;
  }
  return true;
}

double norm(const Real* x, Index count) {
  double sum = 0;
  for (Index i = 0; i < count; ++i) sum += x[i] * x[i];
  return std::sqrt(sum);
}

}  // namespace

Speculation::Speculation(Index batch, int width)
    : batch_(batch), width_(width), start_(batch * width), guessed_(batch * width) {
  RandomStream(kSeed, 1).normal(0, start_.size(), start_.data());
}

bool Speculation::pays(double forgetting_steps, Index steps, Index ahead) {
  const Index spared = std::min(steps, ahead);
  return spared >= kLeastSteps && forgetting_steps < 0.5 * static_cast<double>(spared);
}

bool Speculation::guess(const blocks::Linearisation& A, Direction direction,
                        const blocks::Strand& part, Index ahead) {
  const Index m = part.range.size();
  if (!pays(0, m, ahead) || part.rhs.extent(0) != m || !LocalChain::repeatable(A)) return false;
  const double steps = forgetting_steps(A, direction, part.range, part.carry);
  if (!pays(steps, m, ahead)) return false;
  if (part.rhs.data() == part.result.data()) {
    kept_.reserve(part.rhs.size());
    std::copy(part.rhs.begin(), part.rhs.end(), kept_.begin());
  }
  std::fill(part.carry.begin(), part.carry.end(), 0.0);
  LocalChain::substitute(A, direction, part);
  // What will be read again.
  LocalChain::prefetch(A, direction,
                       blocks::met_first(part.range, direction, static_cast<Index>(steps) + kPiece),
                       idle_prefetch_bytes());
  return true;
}

double Speculation::forgetting_steps(const blocks::Linearisation& A, Direction direction,
                                     StepRange range, State carry) {
  rows_.reserve(kProbe * batch_ * width_);
  std::fill(rows_.begin(), rows_.end(), 0.0);
  std::copy(start_.begin(), start_.end(), carry.begin());
  const States rows(rows_.data(), {kProbe, batch_, width_});
  LocalChain::substitute(A, direction,
                         {blocks::met_first(range, direction, kProbe), rows, rows, carry});
  // The sample that forgets most slowly.
  double slowest = 0;
  for (Index s = 0; s < batch_; ++s) {
    const double decay =
        norm(carry.data() + s * width_, width_) / norm(start_.data() + s * width_, width_);
    if (!(decay < 1)) return std::numeric_limits<double>::infinity();
    slowest = std::max(slowest, decay);
  }
  return kProbe * std::log(kRounding) / std::log(slowest);
}

Index Speculation::correct(const blocks::Linearisation& A, Direction direction,
                           const blocks::Strand& part) {
  const bool forward = direction == Direction::forward;
  const ConstStates rhs = kept(part);
  const Index m = part.range.size(), state = batch_ * width_;
  // Entries that mix with each other count together.
  const Index together = A.structure() == blocks::Structure::dense ? width_ : 1;
  for (Index done = 0; done < m;) {
    const Index count = std::min(kPiece, m - done);
    const Index from = forward ? done : m - done - count, to = from + count;
    Real* last = part.result.data() + (forward ? to - 1 : from) * state;
    std::copy_n(last, state, guessed_.data());
    LocalChain::substitute(A, direction,
                           {{part.range.first + from, part.range.first + to},
                            rhs.slice(from, to),
                            part.result.slice(from, to),
                            part.carry});
    done += count;
    if (equal_to_rounding(guessed_.data(), last, state / together, together)) return done;
  }
  return m;
}

ConstStates Speculation::kept(const blocks::Strand& part) const {
  if (part.rhs.data() != part.result.data()) return part.rhs;
  return {kept_.data(), {part.range.size(), batch_, width_}};
}

}  // namespace deeppcr::linear
