// What every Sequence must keep, run over all models of the catalogue. A new model adds one line to
// kVariants.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <tuple>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/random.hpp"
#include "deeppcr/models/catalogue.hpp"
#include "deeppcr/sequence/self_check.hpp"
#include "support/model_options.hpp"

namespace deeppcr {
namespace {

struct Variant {
  const char* model;
  int block_layers;
  bool bias;
  bool layer_norm = false;
};

constexpr Variant kVariants[] = {
    {"mlp", 1, true},     {"mlp", 1, false},   {"resnet", 1, true}, {"resnet", 2, true},
    {"resnet", 2, false}, {"resnet", 3, true}, {"affine", 1, true}, {"resnet", 2, true, true},
};

using Case = std::tuple<Variant, const char*, int, Index, Index>;

class SequenceContract : public testing::TestWithParam<Case> {
 protected:
  /// Holds steps [2, 2 + steps + 1) of 9; the checked range leaves out the first of them.
  SequenceContract() {
    const auto& [variant, activation, width, batch, steps] = GetParam();
    options_.model = variant.model;
    test::set_where_known(options_, "block-layers", variant.block_layers);
    if (!variant.bias) options_.set("no-bias", "true");
    if (variant.layer_norm) options_.set("layer-norm", "true");
    test::set_where_known(options_, "activation", activation);
    options_.width = width;
    options_.steps = 9;
    batch_ = batch;
    range_ = {3, 3 + steps};
    model_ = models::make(options_, {2, 3 + steps});
  }

  models::ModelOptions options_;
  Index batch_;
  StepRange range_;
  std::unique_ptr<sequence::ParametricSequence> model_;
};

TEST_P(SequenceContract, DerivativesHold) {
  const sequence::SelfCheck check =
      sequence::check_derivatives(*model_, range_, batch_, /*seed=*/7);
  // Sums of n products, in any order, of values of the size of the result.
  const double rounding = 100 * options_.width * std::numeric_limits<double>::epsilon();
  EXPECT_LE(check.value_error, rounding);
  EXPECT_LE(check.vjp_error, rounding);
  EXPECT_LE(check.blocks_error, rounding);
  EXPECT_LE(check.jvp_error, check.tolerance);
  EXPECT_LE(check.parameter_error, check.tolerance);
  EXPECT_TRUE(check.structure_holds);
  EXPECT_TRUE(check.passed());
}

TEST_P(SequenceContract, LinearisationAtTheSolutionIsTheSame) {
  const Index n = options_.width, m = range_.size(), size = m * batch_ * n;
  const std::array<Index, 3> shape{m, batch_, n};
  Buffer<Real> in(size), out(size), g(size);
  RandomStream(3, 1).normal(0, size, in.data());
  RandomStream(3, 2).normal(0, size, g.data());
  const ConstStates starts(in.data(), shape), gradients(g.data(), shape);
  const auto J = model_->linearise(range_, starts, States(out.data(), shape));
  const auto same = model_->linearise_at_solution(range_, starts, ConstStates(out.data(), shape));

  const double rounding = 100 * options_.width * std::numeric_limits<double>::epsilon();
  Buffer<Real> A(size * n), B(size * n);
  J->blocks(range_, Blocks(A.data(), {m, batch_, n, n}));
  same->blocks(range_, Blocks(B.data(), {m, batch_, n, n}));
  for (Index i = 0; i < A.size(); ++i) ASSERT_NEAR(A[i], B[i], rounding);

  Buffer<Real> expected(m * model_->parameters_per_step()), found(expected.size());
  const std::array<Index, 2> parameters{m, model_->parameters_per_step()};
  model_->parameter_gradient(range_, starts, gradients, {expected.data(), parameters});
  for (const auto* linearisation : {J.get(), same.get()}) {
    model_->parameter_gradient_at(*linearisation, range_, starts, gradients,
                                  {found.data(), parameters});
    for (Index i = 0; i < expected.size(); ++i)
      ASSERT_NEAR(found[i], expected[i], rounding * static_cast<double>(batch_));
  }
}

TEST_P(SequenceContract, BackpropagationIsSubstitutionWithParameterGradients) {
  const Index n = options_.width, m = range_.size(), size = m * batch_ * n;
  const std::array<Index, 3> shape{m, batch_, n};
  Buffer<Real> states(size + batch_ * n), loss(size), expected(size), found(size);
  RandomStream(3, 1).normal(0, batch_ * n, states.data());
  RandomStream(3, 2).normal(0, size, loss.data());
  const States out(states.data() + batch_ * n, shape);
  const ConstStates in(states.data(), shape), c(loss.data(), shape);
  model_->propagate(range_, ConstState(in.data(), {batch_, n}), out);

  Buffer<Real> carry(batch_ * n), carry_found(batch_ * n);
  RandomStream(3, 3).normal(0, carry.size(), carry.data());
  const std::array<Index, 2> parameters{m, model_->parameters_per_step()};
  Buffer<Real> grads(parameters[0] * parameters[1]), grads_found(grads.size());
  const auto J = model_->linearise(range_, in, States(found.data(), shape));
  J->substitute(range_, Direction::backward, c, States(expected.data(), shape),
                State(carry.data(), {batch_, n}));
  model_->parameter_gradient(range_, in, ConstStates(expected.data(), shape),
                             {grads.data(), parameters});

  // Sums of n or B products of values that a few steps have passed on.
  const double tolerance =
      1000 * static_cast<double>(n * batch_) * std::numeric_limits<double>::epsilon();
  const auto at_solution = model_->linearise_at_solution(range_, in, out);
  for (const auto* linearisation : {J.get(), at_solution.get()}) {
    RandomStream(3, 3).normal(0, carry_found.size(), carry_found.data());
    std::copy(loss.begin(), loss.end(), found.begin());  // in place
    const States g(found.data(), shape);
    model_->backpropagate(
        *linearisation, range_,
        {in, g, g, State(carry_found.data(), {batch_, n}), {grads_found.data(), parameters}});
    for (Index i = 0; i < size; ++i) ASSERT_NEAR(found[i], expected[i], tolerance);
    for (Index i = 0; i < carry.size(); ++i) ASSERT_NEAR(carry_found[i], carry[i], tolerance);
    for (Index i = 0; i < grads.size(); ++i) ASSERT_NEAR(grads_found[i], grads[i], tolerance);
  }
}

TEST_P(SequenceContract, SaysWhatItHolds) {
  EXPECT_EQ(model_->num_steps(), options_.steps);
  EXPECT_EQ(model_->width(), options_.width);
  EXPECT_TRUE(model_->local_steps() == (StepRange{2, range_.last}));
  EXPECT_EQ(model_->parameters().extent(0), range_.size() + 1);
  EXPECT_EQ(model_->parameters().extent(1), model_->parameters_per_step());
}

/// A rank that is dealt blocks of steps has the parameters and the values of the whole chain there.
TEST_P(SequenceContract, AnyStepsAreThoseOfTheWholeChain) {
  const auto whole = models::make(options_, {0, options_.steps});
  const Index each = whole->parameters_per_step(), state = batch_ * options_.width;
  const StepSet dealt(1, options_.steps, 2, 3);  // 1 2 . 4 5 . 7 8
  const auto part = models::make(options_, dealt);
  ASSERT_TRUE(part->local_steps() == dealt);
  ASSERT_EQ(part->parameters().extent(0), dealt.size());
  for (Index row = 0; row < dealt.size(); ++row)
    EXPECT_TRUE(std::equal(part->parameters()[row].begin(), part->parameters()[row].end(),
                           whole->parameters()[dealt.step(row)].begin()))
        << "step " << dealt.step(row);
  for (const StepRange range : dealt.ranges()) {
    const std::array<Index, 3> shape{range.size(), batch_, options_.width};
    Buffer<Real> in(range.size() * state), expected(in.size()), found(in.size());
    Buffer<Real> grads(range.size() * each), grads_found(grads.size());
    RandomStream(3, 4).normal(range.first, in.size(), in.data());
    const ConstStates z(in.data(), shape);
    whole->value(range, z, {expected.data(), shape});
    part->value(range, z, {found.data(), shape});
    EXPECT_TRUE(std::equal(found.begin(), found.end(), expected.begin()));
    whole->propagate(range, {in.data(), {batch_, options_.width}}, {expected.data(), shape});
    part->propagate(range, {in.data(), {batch_, options_.width}}, {found.data(), shape});
    EXPECT_TRUE(std::equal(found.begin(), found.end(), expected.begin()));
    const std::array<Index, 2> sizes{range.size(), each};
    whole->parameter_gradient(range, z, z, {grads.data(), sizes});
    part->parameter_gradient(range, z, z, {grads_found.data(), sizes});
    EXPECT_TRUE(std::equal(grads_found.begin(), grads_found.end(), grads.begin()));
  }
}

TEST_P(SequenceContract, EmptyRangeDoesNothing) {
  const StepRange none{3, 3};
  const States empty{nullptr, {0, batch_, options_.width}};
  model_->value(none, empty, empty);
  EXPECT_NE(model_->linearise(none, empty, empty), nullptr);
}

std::string case_name(const testing::TestParamInfo<Case>& info) {
  const auto& [variant, activation, width, batch, steps] = info.param;
  return std::string(variant.model) + std::to_string(variant.block_layers) +
         (variant.bias ? "" : "_no_bias") + (variant.layer_norm ? "_normalised_" : "_") +
         activation + "_n" + std::to_string(width) + "_B" + std::to_string(batch) + "_m" +
         std::to_string(steps);
}

INSTANTIATE_TEST_SUITE_P(
    Models, SequenceContract,
    testing::Combine(testing::ValuesIn(kVariants),
                     testing::Values("identity", "tanh", "relu", "silu", "gelu"),
                     testing::Values(1, 2, 3, 8, 17), testing::Values<Index>(1, 5),
                     testing::Values<Index>(1, 3)),
    case_name);

}  // namespace
}  // namespace deeppcr
