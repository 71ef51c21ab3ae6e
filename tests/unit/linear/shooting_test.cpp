// Which method ends a linear solve by shooting, and in how many sweeps.
#include "linear/shooting.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "deeppcr/linear/catalogue.hpp"
#include "deeppcr/plan/chunks.hpp"
#include "support/environment.hpp"
#include "support/random_chain.hpp"

namespace deeppcr::linear {
namespace {

using test::RandomChain;
using test::world;

constexpr int kWidth = 4;
constexpr double kRtol = 1e-10;

/// Blocks I + h R, as residual networks have them.
void make_residual(RandomChain& chain, double h) {
  Real* A = chain.blocks().storage().data();
  for (Index i = 0; i < chain.blocks().storage().size(); ++i)
    A[i] = h * A[i] + (i / kWidth % kWidth == i % kWidth ? 1 : 0);
}

/// Solves both ways, holds the result against substitution; the outcome of the backward one.
SolveOutcome solved(RandomChain& chain, const Settings& settings) {
  Shooting shooting(settings);
  const auto oracle = find("sequential").make();
  Buffer<Real> found(chain.rhs().size()), expected(found.size());
  const States x(found.data(), chain.shape()), y(expected.data(), chain.shape());
  for (LinearSolver* solver : {static_cast<LinearSolver*>(&shooting), oracle.get()})
    solver->setup(chain.chain());
  shooting.solve(chain.rhs(), x);
  oracle->solve(chain.rhs(), y);
  EXPECT_LE(test::relative_difference(world(), found.data(), expected.data(), found.size()), kRtol);
  shooting.solve_transpose(chain.rhs(), x);
  oracle->solve_transpose(chain.rhs(), y);
  EXPECT_LE(test::relative_difference(world(), found.data(), expected.data(), found.size()), kRtol);
  return shooting.report(chain.chain().layout());
}

Settings choosing() {
  Settings settings;
  settings.rtol = kRtol;
  settings.may_choose = true;
  return settings;
}

TEST(LinearShooting, LeavesResidualChainsToHybridWhereThatIsFaster) {
  const int P = world().size();
  const auto layout = parallel::BlockLayout::balanced(Index{256} * P, P);
  for (const double h : {1.0, 0.1, 0.03}) {
    RandomChain chain(world(), layout, 1, kWidth);
    make_residual(chain, h / std::sqrt(256.0 * P));
    const SolveOutcome outcome = solved(chain, choosing());
    EXPECT_LE(outcome.sweeps, 1) << outcome.method;
    EXPECT_EQ(outcome.reason, "");
    EXPECT_EQ(outcome.method, P == 4 ? "hybrid" : outcome.method);
    // No more than what it was preferred to.
    const double columns = kWidth * plan::product_weight(1, kWidth);
    EXPECT_LE(outcome.path.evaluations + columns * outcome.path.products, 256.0 * P);
  }
}

TEST(LinearShooting, StopsVectorsAtTwiceWhatWasPredicted) {
  // The first steps of each chunk are identities and promise one vector; the rest mixes.
  const int P = world().size();
  const Index m = 512;
  const auto layout = parallel::BlockLayout::balanced(m * P, P);
  RandomChain chain(world(), layout, 1, kWidth);
  make_residual(chain, 0.05);
  for (Index i = 0; i < m; ++i) {
    if (i >= 128 && i < m - 128) continue;
    Real* A = chain.blocks().storage()[i].data();
    for (Index j = 0; j < kWidth * kWidth; ++j) A[j] = j / kWidth == j % kWidth ? 1 : 0;
  }
  Settings settings;
  settings.rtol = kRtol;
  settings.chunks = 16 * P;
  const SolveOutcome few = solved(chain, settings);
  EXPECT_LE(few.sweeps, 2 + 2 * 16 * P) << few.method;
  settings.chunks = 0;
  const SolveOutcome outcome = solved(chain, settings);
  // One walk, two vectors, and none from carries that are not right.
  EXPECT_LE(outcome.sweeps, 1 + 2 + (P <= 3 ? 1 : 0)) << outcome.method;
  EXPECT_EQ(outcome.reason.empty(), P < 4);
}

TEST(LinearShooting, MergesChainsThatForgetWithoutMoreToDo) {
  const int P = world().size();
  const auto layout = parallel::BlockLayout::balanced(Index{1024} * P, P);
  RandomChain chain(world(), layout, 1, kWidth, 0.3);
  const SolveOutcome outcome = solved(chain, choosing());
  EXPECT_EQ(outcome.method, P == 1 ? "sequential" : "shooting+zero");
  EXPECT_EQ(outcome.reason, "");
  EXPECT_LE(outcome.path.evaluations, 1024 + (P > 1 ? 128 : 0));
}

}  // namespace
}  // namespace deeppcr::linear
