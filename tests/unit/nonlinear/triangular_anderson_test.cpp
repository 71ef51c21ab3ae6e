#include "nonlinear/triangular_anderson.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "support/sampling_problem.hpp"
#include "support/stopping_monitor.hpp"

namespace deeppcr::nonlinear {
namespace {

using test::SamplingProblem;
using test::world;

WindowedOptions accelerated(int history, Index window = 0) {
  WindowedOptions options = test::sampler_options();
  options.jacobian = Jacobian::gaussian;
  options.history = history;
  options.window = window;
  return options;
}

/// States and corrections of two sweeps, of random numbers.
struct TwoSweeps {
  static constexpr Index kSteps = 6, kBatch = 2, kWidth = 3, kSize = kSteps * kBatch * kWidth;

  TwoSweeps()
      : z{Buffer<Real>(kSize), Buffer<Real>(kSize)}, d{Buffer<Real>(kSize), Buffer<Real>(kSize)} {
    for (Index k : {0, 1}) {
      RandomStream(3, static_cast<std::uint64_t>(k)).normal(0, kSize, z[k].data());
      RandomStream(4, static_cast<std::uint64_t>(k)).normal(0, kSize, d[k].data());
    }
  }
  static States view(Buffer<Real>& of) { return {of.data(), {kSteps, kBatch, kWidth}}; }
  /// The corrections of the second, accelerated from step `first` on.
  Buffer<Real> corrections(int history, Index first) {
    TriangularAnderson anderson(history, kSteps, kBatch, kWidth);
    anderson.observe({0, kSteps}, view(z[0]), view(d[0]));
    anderson.observe({0, kSteps}, view(z[1]), view(d[1]));
    Buffer<Real> changed(kSize);
    std::copy(d[1].begin(), d[1].end(), changed.begin());
    anderson.accelerate(first, view(changed));
    return changed;
  }

  std::array<Buffer<Real>, 2> z, d;
};

// gamma_l = sum_{k <= l} D_k d_k / sum_{k <= l} D_k D_k, of each sample.
TEST(TriangularAnderson, OfOneChangeIsASecantOverTheStatesSoFar) {
  TwoSweeps sweeps;
  Buffer<Real> found = sweeps.corrections(1, 1);
  const States z0 = TwoSweeps::view(sweeps.z[0]), z1 = TwoSweeps::view(sweeps.z[1]),
               d0 = TwoSweeps::view(sweeps.d[0]), d1 = TwoSweeps::view(sweeps.d[1]);
  for (Index b = 0; b < TwoSweeps::kBatch; ++b) {
    double products = 0, right = 0;
    for (Index l = 0; l < TwoSweeps::kSteps; ++l) {
      for (Index i = 0; i < TwoSweeps::kWidth; ++i) {
        const double D = d1(l, b, i) - d0(l, b, i);
        products += D * D;
        right += D * d1(l, b, i);
      }
      for (Index i = 0; i < TwoSweeps::kWidth; ++i) {
        const double target = z1(l, b, i) + d1(l, b, i) - z0(l, b, i) - d0(l, b, i);
        const double expected = l == 0 ? d1(l, b, i) : d1(l, b, i) - right / products * target;
        EXPECT_NEAR(TwoSweeps::view(found)(l, b, i), expected, 1e-8) << l;
      }
    }
  }
}

TEST(TriangularAnderson, NoStateDependsOnLaterOnesOrOnOtherSamples) {
  TwoSweeps sweeps, others;
  for (Index k : {0, 1}) {
    for (auto* part : {&others.z[k], &others.d[k]}) {
      const States values = TwoSweeps::view(*part);
      for (Real& value : values.slice(4, TwoSweeps::kSteps)) value *= 1e6;
      for (Index l = 0; l < TwoSweeps::kSteps; ++l)
        for (Index i = 0; i < TwoSweeps::kWidth; ++i) values(l, 1, i) += 2;
    }
  }
  for (const int history : {1, 2, kMostHistory}) {
    Buffer<Real> a = sweeps.corrections(history, 0), b = others.corrections(history, 0);
    for (Index l = 0; l < TwoSweeps::kSteps; ++l)
      for (Index i = 0; i < TwoSweeps::kWidth; ++i) {
        const double difference = TwoSweeps::view(a)(l, 0, i) - TwoSweeps::view(b)(l, 0, i);
        EXPECT_EQ(difference == 0, l < 4);
      }
  }
}

TEST(TriangularAnderson, LeavesStatesAloneThatHaveJustEntered) {
  TwoSweeps sweeps;
  TriangularAnderson anderson(3, 4, TwoSweeps::kBatch, TwoSweeps::kWidth);
  const auto part = [](Buffer<Real>& of, StepRange window) {
    return TwoSweeps::view(of).slice(window.first, window.last);
  };
  const StepRange before{0, 4}, after{2, 6};
  anderson.observe(before, part(sweeps.z[0], before), part(sweeps.d[0], before));
  anderson.observe(after, part(sweeps.z[1], after), part(sweeps.d[1], after));
  Buffer<Real> changed(TwoSweeps::kSize);
  std::copy(sweeps.d[1].begin(), sweeps.d[1].end(), changed.begin());
  anderson.accelerate(2, part(changed, after));
  const Index row = TwoSweeps::kBatch * TwoSweeps::kWidth;
  for (Index i = 2 * row; i < TwoSweeps::kSize; ++i)
    EXPECT_EQ(changed[i] == sweeps.d[1][i], i >= 4 * row);
}

TEST(TriangularAnderson, EndsInTheSequentialTrajectory) {
  for (const double eta : {0.0, 1.0})
    for (const int steps : {1, 2, 30})
      for (const Index window : {0, 7})
        for (const auto& [history, jacobian] :
             {std::pair{1, Jacobian::gaussian}, {kMostHistory, Jacobian::linear_part}}) {
          SamplingProblem sampling(steps, eta);
          WindowedOptions options = accelerated(history, window);
          options.jacobian = jacobian;
          const SolveReport report = Windowed(options).solve(sampling.chain, sampling.trajectory);
          EXPECT_EQ(report.status, Status::converged) << report.reason;
          EXPECT_LT(sampling.error(), 1e-9) << window << " of " << steps << ", " << history;
          EXPECT_LE(report.iterations, steps);
        }
}

TEST(TriangularAnderson, KeepsToTheTolerance) {
  for (const double tolerance : {1e-2, 1e-4}) {
    SamplingProblem sampling(200, 0);
    WindowedOptions options = accelerated(3, 40);
    options.tolerance = {0, tolerance};
    Windowed(options).solve(sampling.chain, sampling.trajectory);
    EXPECT_LT(sampling.error(), tolerance);
  }
}

TEST(TriangularAnderson, NeedsFewerSweepsThanPicard) {
  const auto sweeps = [](Jacobian jacobian, int history) {
    SamplingProblem sampling(200, 0);
    WindowedOptions options = accelerated(history);
    options.jacobian = jacobian;
    return Windowed(options).solve(sampling.chain, sampling.trajectory).iterations;
  };
  const int picard = sweeps(Jacobian::linear_part, 0);
  EXPECT_LT(sweeps(Jacobian::linear_part, 3), 0.8 * picard);
  EXPECT_LT(sweeps(Jacobian::gaussian, 3), 0.6 * picard);
}

TEST(TriangularAnderson, TakesAsManySweepsOnAnyNumberOfRanks) {
  const auto alone = parallel::Communicator::self();
  for (const Index window : {0, 24}) {
    std::array<SolveReport, 2> reports;
    for (const int k : {0, 1}) {
      SamplingProblem sampling(100, 1, k == 0 ? alone : world());
      reports[static_cast<std::size_t>(k)] =
          Windowed(accelerated(3, window)).solve(sampling.chain, sampling.trajectory);
    }
    EXPECT_EQ(reports[0].iterations, reports[1].iterations);
    EXPECT_EQ(reports[0].evaluations, reports[1].evaluations);
  }
}

TEST(TriangularAnderson, GoesOnAfterAStopWithANewHistory) {
  SamplingProblem sampling(60, 1);
  test::StoppingMonitor monitor(3);
  const WindowedOptions options = accelerated(3, 20);
  const SolveReport stopped =
      Windowed(options).solve(sampling.chain, sampling.trajectory, {&monitor});
  ASSERT_EQ(stopped.status, Status::interrupted);
  const SolveReport report =
      Windowed(options).sample(sampling.chain, sampling.trajectory, stopped.frozen_prefix);
  EXPECT_EQ(report.status, Status::converged) << report.reason;
  EXPECT_LT(sampling.error(), 1e-9);
  EXPECT_LE(report.iterations, 60 - stopped.frozen_prefix);
}

/// z_{l+1} = A_l z_l + b_l, whose Jacobians nobody knows: sweeps are Jacobi's.
class LinearChain final : public sequence::Sequence {
 public:
  LinearChain(Index steps, int width, double growth)
      : steps_(steps), n_(width), A_(steps * width * width), b_(steps * width) {
    RandomStream(21, 1).normal(0, A_.size(), A_.data());
    for (Real& value : A_) value *= growth / std::sqrt(static_cast<double>(n_));
    RandomStream(21, 2).normal(0, b_.size(), b_.data());
  }
  Index num_steps() const override { return steps_; }
  int width() const override { return n_; }
  void value(StepRange range, ConstStates in, States out) const override {
    for (Index l = 0; l < range.size(); ++l)
      for (Index b = 0; b < in.extent(1); ++b)
        for (Index i = 0; i < n_; ++i) {
          const Index row = (range.first + l) * n_ + i;
          out(l, b, i) = b_[row];
          for (Index j = 0; j < n_; ++j) out(l, b, i) += A_[row * n_ + j] * in(l, b, j);
        }
  }
  std::unique_ptr<blocks::Linearisation> linearise(StepRange, ConstStates, States) const override {
    return nullptr;  // nobody asks
  }
  bool known_diagonals(sequence::KnownDiagonal, StepRange, View<Real, 2> D) const override {
    std::fill(D.begin(), D.end(), 0.0);
    return true;
  }

 private:
  Index steps_;
  int n_;
  Buffer<Real> A_, b_;
};

TEST(TriangularAnderson, OfALinearChainIsRightAfterAsManySweepsAsSteps) {
  constexpr Index kSteps = 16, kBatch = 2;
  constexpr int kWidth = 3;
  const auto layout = parallel::BlockLayout::replicated(kSteps, world().size());
  for (const double growth : {0.7, 1.5})
    for (const int history : {1, kMostHistory}) {
      LinearChain chain(kSteps, kWidth, growth);
      sequence::Trajectory found(world(), layout, kBatch, kWidth);
      sequence::Trajectory expected(world(), layout, kBatch, kWidth);
      for (auto* trajectory : {&found, &expected}) {
        RandomStream(22, 1).normal(0, trajectory->input().size(), trajectory->input().data());
        trajectory->fill_with_input();
      }
      const States z = expected.whole();
      for (Index l = 0; l < kSteps; ++l)
        chain.value({l, l + 1}, z.slice(l, l + 1), z.slice(l + 1, l + 2));
      const SolveReport report = Windowed(accelerated(history)).solve(chain, found);
      EXPECT_EQ(report.status, Status::converged) << report.reason;
      EXPECT_LE(report.iterations, kSteps);
      EXPECT_LT(test::relative_difference(world(), found.whole().data(), z.data(), z.size()), 1e-9)
          << growth << " " << history;
    }
}

}  // namespace
}  // namespace deeppcr::nonlinear
