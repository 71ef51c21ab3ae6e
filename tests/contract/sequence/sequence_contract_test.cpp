// What every Sequence must keep, run over all models of the catalogue: those of kVariants, and with
// their defaults any other, such as those that a program from outside has added.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <string>
#include <tuple>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/random.hpp"
#include "deeppcr/sequence/self_check.hpp"
#include "support/bound_model.hpp"
#include "support/model_variant.hpp"

namespace deeppcr {
namespace {

using Variant = test::ModelVariant;

constexpr Variant kVariants[] = {
    {"mlp", 1, true},     {"mlp", 1, false},   {"resnet", 1, true}, {"resnet", 2, true},
    {"resnet", 2, false}, {"resnet", 3, true}, {"affine", 1, true}, {"resnet", 2, true, true},
};

/// Beside each model's defaults.
constexpr Variant kCells[] = {
    {"rnn", 1, true, false, "activation relu"},
    {"rnn", 1, true, false, "layers 3 features 2"},
    {"gru", 1, true, false, "candidate relu"},
    {"gru", 1, true, false, "candidate sigmoid reset before"},
    {"gru", 1, true, false, "layers 2 features 5"},
    {"gru", 1, true, false, "layers 2 features 1 reset before"},
    {"lstm", 1, true, false, "layers 2 features 3"},
    {"para-gru", 1, true, false, "layers 2 features 4"},
    {"para-lstm", 1, true, false, "layers 3 features 1"},
};

/// Gradients of the parameters of m steps.
class Rows {
 public:
  Rows(sequence::Sequence& model, Index m) : gradients_(model.parameters()) {
    gradients_.slice(0, m, views_);
  }
  const sequence::GroupRows& views() const { return views_; }
  void clear() const {
    for (int g = 0; g < gradients_.groups(); ++g)
      std::fill(gradients_[g].begin(), gradients_[g].end(), Real{0});
  }
  void expect_near(const Rows& other, double tolerance) const {
    for (std::size_t g = 0; g < views_.size(); ++g)
      for (Index i = 0; i < views_[g].size(); ++i)
        ASSERT_NEAR(views_[g].data()[i], other.views_[g].data()[i], tolerance);
  }

 private:
  sequence::ParameterGradients gradients_;
  sequence::GroupRows views_;
};

using Case = std::tuple<Variant, const char*, int, Index, Index>;

class SequenceContract : public testing::TestWithParam<Case> {
 protected:
  /// Holds steps [2, 2 + steps + 1) of 9; the checked range leaves out the first of them.
  SequenceContract() {
    const auto& [variant, activation, width, batch, steps] = GetParam();
    options_ = test::options_of(variant, activation, width, 9);
    n_ = models::state_width(options_);
    batch_ = batch;
    range_ = {3, 3 + steps};
    model_.emplace(options_, StepRange{2, 3 + steps}, batch);
  }
  sequence::Sequence& model() { return **model_; }

  models::ModelOptions options_;
  int n_ = 0;  ///< numbers in a state
  Index batch_;
  StepRange range_;

 private:
  std::optional<test::BoundModel> model_;
};

TEST_P(SequenceContract, DerivativesHold) {
  const sequence::SelfCheck check =
      sequence::check_derivatives(model(), range_, batch_, /*seed=*/7);
  // Sums of n products, in any order, of values of the size of the result.
  const double rounding = 100 * n_ * std::numeric_limits<double>::epsilon();
  EXPECT_LE(check.value_error, rounding);
  EXPECT_LE(check.samples_error, rounding);
  EXPECT_LE(check.vjp_error, rounding);
  EXPECT_LE(check.blocks_error, rounding);
  EXPECT_LE(check.jvp_error, check.tolerance);
  EXPECT_LE(check.parameter_error, check.tolerance);
  EXPECT_TRUE(check.structure_holds);
  EXPECT_TRUE(check.passed());
}

TEST_P(SequenceContract, LinearisationAtTheSolutionIsTheSame) {
  const Index n = n_, m = range_.size(), size = m * batch_ * n;
  const std::array<Index, 3> shape{m, batch_, n};
  Buffer<Real> in(size), out(size), g(size);
  RandomStream(3, 1).normal(0, size, in.data());
  RandomStream(3, 2).normal(0, size, g.data());
  const ConstStates starts(in.data(), shape), gradients(g.data(), shape);
  const auto J = model().linearise(range_, starts, States(out.data(), shape));
  const auto same = model().linearise_at_solution(range_, starts, ConstStates(out.data(), shape));

  const double rounding = 100 * n_ * std::numeric_limits<double>::epsilon();
  Buffer<Real> A(size * n), B(size * n);
  J->blocks(range_, Blocks(A.data(), {m, batch_, n, n}));
  same->blocks(range_, Blocks(B.data(), {m, batch_, n, n}));
  for (Index i = 0; i < A.size(); ++i) ASSERT_NEAR(A[i], B[i], rounding);

  const Rows expected(model(), m), found(model(), m);
  model().parameter_gradient(range_, starts, gradients, expected.views());
  for (const auto* linearisation : {J.get(), same.get()}) {
    found.clear();
    model().parameter_gradient_at(*linearisation, range_, starts, gradients, found.views());
    found.expect_near(expected, rounding * static_cast<double>(batch_));
  }
}

TEST_P(SequenceContract, BackpropagationIsSubstitutionWithParameterGradients) {
  const Index n = n_, m = range_.size(), size = m * batch_ * n;
  const std::array<Index, 3> shape{m, batch_, n};
  Buffer<Real> states(size + batch_ * n), loss(size), expected(size), found(size);
  RandomStream(3, 1).normal(0, batch_ * n, states.data());
  RandomStream(3, 2).normal(0, size, loss.data());
  const States out(states.data() + batch_ * n, shape);
  const ConstStates in(states.data(), shape), c(loss.data(), shape);
  model().propagate(range_, ConstState(in.data(), {batch_, n}), out);

  Buffer<Real> carry(batch_ * n), carry_found(batch_ * n);
  RandomStream(3, 3).normal(0, carry.size(), carry.data());
  const Rows grads(model(), m), grads_found(model(), m);
  const auto J = model().linearise(range_, in, States(found.data(), shape));
  J->substitute(range_, Direction::backward, c, States(expected.data(), shape),
                State(carry.data(), {batch_, n}));
  model().parameter_gradient(range_, in, ConstStates(expected.data(), shape), grads.views());

  // Sums of n or B products of values that a few steps have passed on.
  const double tolerance =
      1000 * static_cast<double>(n * batch_) * std::numeric_limits<double>::epsilon();
  const auto at_solution = model().linearise_at_solution(range_, in, out);
  Buffer<Real> again(states.size());
  std::copy_n(states.begin(), batch_ * n, again.begin());
  const auto along = model().linearise_along(range_, {again.data(), {m + 1, batch_, n}});
  for (Index i = 0; i < states.size(); ++i) ASSERT_EQ(again[i], states[i]);
  for (const auto* linearisation : {J.get(), at_solution.get(), along.get()}) {
    RandomStream(3, 3).normal(0, carry_found.size(), carry_found.data());
    std::copy(loss.begin(), loss.end(), found.begin());  // in place
    const States g(found.data(), shape);
    grads_found.clear();
    model().backpropagate(*linearisation, range_,
                          {in, g, g, State(carry_found.data(), {batch_, n}), grads_found.views()});
    for (Index i = 0; i < size; ++i) ASSERT_NEAR(found[i], expected[i], tolerance);
    for (Index i = 0; i < carry.size(); ++i) ASSERT_NEAR(carry_found[i], carry[i], tolerance);
    grads_found.expect_near(grads, tolerance);
  }
}

TEST_P(SequenceContract, SaysWhatItHolds) {
  EXPECT_EQ(model().num_steps(), options_.steps);
  EXPECT_EQ(model().width(), n_);
  EXPECT_TRUE(model().local_steps() == (StepRange{2, range_.last}));
  for (const sequence::ParameterGroup& group : model().parameters()) {
    EXPECT_FALSE(group.name.empty());
    EXPECT_EQ(group.rows, group.shared ? 1 : options_.steps);
    EXPECT_EQ(group.values.extent(0), group.shared ? 1 : range_.size() + 1);
    EXPECT_GT(group.row_size(), 0);
  }
}

/// A rank that is dealt blocks of steps has the parameters and the values of the whole chain there.
TEST_P(SequenceContract, AnyStepsAreThoseOfTheWholeChain) {
  const test::BoundModel whole(options_, StepRange{0, options_.steps}, batch_);
  const Index state = batch_ * n_;
  const StepSet dealt(1, options_.steps, 2, 3);  // 1 2 . 4 5 . 7 8
  const test::BoundModel part(options_, dealt, batch_);
  ASSERT_TRUE(part->local_steps() == dealt);
  const auto all = whole->parameters(), held = part->parameters();
  ASSERT_EQ(all.size(), held.size());
  for (std::size_t g = 0; g < held.size(); ++g) {
    const View<Real, 2> here = held[g].values;
    ASSERT_EQ(here.extent(0), held[g].shared ? 1 : dealt.size());
    for (Index row = 0; row < here.extent(0); ++row) {
      const Index there = held[g].shared ? 0 : dealt.step(row);
      EXPECT_TRUE(std::equal(here[row].begin(), here[row].end(), all[g].values[there].begin()))
          << held[g].name << ", row " << there;
    }
  }
  for (const StepRange range : dealt.ranges()) {
    const std::array<Index, 3> shape{range.size(), batch_, n_};
    Buffer<Real> in(range.size() * state), expected(in.size()), found(in.size());
    const Rows grads(*whole, range.size()), grads_found(*part, range.size());
    RandomStream(3, 4).normal(range.first, in.size(), in.data());
    const ConstStates z(in.data(), shape);
    whole->value(range, z, {expected.data(), shape});
    part->value(range, z, {found.data(), shape});
    EXPECT_TRUE(std::equal(found.begin(), found.end(), expected.begin()));
    whole->propagate(range, {in.data(), {batch_, n_}}, {expected.data(), shape});
    part->propagate(range, {in.data(), {batch_, n_}}, {found.data(), shape});
    EXPECT_TRUE(std::equal(found.begin(), found.end(), expected.begin()));
    whole->parameter_gradient(range, z, z, grads.views());
    part->parameter_gradient(range, z, z, grads_found.views());
    grads_found.expect_near(grads, 0);
  }
}

TEST_P(SequenceContract, EmptyRangeDoesNothing) {
  const StepRange none{3, 3};
  const States empty{nullptr, {0, batch_, n_}};
  model().value(none, empty, empty);
  EXPECT_NE(model().linearise(none, empty, empty), nullptr);
}

std::string case_name(const testing::TestParamInfo<Case>& info) {
  const auto& [variant, activation, width, batch, steps] = info.param;
  return test::name_of(variant, activation, width) + "_B" + std::to_string(batch) + "_m" +
         std::to_string(steps);
}

INSTANTIATE_TEST_SUITE_P(Added, SequenceContract,
                         testing::Combine(testing::ValuesIn(test::added_variants(kVariants)),
                                          testing::Values("tanh"), testing::Values(1, 3, 8, 17),
                                          testing::Values<Index>(1, 5),
                                          testing::Values<Index>(1, 3)),
                         case_name);

INSTANTIATE_TEST_SUITE_P(Cells, SequenceContract,
                         testing::Combine(testing::ValuesIn(kCells), testing::Values("tanh"),
                                          testing::Values(1, 3, 8, 17),
                                          testing::Values<Index>(1, 5),
                                          testing::Values<Index>(1, 3)),
                         case_name);

INSTANTIATE_TEST_SUITE_P(
    Models, SequenceContract,
    testing::Combine(testing::ValuesIn(kVariants),
                     testing::Values("identity", "tanh", "relu", "silu", "gelu"),
                     testing::Values(1, 2, 3, 8, 17), testing::Values<Index>(1, 5),
                     testing::Values<Index>(1, 3)),
    case_name);

}  // namespace
}  // namespace deeppcr
