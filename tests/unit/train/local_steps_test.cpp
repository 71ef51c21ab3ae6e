// Data ranks that go by themselves between two means (CELGC): on a quadratic whose updates are
// known.
#include "deeppcr/train/local_steps.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "deeppcr/parallel/block_layout.hpp"
#include "deeppcr/train/trainer.hpp"
#include "support/environment.hpp"
#include "support/grids.hpp"
#include "support/mpi_count.hpp"

namespace deeppcr::train {
namespace {

using test::for_each_grid;

constexpr Index kRows = 5, kBatch = 12, kUpdates = 12;
constexpr double kRate = 0.125;

double target(Index sample, Index row) {
  return std::sin(3.0 * sample + row) + (sample > 5 ? 4 : 0);
}

/// Mean over samples of |x - a_s|^2 / 2, its rows on the depth axis, its samples on the data axis.
class Quadratic final : public Trainable {
 public:
  explicit Quadratic(const parallel::ProcessGrid& grid)
      : grid_(grid),
        own_(
            parallel::BlockLayout::balanced(kRows, grid.depth().size()).range(grid.depth().rank())),
        x_(own_.size()),
        gradient_(own_.size()) {}

  std::vector<ParameterGroup> parameters() override {
    return {{{"x", kRows, 1, own_, x_.data(), "numbers"}, gradient_.data()}};
  }
  std::vector<std::string> stages() const override { return {}; }
  StepOutcome differentiate(const MiniBatch& batch) override {
    const StepRange part =
        parallel::BlockLayout::balanced(batch.size, grid_.data().size()).range(grid_.data().rank());
    const Index mean_over = batch.own_gradients ? part.size() : batch.size;
    for (Index i = 0; i < own_.size(); ++i) {
      gradient_[i] = 0;
      for (Index s = part.first; s < part.last; ++s)
        gradient_[i] += (x_[i] - target(batch.samples[s], own_.first + i)) / mean_over;
    }
    if (!batch.own_gradients) grid_.data().sum(gradient_.data(), gradient_.size());
    return {};
  }

  /// All rows.
  std::vector<double> whole() const {
    std::vector<double> all(kRows, 0);
    for (Index i = 0; i < own_.size(); ++i) all[static_cast<std::size_t>(own_.first + i)] = x_[i];
    grid_.depth().sum(all);
    return all;
  }

 private:
  const parallel::ProcessGrid& grid_;
  StepRange own_;
  Buffer<Real> x_, gradient_;
};

Trainer::Options options_of(const LocalSteps& local, double clip_norm, const char* rule = "sgd") {
  Trainer::Options options;
  options.optimiser.rule = rule;
  options.optimiser.own = OptionValues(find_optimiser(rule).options);
  options.optimiser.own.set("weight-decay", 0);
  if (options.optimiser.rule == "sgd") options.optimiser.own.set("momentum", 0);
  options.optimiser.clip_norm = clip_norm;
  options.schedule.name = "constant";
  options.schedule.peak = kRate;
  options.samples = options.batch = kBatch;
  options.local = local;
  return options;
}

/// CELGC in one place, written down from the paper: what every worker has after so many updates.
std::vector<std::vector<double>> by_hand(int workers, Index updates, Index round, double clip) {
  SampleOrder order(kBatch, kBatch, 1);
  const auto layout = parallel::BlockLayout::balanced(kBatch, workers);
  std::vector<std::vector<double>> x(static_cast<std::size_t>(workers),
                                     std::vector<double>(kRows, 0));
  for (Index t = 0; t < updates; ++t) {
    const Index* samples = order.batch(t);
    for (int w = 0; w < workers; ++w) {
      auto& own = x[static_cast<std::size_t>(w)];
      const StepRange part = layout.range(w);
      std::vector<double> g(kRows, 0);
      for (Index i = 0; i < kRows; ++i)
        for (Index s = part.first; s < part.last; ++s)
          g[static_cast<std::size_t>(i)] +=
              (own[static_cast<std::size_t>(i)] - target(samples[s], i)) / part.size();
      const double norm = std::sqrt(std::inner_product(g.begin(), g.end(), g.begin(), 0.0));
      const double step = clip > 0 ? std::min(kRate, kRate * clip / norm) : kRate;
      for (std::size_t i = 0; i < g.size(); ++i) own[i] -= step * g[i];
    }
    if ((t + 1) % round != 0) continue;
    std::vector<double> mean(kRows, 0);
    for (const auto& own : x)
      for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += own[i] / workers;
    std::fill(x.begin(), x.end(), mean);
  }
  return x;
}

void expect_near(const std::vector<double>& found, const std::vector<double>& expected) {
  constexpr double kBound = 100 * std::numeric_limits<double>::epsilon();
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(found[i], expected[i], kBound * std::fmax(1, std::fabs(expected[i]))) << i;
}

TEST(LocalSteps, AreThoseOfThePaper) {
  for_each_grid([](const parallel::ProcessGrid& grid) {
    for (const Index round : {1, 2, 5, 12})
      for (const double clip : {0.0, 1.0, 1e300}) {
        SCOPED_TRACE(fmt::format("rounds of {}, clipped to {}", round, clip));
        Quadratic model(grid);
        Trainer trainer(grid, model, options_of({true, round, false}, clip));
        for (Index t = 0; t < kUpdates; ++t) {
          EXPECT_EQ(trainer.step().drift.has_value(), (t + 1) % round == 0);
          const auto expected = by_hand(grid.data().size(), t + 1, round, clip);
          expect_near(model.whole(), expected[static_cast<std::size_t>(grid.data().rank())]);
        }
      }
  });
}

TEST(LocalSteps, OneWorkerIsClippedGradientDescentBitForBit) {
  const parallel::ProcessGrid grid(test::world(), test::world().size(), 1);
  for (const char* rule : {"sgd", "adam", "adamw"}) {
    Quadratic local(grid), plain(grid);
    Trainer ours(grid, local, options_of({true, 4, true}, 1, rule));
    Trainer theirs(grid, plain, options_of({}, 1, rule));
    for (Index t = 0; t < kUpdates; ++t) {
      const StepRecord record = ours.step();
      EXPECT_EQ(record.gradient_norm, theirs.step().gradient_norm);
      EXPECT_EQ(record.drift.value_or(0), 0.0);
      EXPECT_EQ(local.whole(), plain.whole());
    }
  }
}

TEST(LocalSteps, ClippingOwnGradientsIsNotClippingTheirMean) {
  const int P = test::world().size();
  const parallel::ProcessGrid grid(test::world(), 1, P);
  for (const double clip : {0.0, 1.0}) {
    Quadratic local(grid), plain(grid);
    Trainer ours(grid, local, options_of({true, 1, false}, clip));
    Trainer theirs(grid, plain, options_of({}, clip));
    for (Index t = 0; t < 3; ++t) {
      ours.step();
      theirs.step();
    }
    if (clip == 0 || P == 1) {
      expect_near(local.whole(), plain.whole());  // without a bound: of the mean gradient
    } else {
      double difference = 0;
      for (std::size_t i = 0; i < kRows; ++i)
        difference = std::fmax(difference, std::fabs(local.whole()[i] - plain.whole()[i]));
      EXPECT_GT(difference, 1e-3);
    }
  }
}

TEST(LocalSteps, NoStepIsLongerThanTheBound) {
  for_each_grid([](const parallel::ProcessGrid& grid) {
    Quadratic model(grid);
    Trainer trainer(grid, model, options_of({true, kUpdates + 1, false}, 0.5));
    std::vector<double> before = model.whole();
    for (Index t = 0; t < kUpdates; ++t) {
      trainer.step();
      const std::vector<double> after = model.whole();
      double squares = 0;
      for (std::size_t i = 0; i < kRows; ++i) squares += std::pow(after[i] - before[i], 2);
      EXPECT_LE(std::sqrt(squares), kRate * 0.5 * (1 + 1e-12));
      EXPECT_GT(squares, 0);
      before = after;
    }
  });
}

TEST(LocalSteps, DriftIsTheLargestDistanceFromTheMean) {
  for_each_grid([](const parallel::ProcessGrid& grid) {
    const int workers = grid.data().size();
    Quadratic model(grid);
    Trainer trainer(grid, model, options_of({true, 3, false}, 0));
    std::optional<double> drift;
    for (Index t = 0; t < 3; ++t) drift = trainer.step().drift;
    ASSERT_TRUE(drift.has_value());
    const auto apart = by_hand(workers, 3, 4, 0);
    const std::vector<double> mean = by_hand(workers, 3, 3, 0).front();
    const double size = std::inner_product(mean.begin(), mean.end(), mean.begin(), 0.0);
    double expected = 0;
    for (const auto& own : apart) {
      double squares = 0;
      for (std::size_t i = 0; i < kRows; ++i) squares += std::pow(own[i] - mean[i], 2);
      expected = std::fmax(expected, std::sqrt(squares / size));
    }
    EXPECT_NEAR(*drift, expected, 1e-13);
    EXPECT_EQ(expected > 1e-3, workers > 1);
  });
}

TEST(Rounds, FollowTheDrift) {
  Rounds rounds({true, 1, false, 0.5});
  Index done = 0;
  for (const auto& [drift, next] :
       {std::pair{0.0, 2}, std::pair{0.25, 4}, std::pair{0.3, 4}, std::pair{0.5, 4},
        std::pair{0.6, 2}, std::pair{9.0, 1}, std::pair{9.0, 1}, std::pair{0.1, 2}}) {
    for (Index k = 1; k < rounds.length(); ++k) EXPECT_FALSE(rounds.is_over(done + k));
    done += rounds.length();
    EXPECT_TRUE(rounds.is_over(done));
    rounds.end(done, drift);
    EXPECT_TRUE(rounds.is_over(done));  // it has just ended
    EXPECT_EQ(rounds.length(), next);
  }
  EXPECT_EQ(rounds.state().size(), 1u);
  Rounds fixed({true, 3, false});
  fixed.end(3, 0);
  EXPECT_EQ(fixed.length(), 3);
  EXPECT_TRUE(fixed.is_over(6));
  EXPECT_TRUE(fixed.state().empty());
}

/// What so many updates asked other ranks for.
test::MpiCount asked(const parallel::ProcessGrid& grid, const LocalSteps& local, Index updates,
                     const char* rule = "sgd") {
  Quadratic model(grid);
  Trainer trainer(grid, model, options_of(local, 1, rule));
  const test::MpiCount before = test::mpi_count();
  for (Index done = 0; done < updates; done = trainer.steps_done()) trainer.steps(updates - done);
  return test::mpi_count() - before;
}

TEST(LocalSteps, ParametersTravelOnceInARoundAndNothingBetweenRounds) {
  const int P = test::world().size();
  if (P == 1) return;
  const parallel::ProcessGrid grid(test::world(), 1, P);
  EXPECT_EQ(asked(grid, {}, 24).large_sums, 24);
  const Index each = asked(grid, {true, 1, false}, 24).reductions;
  for (const Index round : {1, 2, 4, 8, 24}) {
    // The parameters, and sums and maxima of what the updates of a round have found.
    EXPECT_EQ(asked(grid, {true, round, false}, 24).large_sums, 3 * 24 / round);
    EXPECT_EQ(asked(grid, {true, round, false}, 24).reductions * round, each);
    EXPECT_EQ(asked(grid, {true, round, true}, 24, "adam").large_sums, 3 * 24 / round);
  }
  EXPECT_EQ(asked(grid, {true, 25, false}, 24).large_sums, 2);
}

TEST(LocalSteps, ThoseAtTheMeanAreGivenBack) {
  for_each_grid([](const parallel::ProcessGrid& grid) {
    const int workers = grid.data().size();
    Quadratic model(grid);
    Trainer trainer(grid, model, options_of({true, 8, false}, 0));
    for (Index t = 0; t < 5; ++t) trainer.step();
    const std::vector<double> own = model.whole(), mean = by_hand(workers, 5, 5, 0).front();
    trainer.at_mean([&] { expect_near(model.whole(), mean); });
    EXPECT_EQ(model.whole(), own);
    const std::vector<StoredArray> stored = trainer.stored();
    EXPECT_EQ(stored[0].name, "parameters/x");
    const Index first = stored[0].own.empty() ? 0 : stored[0].own.step(0);
    for (Index i = 0; i < stored[0].local_size(); ++i)
      EXPECT_NEAR(stored[0].values[i], mean[static_cast<std::size_t>(first + i)], 1e-14);
    EXPECT_EQ(stored.size(), workers > 1 ? 2u : 1u);
    if (workers > 1) {
      EXPECT_EQ(stored[1].name, "own/parameters/x");
      EXPECT_EQ(stored[1].rows, workers * kRows);
      for (Index i = 0; i < stored[1].local_size(); ++i)
        EXPECT_EQ(stored[1].values[i], own[static_cast<std::size_t>(first + i)]);
    }
    trainer.end();
    expect_near(model.whole(), mean);
  });
}

TEST(LocalSteps, RefusesNone) {
  const parallel::ProcessGrid grid(test::world(), 1, test::world().size());
  Quadratic model(grid);
  EXPECT_THROW(Trainer(grid, model, options_of({true, 0, false}, 1)), Error);
}

}  // namespace
}  // namespace deeppcr::train
