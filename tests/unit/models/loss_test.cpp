#include "deeppcr/models/loss.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <deque>
#include <limits>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/random.hpp"

namespace deeppcr::models {
namespace {

constexpr Index kSteps = 7, kBatch = 3;
constexpr int kWidth = 4, kClasses = 3;
constexpr double kStep = 1e-6;
/// Rounding of central differences, for losses of size 1 to 10.
constexpr double kDifferenceError = 1e3 * std::numeric_limits<double>::epsilon() / kStep;

std::unique_ptr<Loss> make_loss(const std::string& name, const char* rows) {
  LossOptions options;
  options.name = name;
  if (rows != nullptr) options.own = OptionValues(find_loss(name).options).set("loss-rows", rows);
  return make(options, {kSteps, kWidth, kClasses, 1});
}

/// All states of a chain, with labels and with targets of its own.
struct Problem {
  explicit Problem(bool with_targets) : z(kSteps * kBatch * kWidth), targets(z.size()) {
    RandomStream(1, 1).normal(0, z.size(), z.data());
    RandomStream(1, 2).normal(0, z.size(), targets.data());
    if (with_targets) given = {{0, kSteps}, {targets.data(), {kSteps, kBatch, kWidth}}};
  }
  LossData data(const StepSet& local, Index samples = kBatch) {
    const ConstStates all(z.data(), {kSteps, kBatch, kWidth});
    const States here(held.emplace_back(local.size() * kBatch * kWidth).data(),
                      {local.size(), kBatch, kWidth});
    for (Index i = 0; i < local.size(); ++i)
      std::copy(all[local.step(i)].begin(), all[local.step(i)].end(), here[i].begin());
    std::vector<int> labels{2, 0, 1};
    labels.resize(static_cast<std::size_t>(samples));
    return {local, here, samples, labels, given, 0.5};
  }
  double value(Loss& loss) { return loss.evaluate(data({0, kSteps}), nullptr).loss; }

  Buffer<Real> z, targets;
  std::deque<Buffer<Real>> held;  ///< states of each data()
  sequence::Inputs given;
};

/// Its loss of all steps, with the gradient by all states from the first that it reads.
Buffer<Real> gradient(Loss& loss, Problem& problem, const std::vector<StepSet>& parts,
                      double& value) {
  Buffer<Real> all(problem.z.size());
  const sequence::ParameterGradients own(loss.parameters());
  LossGradients into;
  for (int g = 0; g < own.groups(); ++g) into.parameters.push_back(own[g]);
  value = 0;
  for (const StepSet& part : parts) {
    const Index rows = loss.rows(part), before = part.size() - rows;
    Buffer<Real> here(rows * kBatch * kWidth);
    into.states = States(here.data(), {rows, kBatch, kWidth});
    value += loss.evaluate(problem.data(part), &into).loss;
    for (Index i = 0; i < rows; ++i)
      std::copy_n(into.states[i].data(), kBatch * kWidth,
                  all.data() + part.step(before + i) * kBatch * kWidth);
  }
  return all;
}

class LossTest : public ::testing::TestWithParam<std::tuple<const char*, const char*, bool>> {};

TEST_P(LossTest, GradientIsThatOfCentralDifferencesForAnySplit) {
  const auto& [name, rows, with_targets] = GetParam();
  const auto loss = make_loss(name, rows);
  Problem problem(with_targets);
  for (const auto& parts : {std::vector<StepSet>{{0, kSteps}},
                            {{0, 2}, {2, 3}, {3, 3}, {3, kSteps}},
                            {{0, kSteps - 1}, {kSteps - 1, kSteps}},
                            {{0, kSteps, 2, 4}, {2, kSteps, 2, 4}}}) {
    double value = 0;
    const Buffer<Real> found = gradient(*loss, problem, parts, value);
    EXPECT_NEAR(value, problem.value(*loss), 1e-14 * value);
    for (Index i = 0; i < found.size(); ++i) {
      const Real at = problem.z[i];
      problem.z[i] = at + kStep;
      const double above = problem.value(*loss);
      problem.z[i] = at - kStep;
      const double below = problem.value(*loss);
      problem.z[i] = at;
      EXPECT_NEAR(found[i], (above - below) / (2 * kStep), kDifferenceError) << i;
      if (!loss->reads(i / (kBatch * kWidth))) {
        EXPECT_EQ(found[i], 0.0);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Losses, LossTest,
                         ::testing::Values(std::tuple{"cross-entropy", nullptr, false},
                                           std::tuple{"squared-error", "last", false},
                                           std::tuple{"squared-error", "every", false},
                                           std::tuple{"squared-error", "2,5", false},
                                           std::tuple{"squared-error", "1,4,7", true},
                                           std::tuple{"squared-error", "every", true}));

TEST(Loss, SquaredErrorIsTheMeanOverRowsSamplesAndNumbers) {
  Problem problem(true);
  const auto loss = make_loss("squared-error", "2,6");
  double sum = 0;
  for (const Index row : {1, 5})
    for (Index i = row * kBatch * kWidth; i < (row + 1) * kBatch * kWidth; ++i)
      sum += std::pow(problem.z[i] - problem.targets[i], 2);
  EXPECT_NEAR(problem.value(*loss), 0.5 * sum / (2 * kBatch * kWidth), 1e-14);
}

TEST(Loss, SomeSamplesCountAlone) {
  Problem problem(false);
  for (const char* name : {"cross-entropy", "squared-error"}) {
    const auto loss = make_loss(name, nullptr);
    const double two = loss->evaluate(problem.data({0, kSteps}, 2), nullptr).loss;
    problem.z[(kSteps * kBatch - 1) * kWidth] += 1;  // of the last sample
    EXPECT_EQ(loss->evaluate(problem.data({0, kSteps}, 2), nullptr).loss, two);
    EXPECT_NE(problem.value(*loss), two);
  }
}

TEST(Loss, OnlyClassifiersTakeSamplesForClasses) {
  Problem problem(false);
  const auto cross_entropy = make_loss("cross-entropy", nullptr);
  EXPECT_EQ(cross_entropy->classes(), kClasses);
  const LossData data = problem.data({3, kSteps});
  const std::vector<int> taken = cross_entropy->classify(data);
  ASSERT_EQ(taken.size(), 3u);
  Index right = 0;
  for (std::size_t s = 0; s < 3; ++s) right += taken[s] == data.labels[s];
  EXPECT_EQ(cross_entropy->evaluate(data, nullptr).correct, right);
  EXPECT_TRUE(cross_entropy->classify(problem.data({0, kSteps - 1})).empty());
  const auto squared = make_loss("squared-error", nullptr);
  EXPECT_EQ(squared->classes(), 0);
  EXPECT_TRUE(squared->classify(data).empty());
}

TEST(Loss, NaNIsSeen) {
  Problem problem(false);
  problem.z[problem.z.size() - 1] = std::nan("");
  for (const char* name : {"cross-entropy", "squared-error"})
    EXPECT_TRUE(std::isnan(problem.value(*make_loss(name, nullptr)))) << name;
}

TEST(Loss, RefusesRowsThatAreNotThere) {
  for (const char* rows : {"0", "8", "1,", ",1", "1;2", "", "some", "-1", "1,9"})
    EXPECT_THROW(make_loss("squared-error", rows), Error) << rows;
  EXPECT_THROW(make_loss("hinge", nullptr), Error);
}

TEST(Loss, ThoseOfOtherProgramsAreFound) {
  const LossEntry mine{"mine", "as squared-error", {}, [](const OptionValues&, const LossSizes& s) {
                         return std::make_unique<SquaredError>(s.steps, "every");
                       }};
  add_to_catalogue(mine);
  EXPECT_THROW(add_to_catalogue(mine), Error);
  EXPECT_TRUE(make_loss("mine", nullptr)->reads(0));
}

}  // namespace
}  // namespace deeppcr::models
