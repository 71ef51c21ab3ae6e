// What hybrid's ranks do while they would wait, by the steps they walk.
#include "deeppcr/linear/hybrid.hpp"

#include <gtest/gtest.h>

#include "support/environment.hpp"
#include "support/random_chain.hpp"

namespace deeppcr::linear {
namespace {

using test::RandomChain;
using test::world;

constexpr int kWidth = 4;

/// Counts the steps that are substituted through.
class Counted : public blocks::Linearisation {
 public:
  explicit Counted(const blocks::Linearisation& A) : A_(A) {}
  void product(Index l, Direction direction, ConstPanel V, Panel W) const override {
    A_.product(l, direction, V, W);
  }
  void substitute(StepRange range, Direction direction, ConstStates rhs, States result,
                  State carry) const override {
    steps_ += range.size();
    A_.substitute(range, direction, rhs, result, carry);
  }
  Index steps() const { return steps_; }

 private:
  const blocks::Linearisation& A_;
  mutable Index steps_ = 0;
};

/// Steps that this rank substitutes through in one forward solve.
Index steps_walked(const parallel::BlockLayout& layout, double growth) {
  RandomChain problem(world(), layout, 1, kWidth, growth);
  const Counted counted(problem.blocks());
  problem.chain().set_linearisation(&counted);
  Hybrid hybrid;
  hybrid.setup(problem.chain());
  Buffer<Real> d(problem.rhs().size());
  hybrid.solve(problem.rhs(), States(d.data(), problem.shape()));
  return counted.steps();
}

TEST(HybridTest, OnlyTheLastRankGuessesAndOnlyWhereTheChainForgets) {
  const Index m = 400;
  const int P = world().size();
  const auto layout = parallel::BlockLayout::balanced(m * P, P);
  const Index forgetting = steps_walked(layout, 0.5), other = steps_walked(layout, 2.0);
  const bool last = P > 1 && world().rank() == P - 1;
  if (last) {
    EXPECT_GT(forgetting, m);
    EXPECT_LT(forgetting, m + m / 2);
    EXPECT_GT(other, m);  // the few steps that show it
    EXPECT_LT(other, m + m / 8);
  } else {
    EXPECT_EQ(forgetting, m);
    EXPECT_EQ(other, m);
  }
}

TEST(HybridTest, TheLastOfTwoDoesNotGuessWhereItsCarryIsThereSoon) {
  const Index m = 400;
  if (world().size() != 2) GTEST_SKIP() << "two ranks";
  const auto layout = parallel::BlockLayout::by_share(m + 20, {20.0, static_cast<double>(m)});
  EXPECT_EQ(steps_walked(layout, 0.5), layout.range(world().rank()).size());
}

TEST(HybridTest, PredictsWhatAForgettingChainTakesOnTwoRanks) {
  const auto layout = parallel::BlockLayout::balanced(1000, 2);
  const double step = 2.0 * kWidth * kWidth;
  const Hybrid hybrid;
  EXPECT_EQ(hybrid.cost({layout, 1, kWidth}).critical_flops, 1000 * step);
  EXPECT_EQ(hybrid.cost({layout, 1, kWidth, 0, 1, 100}).critical_flops, 600 * step);
  EXPECT_EQ(hybrid.cost({layout, 1, kWidth, 0, 1, 300}).critical_flops, 1000 * step);
}

}  // namespace
}  // namespace deeppcr::linear
