// Substitution from a guessed carry and what is done again of it, against plain substitution, on
// each rank by itself.
#include "deeppcr/linear/speculation.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "deeppcr/blocks/dense_linearisation.hpp"
#include "deeppcr/core/random.hpp"
#include "deeppcr/linear/local_chain.hpp"

namespace deeppcr::linear {
namespace {

constexpr Index kSteps = 1000, kBatch = 2;
constexpr int kWidth = 3;
constexpr Index kState = kBatch * kWidth;
constexpr StepRange kAll{5, 5 + kSteps};

/// Rotations times a factor for each step, and a right-hand side.
class Chain {
 public:
  explicit Chain(const std::function<double(Index)>& growth, double rhs_size = 1)
      : blocks_(kAll, kBatch, kWidth), rhs_(kSteps * kState) {
    const Blocks A = blocks_.storage();
    for (Index i = 0; i < kSteps; ++i) {
      const double g = growth(i), c = std::cos(0.7), s = std::sin(0.7);
      const std::array<Real, 9> turned{c, s, 0, -s, c, 0, 0, 0, 1};
      for (Index b = 0; b < kBatch; ++b)
        for (Index j = 0; j < kWidth; ++j)
          for (Index k = 0; k < kWidth; ++k)
            A(i, b, j, k) = g * turned[static_cast<std::size_t>((j + i) % 3 * 3 + (k + i) % 3)];
    }
    RandomStream(3, 1).normal(0, rhs_.size(), rhs_.data());
    for (Real& value : rhs_) value *= rhs_size;
  }

  const blocks::DenseLinearisation& blocks() const { return blocks_; }
  ConstStates rhs() const { return {rhs_.data(), {kSteps, kBatch, kWidth}}; }

 private:
  blocks::DenseLinearisation blocks_;
  Buffer<Real> rhs_;
};

/// One direction through a chain: the real carry, and arrays for the result.
struct Walk {
  explicit Walk(double carry_size) : carry(kState), result(kSteps * kState) {
    RandomStream(3, 2).normal(0, carry.size(), carry.data());
    for (Real& value : carry) value *= carry_size;
  }
  blocks::Strand strand(ConstStates rhs) {
    return {kAll, rhs, states(), State(carry.data(), {kBatch, kWidth})};
  }
  States states() { return {result.data(), {kSteps, kBatch, kWidth}}; }
  Buffer<Real> carry, result;
};

Buffer<Real> substituted(const Chain& chain, Direction direction, double carry_size) {
  Walk walk(carry_size);
  LocalChain::substitute(chain.blocks(), direction, walk.strand(chain.rhs()));
  return std::move(walk.result);
}

/// Steps done again; -1 where the chain was not taken for one that forgets. Every state is held
/// against plain substitution by itself, so that small ones count as much as large ones.
Index steps_done_again(const Chain& chain, Direction direction, double carry_size = 1,
                       bool in_place = false) {
  Speculation speculation(kBatch, kWidth);
  Walk walk(carry_size);
  const Buffer<Real> expected = substituted(chain, direction, carry_size);
  if (in_place) std::copy(chain.rhs().begin(), chain.rhs().end(), walk.result.begin());
  const blocks::Strand part = walk.strand(in_place ? ConstStates(walk.states()) : chain.rhs());
  if (!speculation.guess(chain.blocks(), direction, part, kSteps)) return -1;
  const Walk real(carry_size);
  std::copy(real.carry.begin(), real.carry.end(), walk.carry.begin());
  const Index again = speculation.correct(chain.blocks(), direction, part);
  for (Index i = 0; i < kSteps * kBatch; ++i) {
    double difference = 0, size = 0;
    for (Index j = i * kWidth; j < (i + 1) * kWidth; ++j) {
      difference = std::max(difference, std::abs(walk.result[j] - expected[j]));
      size = std::max(size, std::abs(expected[j]));
    }
    EXPECT_LE(difference, 1e-14 * size) << "state " << i;
  }
  return again;
}

/// One growth for the first `count` steps that the walk meets, another for the rest.
Chain chain_in_two(Direction direction, Index count, double near, double far) {
  return Chain([=](Index i) {
    return (direction == Direction::forward ? i : kSteps - 1 - i) < count ? near : far;
  });
}

class SpeculationBothWays : public ::testing::TestWithParam<Direction> {};

TEST_P(SpeculationBothWays, DoesAgainWhatTheChainRemembers) {
  const Chain chain([](Index) { return 0.8; });
  // 0.8^162 is one rounding; looks are 32 steps apart.
  const Index again = steps_done_again(chain, GetParam());
  EXPECT_GE(again, 128);
  EXPECT_LE(again, 224);
  EXPECT_EQ(steps_done_again(chain, GetParam(), 1, true), again);
}

TEST_P(SpeculationBothWays, DoesMoreAgainForALargeCarry) {
  const Chain chain([](Index) { return 0.8; });
  const Index again = steps_done_again(chain, GetParam(), 1e20);
  EXPECT_GE(again, 324);
  EXPECT_LE(again, 448);
}

TEST_P(SpeculationBothWays, DoesNotGuessWhereNothingIsForgotten) {
  EXPECT_EQ(steps_done_again(Chain([](Index) { return 1.0; }), GetParam()), -1);
  EXPECT_EQ(steps_done_again(Chain([](Index) { return 0.95; }), GetParam()), -1);  // too slowly
  EXPECT_EQ(steps_done_again(Chain([](Index) { return NAN; }), GetParam()), -1);
}

TEST_P(SpeculationBothWays, GoesOnWhereTheChainForgetsLessThanItSeemed) {
  const Chain chain = chain_in_two(GetParam(), 40, 0.5, 1);
  EXPECT_EQ(steps_done_again(chain, GetParam()), kSteps);
}

TEST_P(SpeculationBothWays, DoesNotTakeNearlyEqualForEqualBeforeAnExpandingStretch) {
  // Within 1e-12 of each other after 120 steps, which the rest enlarges by 1e18.
  const Chain chain = chain_in_two(GetParam(), 120, 0.8, 1.05);
  EXPECT_EQ(steps_done_again(chain, GetParam()), kSteps);
}

TEST_P(SpeculationBothWays, StopsWhereStatesAreEqualThoughTheRestExpands) {
  const Chain chain = chain_in_two(GetParam(), 300, 0.8, 1.05);
  EXPECT_LE(steps_done_again(chain, GetParam()), 224);
}

TEST_P(SpeculationBothWays, KeepsWhatDecaysWithoutAnythingAdded) {
  // No right-hand side: the carry is all there is, however small it has become.
  const Chain chain([](Index) { return 0.8; }, 0);
  EXPECT_EQ(steps_done_again(chain, GetParam()), kSteps);
}

TEST_P(SpeculationBothWays, CarriesNotANumberOn) {
  const Chain chain([](Index) { return 0.8; });
  Speculation speculation(kBatch, kWidth);
  Walk walk(1);
  ASSERT_TRUE(speculation.guess(chain.blocks(), GetParam(), walk.strand(chain.rhs()), kSteps));
  walk.carry[0] = NAN;
  EXPECT_EQ(speculation.correct(chain.blocks(), GetParam(), walk.strand(chain.rhs())), kSteps);
}

INSTANTIATE_TEST_SUITE_P(Directions, SpeculationBothWays,
                         ::testing::Values(Direction::forward, Direction::backward));

TEST(Speculation, LeavesAPartWithMissingRowsAlone) {
  const Chain chain([](Index) { return 0.8; });
  Speculation speculation(kBatch, kWidth);
  Walk walk(1);
  EXPECT_FALSE(speculation.guess(chain.blocks(), Direction::backward,
                                 walk.strand(chain.rhs().slice(1, kSteps)), kSteps));
}

/// A chain whose substitution computes something else on its way.
class OnceOnly : public blocks::Linearisation, public blocks::Tuned {
 public:
  explicit OnceOnly(const blocks::Linearisation& A) : A_(A) {}
  void product(Index l, Direction direction, ConstPanel V, Panel W) const override {
    A_.product(l, direction, V, W);
  }
  const blocks::Tuned* tuned() const override { return this; }
  bool repeatable() const override { return false; }

 private:
  const blocks::Linearisation& A_;
};

TEST(Speculation, LeavesWhatMustNotBeRepeatedAlone) {
  const Chain chain([](Index) { return 0.8; });
  const OnceOnly once(chain.blocks());
  Speculation speculation(kBatch, kWidth);
  Walk walk(1);
  EXPECT_FALSE(speculation.guess(once, Direction::backward, walk.strand(chain.rhs()), kSteps));
  EXPECT_TRUE(
      speculation.guess(chain.blocks(), Direction::backward, walk.strand(chain.rhs()), kSteps));
}

TEST(Speculation, DoesNotGuessLongerThanTheCarryTakesToCome) {
  const Chain chain([](Index) { return 0.8; });
  Speculation speculation(kBatch, kWidth);
  Walk walk(1);
  EXPECT_FALSE(
      speculation.guess(chain.blocks(), Direction::forward, walk.strand(chain.rhs()), 100));
}

}  // namespace
}  // namespace deeppcr::linear
