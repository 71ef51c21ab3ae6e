// A program of its own brings its own chain, a leaky recurrent cell driven by x_l = sin(l / 10),
//     z_{l+1} = (1 - c) z_l + c tanh(W z_l + x_l),
// solves for all time steps at once and compares with walking through them.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "deeppcr/core/random.hpp"
#include "deeppcr/nonlinear/newton.hpp"
#include "deeppcr/parallel/runtime.hpp"
#include "deeppcr/sequence/propagate.hpp"

using namespace deeppcr;

constexpr int n = 4;        // width of the state
constexpr double c = 0.25;  // share of the new in each step

/// A_l = (1 - c) I + c diag(s_l) W, with the slopes s_l = 1 - tanh^2, [m, B, n].
class LeakyJacobian : public blocks::Linearisation {
 public:
  LeakyJacobian(Index first, Index size, const Buffer<Real>& W)
      : first_(first), W_(W), slopes_(size) {}

  Buffer<Real>& slopes() { return slopes_; }
  void product(Index l, Direction direction, ConstPanel V, Panel out) const override {
    const bool transposed = direction == Direction::backward;
    for (Index b = 0; b < V.extent(0); ++b)
      for (Index k = 0; k < V.extent(1); ++k)
        for (int i = 0; i < n; ++i) {
          const Real* s = &slopes_[((l - first_) * V.extent(0) + b) * n];
          Real sum = 0;
          for (int j = 0; j < n; ++j)
            sum += (transposed ? s[j] * W_[j * n + i] : s[i] * W_[i * n + j]) * V(b, k, j);
          out(b, k, i) = (1 - c) * V(b, k, i) + c * sum;
        }
  }

 private:
  Index first_;
  const Buffer<Real>& W_;
  Buffer<Real> slopes_;
};

class LeakyCell : public sequence::Sequence {
 public:
  explicit LeakyCell(Index num_steps) : num_steps_(num_steps), W_(n * n) {
    RandomStream(/*seed=*/1, /*stream=*/0).uniform(0, n * n, W_.data());
    for (Real& w : W_) w /= n;
  }

  Index num_steps() const override { return num_steps_; }
  int width() const override { return n; }
  void value(StepRange range, ConstStates in, States out) const override {
    for (Index m = 0; m < range.size(); ++m)
      for (Index b = 0; b < in.extent(1); ++b)
        for (int i = 0; i < n; ++i) {
          double a = std::sin(static_cast<double>(range.first + m) / 10);
          for (int j = 0; j < n; ++j) a += W_[i * n + j] * in(m, b, j);
          out(m, b, i) = (1 - c) * in(m, b, i) + c * std::tanh(a);
        }
  }

  std::unique_ptr<blocks::Linearisation> linearise(StepRange range, ConstStates in,
                                                   States out) const override {
    value(range, in, out);
    auto A = std::make_unique<LeakyJacobian>(range.first, in.size(), W_);
    for (Index i = 0; i < in.size(); ++i)  // the tanh follows from the value
      A->slopes()[i] = 1 - std::pow((out.data()[i] - (1 - c) * in.data()[i]) / c, 2);
    return A;
  }

 private:
  Index num_steps_;
  Buffer<Real> W_;
};

int run(const parallel::Communicator& comm) {
  const LeakyCell cell(/*num_steps=*/500);
  const auto layout = parallel::BlockLayout::balanced(cell.num_steps(), comm.size());
  sequence::Trajectory z(comm, layout, /*batch=*/3, n), walked(comm, layout, /*batch=*/3, n);
  for (auto* way : {&z, &walked}) RandomStream(1, 1).normal(0, 3 * n, way->input().data());

  z.fill_with_input();  // Newton's start
  const auto report = nonlinear::Newton(comm, cell, {}).solve(z);
  sequence::propagate(cell, walked);

  double error = 0;
  for (Index i = 0; i < z.states().size(); ++i)
    error = std::max(error, std::abs(z.states().data()[i] - walked.states().data()[i]));
  error = comm.max(error);
  if (comm.is_root())
    std::printf("%s after %d iterations on %d ranks, largest difference %.1e\n",
                to_string(report.status), report.iterations, comm.size(), error);
  // A chain that does not expand adds up the residuals of its steps at most.
  return error <= 500 * report.tolerance ? 0 : 1;
}

int main(int argc, char** argv) { return parallel::Runtime(argc, argv).run(run); }
