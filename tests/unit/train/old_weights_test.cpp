// Gradients at the weights of d updates ago, on a quadratic whose updates are known.
#include "deeppcr/train/old_weights.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "deeppcr/parallel/block_layout.hpp"
#include "deeppcr/train/trainer.hpp"
#include "support/environment.hpp"
#include "support/grids.hpp"
#include "support/refusal.hpp"

namespace deeppcr::train {
namespace {

using test::for_each_grid;

constexpr Index kRows = 5, kSamples = 12, kBatch = 4, kUpdates = 14;
constexpr double kRate = 0.0625;

double target(Index sample, Index row) { return std::sin(3.0 * sample + row); }

/// Mean over samples of |x - a_s|^2 / 2, its rows on the depth axis, all samples on each data rank.
class Quadratic final : public Trainable {
 public:
  explicit Quadratic(const parallel::ProcessGrid& grid)
      : grid_(grid),
        own_(
            parallel::BlockLayout::balanced(kRows, grid.depth().size()).range(grid.depth().rank())),
        x_(own_.size()),
        gradient_(own_.size()) {
    for (Index i = 0; i < own_.size(); ++i) x_[i] = 1 + static_cast<Real>(own_.first + i);
  }

  std::vector<ParameterGroup> parameters() override {
    return {{{"x", kRows, 1, own_, x_.data(), "numbers"}, gradient_.data()}};
  }
  std::vector<std::string> stages() const override { return {}; }
  StepOutcome differentiate(const MiniBatch& batch) override {
    for (Index i = 0; i < own_.size(); ++i) {
      gradient_[i] = 0;
      for (Index s = 0; s < batch.size; ++s)
        gradient_[i] +=
            (x_[i] - target(batch.samples[s], own_.first + i)) / static_cast<Real>(batch.size);
    }
    StepOutcome outcome;
    outcome.loss = breaks ? std::nan("") : 0;
    return outcome;
  }

  /// All rows.
  std::vector<double> whole() const {
    std::vector<double> all(kRows, 0);
    for (Index i = 0; i < own_.size(); ++i) all[static_cast<std::size_t>(own_.first + i)] = x_[i];
    grid_.depth().sum(all);
    return all;
  }

  bool breaks = false;  ///< its loss is no number

 private:
  const parallel::ProcessGrid& grid_;
  StepRange own_;
  Buffer<Real> x_, gradient_;
};

Trainer::Options options_of(const Delay& delay, const char* rule = "sgd") {
  Trainer::Options options;
  options.optimiser.rule = rule;
  options.optimiser.own = OptionValues(find_optimiser(rule).options);
  options.optimiser.own.set("weight-decay", 0);
  if (options.optimiser.rule == "sgd") options.optimiser.own.set("momentum", 0);
  options.schedule.name = "constant";
  options.schedule.peak = kRate;
  options.samples = kSamples;
  options.batch = kBatch;
  options.delay = delay;
  return options;
}

using Numbers = std::vector<double>;
using Versions = std::vector<Numbers>;

/// W(0), W(1), .. of gradient descent in one place, whose gradient t is taken at old(t, W).
template <typename Old>
Versions descend(Index updates, const Old& old) {
  SampleOrder order(kSamples, kBatch, 1);
  Versions w(1);
  for (Index i = 0; i < kRows; ++i) w[0].push_back(1 + static_cast<double>(i));
  for (Index t = 0; t < updates; ++t) {
    const Numbers at = old(t, w);
    const Index* samples = order.batch(t);
    Numbers next = w.back();
    for (std::size_t i = 0; i < next.size(); ++i) {
      double g = 0;
      for (Index s = 0; s < kBatch; ++s)
        g += (at[i] - target(samples[s], static_cast<Index>(i))) / kBatch;
      next[i] -= kRate * g;
    }
    w.push_back(next);
  }
  return w;
}

/// W(t + 1) = W(t) - eta g(W(max(0, t - d))).
Versions by_hand(Index updates, Index d) {
  return descend(updates, [d](Index t, const Versions& w) {
    return w[static_cast<std::size_t>(std::max<Index>(0, t - d))];
  });
}

/// W(t - 1) - (d - 1) E, E the running mean of the updates until then.
Numbers estimate(const Versions& w, Index d) {
  Numbers mean(kRows, 0), at = w.size() > 1 ? w[w.size() - 2] : w.back();
  const double beta = 1 - 1 / static_cast<double>(d - 1);
  for (std::size_t k = 1; k + 1 < w.size(); ++k)
    for (std::size_t i = 0; i < kRows; ++i)
      mean[i] = beta * mean[i] + (1 - beta) * (w[k][i] - w[k - 1][i]);
  for (std::size_t i = 0; i < kRows; ++i) at[i] -= static_cast<double>(d - 1) * mean[i];
  return at;
}

double distance(const Numbers& a, const Numbers& b) {
  double squares = 0, size = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    squares += std::pow(a[i] - b[i], 2);
    size += std::pow(b[i], 2);
  }
  return std::sqrt(squares / size);
}

constexpr double kBound = 100 * std::numeric_limits<double>::epsilon();

TEST(OldWeights, GiveGradientsOfTheConstantDelay) {
  for_each_grid([](const parallel::ProcessGrid& grid) {
    for (const Index d : {1, 2, 3, 20}) {
      const Versions expected = by_hand(kUpdates, d);
      EXPECT_GT(distance(expected[kUpdates], by_hand(kUpdates, 0)[kUpdates]), 1e-3);
      for (const OldWeightsRule rule :
           {OldWeightsRule::keep, OldWeightsRule::exact, OldWeightsRule::average}) {
        if (rule == OldWeightsRule::average && d > 1) continue;
        SCOPED_TRACE(fmt::format("{} of {}", old_weights_rules().of(rule), d));
        Quadratic model(grid);
        Trainer trainer(grid, model, options_of({d, rule}));
        for (Index t = 0; t < kUpdates; ++t) {
          const std::optional<double> drift = trainer.step().drift;
          EXPECT_LE(distance(model.whole(), expected[static_cast<std::size_t>(t + 1)]), kBound);
          EXPECT_EQ(drift.has_value(), t > 0 && t % std::max<Index>(1, d - 1) == 0);
          EXPECT_LE(drift.value_or(0), rule == OldWeightsRule::keep ? 0 : kBound);
        }
      }
    }
  });
}

TEST(OldWeights, AverageEstimatesAndSaysByHowMuchItIsOff) {
  for_each_grid([](const parallel::ProcessGrid& grid) {
    for (const Index d : {2, 3, 5}) {
      const Versions expected =
          descend(kUpdates, [d](Index, const Versions& w) { return estimate(w, d); });
      Quadratic model(grid);
      Trainer trainer(grid, model, options_of({d, OldWeightsRule::average}));
      for (Index t = 0; t < kUpdates; ++t) {
        const std::optional<double> drift = trainer.step().drift;
        EXPECT_LE(distance(model.whole(), expected[static_cast<std::size_t>(t + 1)]), kBound);
        ASSERT_EQ(drift.has_value(), t > 0 && t % (d - 1) == 0);
        if (!drift) continue;
        const Versions until(expected.begin(), expected.begin() + t + 2);
        const double off =
            distance(estimate(until, d), expected[static_cast<std::size_t>(t + 1 - d)]);
        EXPECT_NEAR(*drift, off, kBound);
        EXPECT_GT(*drift, d > 2 ? 1e-6 : -1);
      }
    }
  });
}

/// What a checkpoint does: copies of all arrays.
std::vector<std::vector<Real>> copies(Trainer& trainer) {
  std::vector<std::vector<Real>> all;
  for (const StoredArray& array : trainer.stored())
    all.emplace_back(array.values, array.values + array.local_size());
  return all;
}

void fill(Trainer& trainer, const std::vector<std::vector<Real>>& from) {
  const std::vector<StoredArray> arrays = trainer.arrays();
  ASSERT_EQ(arrays.size(), from.size());
  for (std::size_t a = 0; a < arrays.size(); ++a)
    std::copy(from[a].begin(), from[a].end(), arrays[a].values);
}

TEST(OldWeights, GoOnBitForBit) {
  for_each_grid([](const parallel::ProcessGrid& grid) {
    for (const char* optimiser : {"sgd", "adam", "adamw"})
      for (const OldWeightsRule rule :
           {OldWeightsRule::keep, OldWeightsRule::exact, OldWeightsRule::average})
        for (const Index d : {1, 3}) {
          SCOPED_TRACE(fmt::format("{}, {} of {}", optimiser, old_weights_rules().of(rule), d));
          const Trainer::Options options = options_of({d, rule}, optimiser);
          Quadratic whole(grid), half(grid), rest(grid);
          Trainer through(grid, whole, options), before(grid, half, options),
              after(grid, rest, options);
          for (Index t = 0; t < 7; ++t) {
            through.step();
            before.step();
          }
          fill(after, copies(before));
          after.resume(7);
          for (Index t = 7; t < kUpdates; ++t) EXPECT_EQ(through.step().drift, after.step().drift);
          EXPECT_EQ(whole.whole(), rest.whole());
        }
  });
}

TEST(OldWeights, AreLeftAsTheyWereByALossThatIsNoNumber) {
  for_each_grid([](const parallel::ProcessGrid& grid) {
    for (const OldWeightsRule rule :
         {OldWeightsRule::keep, OldWeightsRule::exact, OldWeightsRule::average}) {
      Quadratic model(grid);
      Trainer trainer(grid, model, options_of({2, rule}));
      for (Index t = 0; t < 5; ++t) trainer.step();
      const Numbers before = model.whole();
      model.breaks = true;
      trainer.step();
      EXPECT_FALSE(trainer.healthy());
      EXPECT_EQ(model.whole(), before);
      trainer.go_back();
      model.breaks = false;
      Quadratic other(grid);
      Trainer whole(grid, other, options_of({2, rule}));
      for (Index t = 0; t < kUpdates; ++t) EXPECT_EQ(trainer.step().drift, whole.step().drift);
      EXPECT_EQ(model.whole(), other.whole());
    }
  });
}

TEST(OldWeights, AreNotForDataRanksThatGoByThemselves) {
  const parallel::ProcessGrid grid(test::world(), 1, test::world().size());
  Quadratic model(grid);
  Trainer::Options options = options_of({1, OldWeightsRule::keep});
  options.local = {true, 4, false};
  EXPECT_NE(test::refusal([&] { Trainer(grid, model, options); }).find("exclude"),
            std::string::npos);
}

}  // namespace
}  // namespace deeppcr::train
