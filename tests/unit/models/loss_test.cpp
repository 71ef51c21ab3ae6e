#include <gtest/gtest.h>

#include <cmath>
#include <deque>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/random.hpp"
#include "deeppcr/models/losses.hpp"

namespace deeppcr::models {
namespace {

constexpr Index kSteps = 7, kBatch = 3;
constexpr int kWidth = 4, kClasses = 3;
constexpr double kStep = 1e-6;
/// Rounding of central differences, for losses of size 1 to 10.
constexpr double kDifferenceError = 1e3 * std::numeric_limits<double>::epsilon() / kStep;

/// Losses read the numbers 1 to 4 of states of 7.
constexpr int kStateWidth = 7, kFirst = 1;
const std::vector<Index> kLengths{7, 3, 1};

/// options: "loss-rows=2,5", several of them behind blanks, or empty.
std::unique_ptr<Loss> make_loss(const std::string& name, const std::string& options,
                                const LossSizes& sizes = {kSteps, kWidth, kClasses, 1, kFirst}) {
  LossOptions made{name, OptionValues(find_loss(name).options)};
  std::istringstream words(options);
  for (std::string word; words >> word;) {
    const auto at = word.find('=');
    made.own.set(word.substr(0, at), word.substr(at + 1));
  }
  return make(made, sizes);
}

/// What is compared with.
enum class Given { labels, labels_each, targets };

/// All states of a chain, with labels or targets.
struct Problem {
  explicit Problem(Given with = Given::labels, int target_width = kWidth, bool masked = false)
      : z(kSteps * kBatch * kStateWidth),
        targets(kSteps * kBatch * target_width),
        labels{2, 0, 1},
        lengths(masked ? kLengths.data() : nullptr) {
    RandomStream(1, 1).normal(0, z.size(), z.data());
    RandomStream(1, 2).normal(0, targets.size(), targets.data());
    if (with == Given::targets)
      given = {{0, kSteps}, {targets.data(), {kSteps, kBatch, target_width}}};
    if (with != Given::labels_each) return;
    for (Index l = 1; l < kSteps; ++l)
      for (int b = 0; b < kBatch; ++b) labels.push_back(static_cast<int>(l + b) % kClasses);
  }
  LossData data(const StepSet& local, Index samples = kBatch) {
    const ConstStates all(z.data(), {kSteps, kBatch, kStateWidth});
    const States here(held.emplace_back(local.size() * kBatch * kStateWidth).data(),
                      {local.size(), kBatch, kStateWidth});
    for (Index i = 0; i < local.size(); ++i)
      std::copy(all[local.step(i)].begin(), all[local.step(i)].end(), here[i].begin());
    std::vector<int> ours = labels;
    if (samples < kBatch) ours.resize(static_cast<std::size_t>(samples));
    LossData data{local, here, samples, ours, given, 0.5};
    data.lengths = lengths;
    return data;
  }
  /// What the loss must know of all steps, for the data of any of them.
  void share(const Loss& loss, LossData& data) {
    Buffer<Real>& sums = held.emplace_back(loss.num_sums(data.samples));
    loss.add_sums(this->data({0, 2}, data.samples), sums.data());
    loss.add_sums(this->data({2, kSteps}, data.samples), sums.data());
    data.sums = sums.data();
  }
  double value(Loss& loss) {
    LossData all = data({0, kSteps});
    share(loss, all);
    return loss.evaluate(all, nullptr).loss;
  }

  Buffer<Real> z, targets;
  std::vector<int> labels;
  const Index* lengths;
  std::deque<Buffer<Real>> held;  ///< states of each data()
  sequence::Inputs given;
};

/// Its loss of all steps, with the gradient by all states from the first that it reads, and those
/// by its own parameters at the end.
Buffer<Real> gradient(Loss& loss, Problem& problem, const std::vector<StepSet>& parts,
                      double& value) {
  const sequence::ParameterGradients own(loss.parameters());
  const Index head = own.groups() > 0 ? own[0].size() : 0;
  Buffer<Real> all(problem.z.size() + head);
  LossGradients into;
  for (int g = 0; g < own.groups(); ++g) into.parameters.push_back(own[g]);
  value = 0;
  for (const StepSet& part : parts) {
    const Index rows = loss.rows(part), before = part.size() - rows;
    if (rows == 0) continue;
    Buffer<Real> here(rows * kBatch * kStateWidth);
    into.states = States(here.data(), {rows, kBatch, kStateWidth});
    LossData data = problem.data(part);
    problem.share(loss, data);
    value += loss.evaluate(data, &into).loss;
    for (Index i = 0; i < rows; ++i)
      std::copy_n(into.states[i].data(), kBatch * kStateWidth,
                  all.data() + part.step(before + i) * kBatch * kStateWidth);
    for (Index k = 0; k < head; ++k) all[problem.z.size() + k] += own[0].data()[k];
  }
  return all;
}

struct Case {
  const char *name, *option;
  Given given;
  bool masked = false;
};

class LossTest : public ::testing::TestWithParam<Case> {};

TEST_P(LossTest, GradientIsThatOfCentralDifferencesForAnySplit) {
  const Case& one = GetParam();
  const auto loss = make_loss(one.name, one.option);
  Problem problem(one.given, loss->head() != nullptr ? kClasses : kWidth, one.masked);
  for (const auto& parts : {std::vector<StepSet>{{0, kSteps}},
                            {{0, 2}, {2, 3}, {3, 3}, {3, kSteps}},
                            {{0, kSteps - 1}, {kSteps - 1, kSteps}},
                            {{0, kSteps, 2, 4}, {2, kSteps, 2, 4}}}) {
    double value = 0;
    const Buffer<Real> found = gradient(*loss, problem, parts, value);
    EXPECT_NEAR(value, problem.value(*loss), 1e-14 * value);
    for (Index i = 0; i < found.size(); ++i) {
      Real& number =
          i < problem.z.size() ? problem.z[i] : loss->head()->parameters()(i - problem.z.size());
      const Real at = number;
      number = at + kStep;
      const double above = problem.value(*loss);
      number = at - kStep;
      const double below = problem.value(*loss);
      number = at;
      EXPECT_NEAR(found[i], (above - below) / (2 * kStep), kDifferenceError) << i;
      if (i < problem.z.size() && !loss->reads(i / (kBatch * kStateWidth))) {
        EXPECT_EQ(found[i], 0.0);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Losses, LossTest,
    ::testing::Values(
        Case{"cross-entropy", "", Given::labels},
        Case{"cross-entropy", "loss-at=last", Given::labels_each, true},
        Case{"cross-entropy", "loss-at=each", Given::labels},
        Case{"cross-entropy", "loss-at=each", Given::labels_each, true},
        Case{"cross-entropy", "loss-at=rate", Given::labels},
        Case{"cross-entropy", "loss-at=rate", Given::labels_each, true},
        Case{"cross-entropy", "label-smoothing=0.2", Given::labels},
        Case{"cross-entropy", "class-weights=0.5,0,3 loss-at=each", Given::labels_each, true},
        Case{"cross-entropy", "class-weights=1,2,3 label-smoothing=0.1 loss-at=rate",
             Given::labels},
        Case{"binary-cross-entropy", "", Given::labels},
        Case{"binary-cross-entropy", "label-smoothing=0.2 loss-at=each", Given::labels_each, true},
        Case{"binary-cross-entropy", "class-weights=0.5,0,3", Given::labels},
        Case{"mean-square", "loss-at=last", Given::targets, true},
        Case{"mean-square", "loss-at=each", Given::targets},
        Case{"mean-square", "loss-at=each", Given::targets, true},
        Case{"squared-error", "loss-rows=last", Given::labels},
        Case{"squared-error", "loss-rows=every", Given::labels},
        Case{"squared-error", "loss-rows=every", Given::labels_each, true},
        Case{"squared-error", "loss-rows=2,5", Given::labels},
        Case{"squared-error", "loss-rows=1,4,7", Given::labels_each},
        Case{"squared-error", "loss-rows=last", Given::labels_each, true}));

/// y of the head for a state of the problem.
std::vector<Real> output(Loss& loss, Problem& problem, Index l, Index b) {
  std::vector<Real> y(kClasses);
  apply_head(*loss.head(), {kFirst, kWidth},
             {problem.z.data() + (l * kBatch + b) * kStateWidth, {1, kStateWidth}},
             {y.data(), {1, kClasses}});
  return y;
}

TEST(Loss, EachIsTheMeanOverTheStepsThatASampleHas) {
  Problem problem(Given::targets, kClasses, true);
  const auto loss = make_loss("mean-square", "loss-at=each");
  double mean = 0;
  for (Index b = 0; b < kBatch; ++b)
    for (Index l = 0; l < kLengths[static_cast<std::size_t>(b)]; ++l) {
      const std::vector<Real> y = output(*loss, problem, l, b);
      for (int k = 0; k < kClasses; ++k)
        mean += std::pow(y[static_cast<std::size_t>(k)] -
                             problem.targets[(l * kBatch + b) * kClasses + k],
                         2) /
                (kClasses * kLengths[static_cast<std::size_t>(b)] * kBatch);
    }
  EXPECT_NEAR(problem.value(*loss), 0.5 * mean, 1e-14 * mean);
}

TEST(Loss, RateIsThatOfTheMeanStateOverTheStepsThatASampleHas) {
  Problem masked(Given::labels, 1, true), mean(Given::labels, 1, true);
  for (Index b = 0; b < kBatch; ++b) {
    const Index steps = kLengths[static_cast<std::size_t>(b)];
    for (Index k = 0; k < kStateWidth; ++k) {
      Real sum = 0;
      for (Index l = 0; l < steps; ++l) sum += masked.z[(l * kBatch + b) * kStateWidth + k];
      mean.z[((kSteps - 1) * kBatch + b) * kStateWidth + k] = sum / static_cast<Real>(steps);
    }
  }
  const auto rate = make_loss("cross-entropy", "loss-at=rate");
  EXPECT_NEAR(masked.value(*rate), mean.value(*make_loss("cross-entropy", "")), 1e-14);
  LossData data = masked.data({kSteps - 1, kSteps});
  masked.share(*rate, data);
  const LossData at_mean = mean.data({kSteps - 1, kSteps});
  EXPECT_EQ(rate->classify(data), make_loss("cross-entropy", "")->classify(at_mean));
}

TEST(Loss, StepsThatASampleLacksChangeNothing) {
  for (const char* at : {"loss-at=each", "loss-at=rate"}) {
    Problem problem(Given::labels_each, 1, true);
    const auto loss = make_loss("cross-entropy", at);
    const double before = problem.value(*loss);
    problem.z[(3 * kBatch + 1) * kStateWidth + kFirst] += 1;  // sample 1 has 3 steps
    EXPECT_EQ(problem.value(*loss), before);
    problem.z[(2 * kBatch + 1) * kStateWidth + kFirst] += 1;
    EXPECT_NE(problem.value(*loss), before);
  }
}

TEST(Loss, CountsWhatThereWasToClassify) {
  Problem problem(Given::labels_each, 1, true);
  const LossData data = problem.data({0, kSteps});
  EXPECT_EQ(make_loss("cross-entropy", "loss-at=each")->evaluate(data, nullptr).counted, 11);
  EXPECT_EQ(make_loss("cross-entropy", "")->evaluate(data, nullptr).counted, kBatch);
}

TEST(Loss, ASampleWithoutStepsAddsNothing) {
  const std::vector<Index> lengths{7, 0, 1};
  for (const Case& one : {Case{"cross-entropy", "loss-at=last", Given::labels_each},
                          {"cross-entropy", "loss-at=each", Given::labels_each},
                          {"cross-entropy", "loss-at=rate", Given::labels_each},
                          {"mean-square", "loss-at=last", Given::targets},
                          {"squared-error", "loss-rows=last", Given::labels}}) {
    SCOPED_TRACE(fmt::format("{} {}", one.name, one.option));
    const auto loss = make_loss(one.name, one.option);
    Problem problem(one.given, kClasses);
    problem.lengths = lengths.data();
    double whole = 0;
    const Buffer<Real> found = gradient(*loss, problem, {{0, kSteps}}, whole);
    for (Index l = 0; l < kSteps; ++l) {
      for (Index k = (l * kBatch + 1) * kStateWidth; k < (l * kBatch + 2) * kStateWidth; ++k) {
        EXPECT_EQ(found[k], 0.0) << k;
        problem.z[k] += 3;
      }
      if (one.given == Given::labels_each)
        problem.labels[static_cast<std::size_t>(l * kBatch + 1)] = 2;
    }
    // Beside a gradient the compiler may add in another order.
    EXPECT_DOUBLE_EQ(problem.value(*loss), whole);
    if (loss->classes() == 0) continue;
    LossData data = problem.data({0, kSteps});
    problem.share(*loss, data);
    const bool each = std::string(one.option) == "loss-at=each";
    EXPECT_EQ(loss->evaluate(data, nullptr).counted, each ? 8 : 2);
  }
}

TEST(Loss, RefusesAMeanStateForTargets) {
  EXPECT_THROW(make_loss("mean-square", "loss-at=rate"), Error);
}

TEST(Loss, SquaredErrorIsTheMeanOverRowsSamplesAndNumbers) {
  Problem problem(Given::labels_each);
  const auto loss = make_loss("squared-error", "loss-rows=2,6");
  double sum = 0;
  for (const Index row : {1, 5})
    for (Index b = row * kBatch; b < (row + 1) * kBatch; ++b)
      for (int k = 0; k < kWidth; ++k)
        sum += std::pow(problem.z[b * kStateWidth + kFirst + k] -
                            (k == problem.labels[static_cast<std::size_t>(b)] ? 1 : 0),
                        2);
  EXPECT_NEAR(problem.value(*loss), 0.5 * sum / (2 * kBatch * kWidth), 1e-14);
}

TEST(Loss, SomeSamplesCountAlone) {
  Problem problem;
  for (const char* name : {"cross-entropy", "squared-error"}) {
    const auto loss = make_loss(name, "");
    const double two = loss->evaluate(problem.data({0, kSteps}, 2), nullptr).loss;
    problem.z[(kSteps * kBatch - 1) * kStateWidth + kFirst] += 1;  // of the last sample
    EXPECT_EQ(loss->evaluate(problem.data({0, kSteps}, 2), nullptr).loss, two);
    EXPECT_NE(problem.value(*loss), two);
  }
}

/// Outputs of the file through a head that changes nothing; see tests/golden/make_losses.py.
TEST(Loss, OfLabelsAreThoseOfPyTorch) {
  std::ifstream file(DEEPPCR_GOLDEN_DIR "/losses.json");
  const auto golden = nlohmann::json::parse(file);
  const int classes = golden["classes"];
  const std::vector<Real> outputs = golden["outputs"];
  const std::vector<int> labels = golden["labels"];
  const auto samples = static_cast<Index>(labels.size());
  ASSERT_EQ(golden["cases"].size(), 8u);
  for (const auto& one : golden["cases"]) {
    SCOPED_TRACE(one.dump().substr(0, 100));
    const std::vector<Real> weights = one["weights"], expected = one["gradient"];
    const auto loss = make_loss(
        one["name"],
        fmt::format("label-smoothing={} class-weights={}", one["smoothing"].get<double>(),
                    weights.empty() ? "equal" : fmt::format("{}", fmt::join(weights, ","))),
        {1, classes, classes});
    const View<Real, 1> head = loss->head()->parameters();
    for (Index i = 0; i < head.size(); ++i) head(i) = i % (classes + 1) == 0 ? 1 : 0;
    for (Index i = classes * classes; i < head.size(); ++i) head(i) = 0;
    Buffer<Real> gradients(samples * classes);
    const LossGradients into{{gradients.data(), {1, samples, classes}}, {}};
    const LossData data{{0, 1}, {outputs.data(), {1, samples, classes}}, samples, labels, {}};
    const double value = one["loss"];
    EXPECT_NEAR(loss->evaluate(data, &into).loss, value, 1e-14 * value);
    EXPECT_NEAR(loss->evaluate(data, nullptr).loss, value, 1e-14 * value);
    for (Index i = 0; i < gradients.size(); ++i)
      EXPECT_NEAR(gradients[i], expected[static_cast<std::size_t>(i)], 1e-15) << i;
  }
}

TEST(Loss, RefusesClassWeightsWithoutSense) {
  for (const char* name : {"cross-entropy", "binary-cross-entropy"})
    for (const char* weights : {"1,2", "1,2,3,4", "1,2,", ",1,2", "1;2;3", "", "-1,2,3", "0,0,0",
                                "nan,1,1", "inf,1,1", "1e999,1,1", "a,b,c"})
      EXPECT_THROW(make_loss(name, std::string("class-weights=") + weights), Error) << weights;
  for (const char* smoothing : {"-0.1", "1.1", "nan"})
    EXPECT_THROW(make_loss("cross-entropy", std::string("label-smoothing=") + smoothing), Error);
}

TEST(Loss, OnlyClassifiersTakeSamplesForClasses) {
  Problem problem;
  const LossData data = problem.data({3, kSteps});
  for (const auto& [name, options] :
       {std::pair("cross-entropy", ""), std::pair("cross-entropy", "label-smoothing=0.1"),
        std::pair("binary-cross-entropy", "")}) {
    const auto loss = make_loss(name, options);
    EXPECT_EQ(loss->classes(), kClasses);
    const std::vector<int> taken = loss->classify(data);
    ASSERT_EQ(taken.size(), 3u);
    Index right = 0;
    for (std::size_t s = 0; s < 3; ++s) right += taken[s] == data.labels[s];
    EXPECT_EQ(loss->evaluate(data, nullptr).correct, right);
    EXPECT_TRUE(loss->classify(problem.data({0, kSteps - 1})).empty());
  }
  const auto squared = make_loss("squared-error", "");
  EXPECT_EQ(squared->classes(), 0);
  EXPECT_TRUE(squared->classify(data).empty());
}

TEST(Loss, NaNIsSeen) {
  Problem problem;
  problem.z[problem.z.size() - kStateWidth + kFirst] = std::nan("");
  for (const char* name : {"cross-entropy", "binary-cross-entropy", "squared-error"})
    EXPECT_TRUE(std::isnan(problem.value(*make_loss(name, "")))) << name;
  EXPECT_TRUE(std::isnan(problem.value(*make_loss("cross-entropy", "label-smoothing=0.1"))));
}

TEST(Loss, RefusesRowsThatAreNotThere) {
  for (const char* rows : {"0", "8", "1,", ",1", "1;2", "", "some", "-1", "1,9"})
    EXPECT_THROW(make_loss("squared-error", std::string("loss-rows=") + rows), Error) << rows;
  EXPECT_THROW(make_loss("hinge", ""), Error);
}

TEST(Loss, ThoseOfOtherProgramsAreFound) {
  const LossEntry mine{"mine", "as squared-error", {}, [](const OptionValues&, const LossSizes& s) {
                         return std::make_unique<SquaredError>(s, "every");
                       }};
  add_to_catalogue(mine);
  EXPECT_THROW(add_to_catalogue(mine), Error);
  EXPECT_TRUE(make_loss("mine", "")->reads(0));
}

}  // namespace
}  // namespace deeppcr::models
