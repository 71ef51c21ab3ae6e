// Signals as samples, pixels in another order, and a chain that is trained on sequences which end
// at different times and whose gradients are truncated: on every grid against one rank.
#include "deeppcr/train/sequences.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "deeppcr/models/losses.hpp"
#include "deeppcr/train/chain_network.hpp"
#include "deeppcr/train/images.hpp"
#include "support/environment.hpp"
#include "support/leaky_cell.hpp"
#include "support/pass_options.hpp"
#include "support/random_chain.hpp"
#include "train/truncated.hpp"

namespace deeppcr::train {
namespace {

constexpr Index kSamples = 6, kSteps = 9;
constexpr int kInputs = 3, kWidth = 4, kTargets = 2;
constexpr double kRounding = 1e4 * std::numeric_limits<double>::epsilon();

/// Lengths 9, 1, 7, 2, 5, 9; a label and targets for each step.
Sequences::Content content(bool early) {
  Sequences::Content all;
  all.samples = kSamples;
  all.steps = kSteps;
  all.features = kInputs;
  all.inputs.reset(kSteps * kSamples * kInputs);
  RandomStream(3, 1).normal(0, all.inputs.size(), all.inputs.data());
  if (early) all.lengths = {9, 1, 7, 2, 5, 9};
  all.labels_each = true;
  for (Index i = 0; i < kSteps * kSamples; ++i) all.labels.push_back(i % 3);
  all.target_width = kTargets;
  all.targets.reset(kSteps * kSamples * kTargets);
  RandomStream(3, 2).normal(0, all.targets.size(), all.targets.data());
  return all;
}

Sequences samples(bool early, Index first = 0, Index last = kSamples) {
  return {std::make_shared<const Sequences::Content>(content(early)), first, last};
}

TEST(Sequences, AConstantFeatureIsNotDividedByARoundingError) {
  Sequences::Content all = content(true);
  for (Index i = 0; i < all.inputs.size(); i += kInputs) {
    all.inputs[i] = 0.1;                                          // the mean of many is another
    all.inputs[i + 1] = 1e9 + 1e-7 * static_cast<double>(i % 2);  // as near as numbers are there
    all.inputs[i + 2] = 1e6 + 1e-3 * static_cast<double>(i % 2);  // varies
  }
  const auto shared = std::make_shared<const Sequences::Content>(std::move(all));
  const Normalisation found = Sequences(shared, 0, kSamples).normalisation();
  EXPECT_EQ(found.mean[0], 0.1);
  EXPECT_EQ(found.deviation[0], 1);
  EXPECT_EQ(found.deviation[1], 1);
  EXPECT_NEAR(found.deviation[2], 5e-4, 1e-4);
}

TEST(Sequences, AreCutOutOfTheirContent) {
  const auto all = std::make_shared<const Sequences::Content>(content(true));
  const Sequences two(all, 2, 4);
  EXPECT_EQ(two.count(), 2);
  EXPECT_EQ(two.steps(), kSteps);
  EXPECT_EQ(two.features(), kSteps * kInputs);
  EXPECT_EQ(two.channels(), kInputs);
  EXPECT_EQ(two.classes(), 3);
  EXPECT_EQ(two.length(0), 7);
  EXPECT_EQ(two.length(1), 2);
  EXPECT_EQ(two.label(1, 1), (1 * kSamples + 3) % 3);
  EXPECT_EQ(two.target(0, 6), all->targets.data() + (6 * kSamples + 2) * kTargets);
  EXPECT_EQ(two.target(1, 2), nullptr);
  Buffer<Real> x(kSteps * kInputs);
  const Index sample = 1;
  const Normalisation halved{{1, 2, 3}, {2, 2, 2}};
  two.fill(&sample, 0, halved, {}, {x.data(), {1, x.size()}});
  for (Index l = 0; l < kSteps; ++l) {
    for (Index k = 0; k < kInputs; ++k) {
      const Real raw = all->inputs[(l * kSamples + 3) * kInputs + k];
      EXPECT_EQ(x[l * kInputs + k], l < 2 ? (raw - static_cast<Real>(k + 1)) / 2 : 0);
    }
  }
}

TEST(Sequences, AreNormalisedOverTheStepsThatThereAre) {
  const Sequences set = samples(true);
  const Normalisation found = set.normalisation();
  Buffer<Real> x(kSamples * kSteps * kInputs);
  std::vector<Index> all(kSamples);
  std::iota(all.begin(), all.end(), Index{0});
  set.fill(all.data(), 0, found, {}, {x.data(), {kSamples, kSteps * kInputs}});
  for (Index k = 0; k < kInputs; ++k) {
    double sum = 0, squares = 0, count = 0;
    for (Index b = 0; b < kSamples; ++b) {
      for (Index l = 0; l < set.length(b); ++l, ++count) {
        const Real value = x[(b * kSteps + l) * kInputs + k];
        sum += value;
        squares += value * value;
      }
    }
    EXPECT_NEAR(sum / count, 0, 1e-14);
    EXPECT_NEAR(squares / count, 1, 1e-13);
  }
}

TEST(Sequences, LabelsBehindTheEndAskForNoClass) {
  Sequences::Content all = content(true);
  all.labels[1 * kSamples + 1] = 7;  // sample 1 has one step
  EXPECT_EQ(Sequences(std::make_shared<const Sequences::Content>(std::move(all)), 0, 1).classes(),
            3);
}

TEST(Images, ComeInAnotherOrderBySeed) {
  const Index one = 0;
  const auto features = [&](std::uint64_t seed, const Augmentation& change) {
    Images images = Images::random(1, 1, 0);
    images.permute(seed);
    std::vector<Real> x(64);
    images.fill(&one, 0, {}, change, {x.data(), {1, 64}});
    return x;
  };
  const std::vector<Real> rows = features(0, {}), other = features(5, {});
  EXPECT_NE(rows, other);
  EXPECT_EQ(other, features(5, {}));
  EXPECT_NE(other, features(6, {}));
  std::vector<Real> a = rows, b = other;
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  EXPECT_EQ(a, b);
  // where a pixel goes does not depend on what an image looks like
  const std::vector<Real> moved = features(0, {3, false, 9}), both = features(5, {3, false, 9});
  for (std::size_t i = 0; i < 64; ++i) {
    const auto to = std::find(other.begin(), other.end(), rows[i]) - other.begin();
    const bool unique = std::count(rows.begin(), rows.end(), rows[i]) == 1;
    if (unique) {
      EXPECT_EQ(both[static_cast<std::size_t>(to)], moved[i]);
    }
  }
}

std::unique_ptr<models::Loss> make_loss(const std::string& name, Index steps) {
  const auto colon = name.find(':');
  models::LossOptions options;
  options.name = name.substr(0, colon);
  options.own = OptionValues(models::find_loss(options.name).options);
  options.own.set("loss-at", name.substr(colon + 1));
  const int outputs = options.name == "mean-square" ? kTargets : 3;
  return models::make(options, {steps, kWidth, outputs, 3});
}

/// A leaky cell that reads some samples.
struct Fixture {
  Fixture(const parallel::Communicator& comm, int depth, const Sequences& set,
          const std::string& loss, Index truncate = 0, const std::string& method = "sequential")
      : grid(comm, depth, comm.size() / depth),
        net(grid,
            {std::make_unique<test::LeakyCell>(set.steps(), kWidth, kInputs), nullptr,
             make_loss(loss, set.steps())},
            options_for(depth, set, truncate, method), set) {}

  static ChainNetwork::Options options_for(int depth, const Sequences& set, Index truncate,
                                           const std::string& method) {
    ChainNetwork::Options options;
    options.layout = test::uneven_layout(set.steps(), depth);
    options.batch = set.count();
    test::set_passes(options.methods, method, method);
    options.truncate = truncate;
    return options;
  }
  StepOutcome differentiate() {
    std::vector<Index> all(static_cast<std::size_t>(net_samples));
    std::iota(all.begin(), all.end(), Index{0});
    return net.differentiate({0, 0, all.data(), net_samples});
  }
  std::vector<Real> gradient(const std::string& name) {
    for (const ParameterGroup& one : net.parameters())
      if (one.array.name == name) return {one.gradient, one.gradient + one.array.local_size()};
    return {};
  }

  parallel::ProcessGrid grid;
  ChainNetwork net;
  Index net_samples = kSamples;
};

void expect_near(const std::vector<Real>& found, const std::vector<Real>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], kRounding);
}

const std::vector<std::string> kLosses{"cross-entropy:last", "cross-entropy:each",
                                       "cross-entropy:rate", "mean-square:last",
                                       "mean-square:each"};

TEST(SequenceNetwork, GradientsAreThoseOfOneRankOnEveryGrid) {
  const parallel::Communicator self = parallel::Communicator::self();
  const int P = test::world().size();
  for (const std::string& loss : kLosses) {
    for (const Index truncate : {0, 1, 4}) {
      const Sequences set = samples(true);
      Fixture alone(self, 1, set, loss, truncate);
      const StepOutcome expected = alone.differentiate();
      for (int depth = 1; depth <= P; ++depth) {
        if (P % depth != 0) continue;
        for (const char* method : {"sequential", "hybrid", "1f1b", "zero-bubble"}) {
          const bool piped = std::string(method) == "1f1b" || std::string(method) == "zero-bubble";
          if (piped && depth > 1 && loss == "cross-entropy:rate") continue;
          SCOPED_TRACE(
              fmt::format("{}, {}, windows of {}, {} depth ranks", loss, method, truncate, depth));
          Fixture together(test::world(), depth, set, loss, truncate, method);
          const StepOutcome found = together.differentiate();
          EXPECT_NEAR(found.loss, expected.loss, kRounding);
          EXPECT_EQ(std::isnan(found.accuracy), loss[0] == 'm');
          if (loss[0] != 'm') {
            EXPECT_EQ(found.accuracy, expected.accuracy);
          }
          expect_near(together.gradient("cell"), alone.gradient("cell"));
          const auto head = together.gradient("head");
          if (!head.empty()) expect_near(head, alone.gradient("head"));
        }
      }
    }
  }
}

/// The mean of networks that each read one sample for as long as it is.
TEST(SequenceNetwork, ASampleThatEndsEarlyIsAShorterChain) {
  const parallel::Communicator self = parallel::Communicator::self();
  for (const std::string& loss : kLosses) {
    SCOPED_TRACE(loss);
    const Sequences set = samples(true);
    Fixture all(self, 1, set, loss);
    const StepOutcome outcome = all.differentiate();
    double mean = 0;
    std::vector<Real> sum(all.gradient("cell").size());
    for (Index b = 0; b < kSamples; ++b) {
      Sequences::Content one = content(false);
      one.steps = set.length(b);
      const Sequences alone(std::make_shared<const Sequences::Content>(std::move(one)), b, b + 1);
      Fixture net(self, 1, alone, loss);
      net.net_samples = 1;
      mean += net.differentiate().loss / kSamples;
      const std::vector<Real> gradient = net.gradient("cell");
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += gradient[i] / kSamples;
    }
    EXPECT_NEAR(outcome.loss, mean, kRounding);
    expect_near(all.gradient("cell"), sum);
  }
}

TEST(SequenceNetwork, EvaluationSaysWhatItPredicts) {
  const parallel::Communicator self = parallel::Communicator::self();
  const int P = test::world().size();
  for (const std::string& loss : kLosses) {
    SCOPED_TRACE(loss);
    const Sequences set = samples(true);
    Predictions one, many;
    Fixture alone(self, 1, set, loss), together(test::world(), P, set, loss);
    const Evaluation expected = alone.net.evaluate(set, &one);
    const Evaluation found = together.net.evaluate(set, &many);
    EXPECT_NEAR(found.loss, expected.loss, kRounding);
    EXPECT_EQ(found.confusion, expected.confusion);
    const bool each = loss.find(":each") != std::string::npos;
    EXPECT_EQ(one.steps, each ? kSteps : 1);
    EXPECT_EQ(one.width, loss[0] == 'm' ? kTargets : 1);
    expect_near({many.values.begin(), many.values.end()}, {one.values.begin(), one.values.end()});
    if (expected.classes > 0) {
      const Index counted = each ? 9 + 1 + 7 + 2 + 5 + 9 : kSamples;
      EXPECT_EQ(std::accumulate(found.confusion.begin(), found.confusion.end(), Index{0}), counted);
      continue;
    }
    double loss_again = 0;  // from what was predicted
    for (Index b = 0; b < kSamples; ++b) {
      const Index length = set.length(b), first = each ? 0 : length - 1;
      for (Index l = first; l < length; ++l) {
        for (int k = 0; k < kTargets; ++k) {
          const Real said = one.values[(b * one.steps + (each ? l : 0)) * kTargets + k];
          const Real error = said - set.target(b, l)[k];
          loss_again += error * error / (kTargets * kSamples * static_cast<double>(length - first));
        }
      }
    }
    EXPECT_NEAR(expected.loss, loss_again, kRounding);
  }
}

TEST(Truncated, JacobiansAreZeroAtTheFrontOfAWindow) {
  constexpr Index kBatch = 2, kWindow = 4;
  const test::LeakyCell cell(kSteps, kWidth, kInputs);
  const test::RandomInputs inputs({0, kSteps}, kBatch, kInputs);
  sequence::Inputs given = inputs.view();
  const Index lengths[] = {kSteps, 6};
  given.lengths = lengths;
  const auto chain = cell.bound_to(given);
  const Truncated truncated(*chain, kWindow);
  Buffer<Real> z((kSteps + 1) * kBatch * kWidth), out(kSteps * kBatch * kWidth);
  RandomStream(1, 1).normal(0, z.size(), z.data());
  const ConstStates in(z.data(), {kSteps, kBatch, kWidth});
  const States values(out.data(), in.shape());
  const auto J = truncated.linearise({0, kSteps}, in, values);
  const auto whole = chain->linearise({0, kSteps}, in, values);
  Buffer<Real> cut(kSteps * kBatch * kWidth * kWidth), all(cut.size());
  const Blocks A(cut.data(), {kSteps, kBatch, kWidth, kWidth}), B(all.data(), A.shape());
  J->blocks({0, kSteps}, A);
  whole->blocks({0, kSteps}, B);
  for (Index l = 0; l < kSteps; ++l) {
    for (Index b = 0; b < kBatch; ++b) {
      const bool zero = (l == 4 || l == 8) && l < lengths[b];
      for (Index i = 0; i < kWidth * kWidth; ++i) {
        const Index at = (l * kBatch + b) * kWidth * kWidth + i;
        EXPECT_EQ(cut[at], zero ? 0 : all[at]) << l << " " << b;
      }
    }
  }
  // g_l = c_l + A_{l+1}^T g_{l+1} by these blocks
  Buffer<Real> c(out.size()), g(out.size()), carry(kBatch * kWidth), expected(kBatch * kWidth);
  RandomStream(1, 2).normal(0, c.size(), c.data());
  J->substitute({0, kSteps}, Direction::backward, {c.data(), in.shape()}, {g.data(), in.shape()},
                {carry.data(), {kBatch, kWidth}});
  for (Index l = kSteps - 1; l >= 0; --l) {
    for (Index b = 0; b < kBatch; ++b) {
      Real next[kWidth];
      for (int i = 0; i < kWidth; ++i) {
        const Real found = g[(l * kBatch + b) * kWidth + i];
        EXPECT_NEAR(found, c[(l * kBatch + b) * kWidth + i] + expected[b * kWidth + i], 1e-13);
      }
      for (int j = 0; j < kWidth; ++j) {
        next[j] = 0;
        for (int i = 0; i < kWidth; ++i)
          next[j] += A(l, b, j, i) * g[(l * kBatch + b) * kWidth + i];
      }
      std::copy_n(next, kWidth, expected.data() + b * kWidth);
    }
  }
  for (Index i = 0; i < carry.size(); ++i) EXPECT_NEAR(carry[i], expected[i], 1e-13);
}

}  // namespace
}  // namespace deeppcr::train
