#include "deeppcr/nonlinear/lyapunov.hpp"

#include <cmath>
#include <limits>
#include <utility>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/random.hpp"

namespace deeppcr::nonlinear {

namespace {

/// Scales x to length one and returns the log of the length it had.
double normalise(Real* x, int n) {
  double sum = 0;
  for (int i = 0; i < n; ++i) sum += x[i] * x[i];
  const double length = std::sqrt(sum);
  for (int i = 0; i < n; ++i) x[i] /= length;
  return std::log(length);
}

}  // namespace

double estimate_lyapunov(const parallel::Communicator& comm, const blocks::Linearisation& A,
                         StepRange local, Index batch, int width) {
  constexpr std::uint64_t kStream = 0x6c796170;  // "lyap"
  // A vector that has died (all entries zero) is counted once at the smallest normal number and
  // drawn again.
  const double kDead = std::log(std::numeric_limits<double>::min());
  const Index state = batch * width;
  Buffer<Real> first(state), second(state);
  const std::array<Index, 3> shape{batch, 1, width};
  const RandomStream random(0, kStream);
  random.normal(0, state, first.data());
  for (Index b = 0; b < batch; ++b) normalise(first.data() + b * width, width);
  double growth = 0;
  for (Index l = local.first; l < local.last; ++l) {
    A.product(l, Direction::forward, ConstPanel(first.data(), shape), Panel(second.data(), shape));
    for (Index b = 0; b < batch; ++b) {
      Real* x = second.data() + b * width;
      const double log_length = normalise(x, width);
      if (std::isinf(log_length) && log_length < 0) {
        growth += kDead;
        random.normal((l * batch + b) * width, width, x);
        normalise(x, width);
      } else {
        growth += log_length;
      }
    }
    first.swap(second);
  }
  const double steps = comm.sum(static_cast<double>(local.size() * batch));
  const double total = comm.sum(growth);
  return steps > 0 ? total / steps : 0.0;
}

}  // namespace deeppcr::nonlinear
