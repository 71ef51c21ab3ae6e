// The self-check must find a wrong model: a diagonal chain with one fault at a time.
#include "deeppcr/sequence/self_check.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

#include "deeppcr/core/buffer.hpp"
#include "support/leaky_cell.hpp"

namespace deeppcr {
namespace {

enum class Fault {
  none,
  jvp,
  vjp,
  blocks,
  parameter_gradient,
  linearise,
  propagate,
  structure,
  not_a_number
};

/// A_l = diag(s_l), s [m, B, n].
class DiagonalJacobian : public blocks::Linearisation {
 public:
  DiagonalJacobian(StepRange range, Index batch, Index n, Fault fault)
      : range_(range),
        shape_{range.size(), batch, n},
        s_(range.size() * batch * n),
        fault_(fault) {}

  States slopes() { return {s_.data(), shape_}; }

  void product(Index l, Direction direction, ConstPanel V, Panel W) const override {
    if (direction == Direction::backward) {
      multiply(l, fault_ == Fault::vjp ? -1 : 1, V, W);
      return;
    }
    const double wrong = fault_ == Fault::jvp ? 1.001 : 1;
    multiply(l, wrong, V, W);
    if (fault_ == Fault::not_a_number) W(0, 0, 0) = std::numeric_limits<double>::quiet_NaN();
    // An entry that the declared structure does not have.
    if (fault_ == Fault::structure && V.extent(2) > 1)
      for (Index b = 0; b < V.extent(0); ++b)
        for (Index k = 0; k < V.extent(1); ++k) W(b, k, 1) += 1e-3 * V(b, k, 0);
  }
  blocks::Structure structure() const override { return blocks::Structure::diagonal; }
  void blocks(StepRange range, Blocks A) const override {
    Linearisation::blocks(range, A);
    if (fault_ == Fault::blocks) A(0, 0, 0, 0) += 1e-3;
  }

 private:
  void multiply(Index l, double factor, ConstPanel V, Panel W) const {
    const ConstStates s{s_.data(), shape_};
    for (Index b = 0; b < V.extent(0); ++b)
      for (Index k = 0; k < V.extent(1); ++k)
        for (Index i = 0; i < V.extent(2); ++i)
          W(b, k, i) = factor * s(l - range_.first, b, i) * V(b, k, i);
  }

  StepRange range_;
  std::array<Index, 3> shape_;
  Buffer<Real> s_;
  Fault fault_;
};

/// f_l(z)_i = theta_li sin(z_i).
class SineChain : public sequence::Sequence {
 public:
  SineChain(Index num_steps, int width, Fault fault)
      : num_steps_(num_steps), width_(width), fault_(fault), theta_(num_steps * width) {
    for (Index i = 0; i < theta_.size(); ++i) theta_[i] = 1.0 + 0.1 * static_cast<double>(i);
  }

  Index num_steps() const override { return num_steps_; }
  int width() const override { return width_; }
  std::vector<sequence::ParameterGroup> parameters() override {
    return {{"factors", false, num_steps_, {theta_.data(), {num_steps_, width_}}, "theta"}};
  }

  void value(StepRange range, ConstStates in, States out) const override {
    for_all(range, in, [&](Index l, Index m, Index b, Index i) {
      out(m, b, i) = theta(l, i) * std::sin(in(m, b, i));
    });
  }

  std::unique_ptr<blocks::Linearisation> linearise(StepRange range, ConstStates in,
                                                   States out) const override {
    auto J = std::make_unique<DiagonalJacobian>(range, in.extent(1), width_, fault_);
    const States s = J->slopes();
    value(range, in, out);
    for_all(range, in, [&](Index l, Index m, Index b, Index i) {
      s(m, b, i) = theta(l, i) * std::cos(in(m, b, i));
    });
    if (fault_ == Fault::linearise) out(0, 0, 0) += 1e-3;
    return J;
  }

  void propagate(StepRange range, ConstState z, States out) const override {
    Sequence::propagate(range, z, out);
    if (fault_ == Fault::propagate) out(range.size() - 1, 0, 0) += 1e-3;
  }

  void parameter_gradient(StepRange range, ConstStates in, ConstStates g,
                          const sequence::GroupRows& rows) const override {
    const View<Real, 2> grads = rows.front();
    for (Real& grad : grads) grad = fault_ == Fault::parameter_gradient ? 1e-2 : 0;
    for_all(range, in, [&](Index, Index m, Index b, Index i) {
      grads(m, i) += g(m, b, i) * std::sin(in(m, b, i));
    });
  }

 private:
  Real theta(Index l, Index i) const { return theta_[l * width_ + i]; }

  template <typename Body>
  void for_all(StepRange range, ConstStates in, Body&& body) const {
    for (Index m = 0; m < range.size(); ++m)
      for (Index b = 0; b < in.extent(1); ++b)
        for (Index i = 0; i < width_; ++i) body(range.first + m, m, b, i);
  }

  Index num_steps_;
  int width_;
  Fault fault_;
  Buffer<Real> theta_;
};

sequence::SelfCheck check(Fault fault) {
  SineChain chain(4, 3, fault);
  return sequence::check_derivatives(chain, {1, 4}, /*batch=*/2, /*seed=*/1);
}

TEST(SelfCheck, PassesARightModel) {
  const auto result = check(Fault::none);
  EXPECT_TRUE(result.passed());
  EXPECT_GT(result.tolerance, 0);
  EXPECT_LT(result.tolerance, 1e-4);
}

TEST(SelfCheck, LeavesParametersAsTheyWere) {
  SineChain chain(4, 3, Fault::none);
  SineChain untouched(4, 3, Fault::none);
  sequence::check_derivatives(chain, {1, 4}, 2, 1);
  const View<Real, 2> before = untouched.parameters().front().values,
                      after = chain.parameters().front().values;
  for (Index i = 0; i < before.size(); ++i) EXPECT_EQ(after.begin()[i], before.begin()[i]);
}

TEST(SelfCheck, FindsAWrongJvp) {
  const auto result = check(Fault::jvp);
  EXPECT_GT(result.jvp_error, result.tolerance);
  EXPECT_FALSE(result.passed());
}

TEST(SelfCheck, FindsAWrongVjp) {
  const auto result = check(Fault::vjp);
  EXPECT_GT(result.vjp_error, result.tolerance);
  EXPECT_LE(result.jvp_error, result.tolerance);
  EXPECT_FALSE(result.passed());
}

TEST(SelfCheck, FindsWrongBlocks) {
  const auto result = check(Fault::blocks);
  EXPECT_GT(result.blocks_error, result.tolerance);
  EXPECT_LE(result.jvp_error, result.tolerance);
  EXPECT_FALSE(result.passed());
}

TEST(SelfCheck, FindsAWrongParameterGradient) {
  const auto result = check(Fault::parameter_gradient);
  EXPECT_GT(result.parameter_error, result.tolerance);
  EXPECT_FALSE(result.passed());
}

TEST(SelfCheck, FindsAValueThatDiffersInLinearise) {
  const auto result = check(Fault::linearise);
  EXPECT_GT(result.value_error, result.tolerance);
  EXPECT_FALSE(result.passed());
}

TEST(SelfCheck, FindsAValueThatDiffersInPropagate) {
  const auto result = check(Fault::propagate);
  EXPECT_GT(result.value_error, result.tolerance);
  EXPECT_FALSE(result.passed());
}

TEST(SelfCheck, FindsEntriesOutsideOfTheStructure) {
  const auto result = check(Fault::structure);
  EXPECT_FALSE(result.structure_holds);
  EXPECT_FALSE(result.passed());
}

TEST(SelfCheck, PassesACellWithInputsAndSharedWeights) {
  test::LeakyCell cell(6, 3, 2);
  for (const Index batch : {1, 4}) {
    const auto result = sequence::check_derivatives(cell, {1, 5}, batch, 1);
    for (const auto& part : sequence::SelfCheck::parts())
      EXPECT_LE(result.*part.error, result.tolerance) << part.name;
    EXPECT_TRUE(result.passed());
  }
}

/// One fault at a time.
class WrongCell final : public sequence::Sequence {
 public:
  enum class Wrong { shared_gradient, samples };
  WrongCell(Wrong wrong, std::unique_ptr<sequence::Sequence> right)
      : wrong_(wrong), right_(std::move(right)) {}
  Index num_steps() const override { return right_->num_steps(); }
  int width() const override { return right_->width(); }
  int input_width() const override { return right_->input_width(); }
  sequence::Inputs inputs() const override { return right_->inputs(); }
  std::unique_ptr<Sequence> bound_to(const sequence::Inputs& inputs) const override {
    sequence::Inputs given = inputs;
    if (wrong_ == Wrong::samples) given.first_sample = 0;
    return std::make_unique<WrongCell>(wrong_, right_->bound_to(given));
  }
  std::vector<sequence::ParameterGroup> parameters() override { return right_->parameters(); }
  void value(StepRange range, ConstStates in, States out) const override {
    right_->value(range, in, out);
  }
  std::unique_ptr<blocks::Linearisation> linearise(StepRange range, ConstStates in,
                                                   States out) const override {
    return right_->linearise(range, in, out);
  }
  void parameter_gradient(StepRange range, ConstStates in, ConstStates g,
                          const sequence::GroupRows& grads) const override {
    if (wrong_ == Wrong::shared_gradient)  // assigns
      std::fill(grads.front().begin(), grads.front().end(), 0.0);
    right_->parameter_gradient(range, in, g, grads);
  }

 private:
  Wrong wrong_;
  std::unique_ptr<sequence::Sequence> right_;
};

TEST(SelfCheck, FindsASharedGradientThatIsNotAddedTo) {
  WrongCell cell(WrongCell::Wrong::shared_gradient, std::make_unique<test::LeakyCell>(6, 3, 2));
  const auto result = sequence::check_derivatives(cell, {1, 5}, 4, 1);
  EXPECT_GT(result.parameter_error, result.tolerance);
  EXPECT_FALSE(result.passed());
}

TEST(SelfCheck, FindsInputsOfOtherSamples) {
  WrongCell cell(WrongCell::Wrong::samples, std::make_unique<test::LeakyCell>(6, 3, 2));
  const auto result = sequence::check_derivatives(cell, {1, 5}, 4, 1);
  EXPECT_GT(result.samples_error, result.tolerance);
  EXPECT_FALSE(result.passed());
}

TEST(SelfCheck, DoesNotPassNaN) { EXPECT_FALSE(check(Fault::not_a_number).passed()); }

}  // namespace
}  // namespace deeppcr
