// AUC over data ranks (CODA): primal and dual numbers between two means, stages, reference points.
#include "deeppcr/train/stages.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "deeppcr/core/random.hpp"
#include "deeppcr/models/auc_loss.hpp"
#include "deeppcr/train/trainer.hpp"
#include "support/environment.hpp"

namespace deeppcr::train {
namespace {

constexpr Index kSamples = 24, kUpdates = 24;
constexpr int kWidth = 3;
constexpr double kRate = 0.25, kShare = 0.25;

/// A head of fixed states with the loss of AUC: each data rank's samples are its own, or the same.
class HeadModel final : public Trainable {
 public:
  HeadModel(const parallel::ProcessGrid& grid, bool same)
      : grid_(grid), loss_({1, kWidth, 2, 1}), z_(kSamples * kWidth) {
    const int shard = same ? 0 : grid.data().rank();
    RandomStream(1, 50 + static_cast<std::uint64_t>(shard)).normal(0, z_.size(), z_.data());
    for (Index s = 0; s < kSamples; ++s) labels_.push_back(s % 4 == 0 ? 1 : 0);
    for (const sequence::ParameterGroup& group : loss_.parameters())
      gradients_.emplace_back(group.values.size());
  }

  std::vector<ParameterGroup> parameters() override {
    std::vector<ParameterGroup> all;
    const auto groups = loss_.parameters();
    for (std::size_t g = 0; g < groups.size(); ++g) {
      StoredArray array{groups[g].name,          groups[g].rows,
                        groups[g].row_size(),    StepRange{0, groups[g].rows},
                        groups[g].values.data(), "numbers"};
      array.shared = true;
      all.push_back({array, gradients_[g].data(), loss_.kind(static_cast<int>(g))});
    }
    return all;
  }
  std::vector<std::string> stages() const override { return {}; }
  StepOutcome differentiate(const MiniBatch&) override {
    models::LossData data;
    data.local = StepRange{0, 1};
    data.states = {z_.data(), {1, kSamples, kWidth}};
    data.samples = kSamples;
    data.labels = labels_;
    data.positive_share = kShare;
    Buffer<Real> by_states(z_.size());
    models::LossGradients into{{by_states.data(), {1, kSamples, kWidth}}, {}};
    const auto groups = loss_.parameters();
    for (std::size_t g = 0; g < groups.size(); ++g)
      into.parameters.emplace_back(gradients_[g].data(), groups[g].values.shape());
    StepOutcome outcome;
    outcome.loss = grid_.data().sum(loss_.evaluate(data, &into).loss) / grid_.data().size();
    return outcome;
  }

  /// Head, a, b, alpha.
  std::vector<double> numbers() {
    std::vector<double> all;
    for (const sequence::ParameterGroup& group : loss_.parameters())
      all.insert(all.end(), group.values.begin(), group.values.end());
    return all;
  }
  double gradient(std::size_t group, Index i) const { return gradients_[group][i]; }

 private:
  const parallel::ProcessGrid& grid_;
  models::AucLoss loss_;
  Buffer<Real> z_;
  std::vector<int> labels_;
  std::vector<Buffer<Real>> gradients_;
};

Trainer::Options options_of(Index round, const Stages& stages) {
  Trainer::Options options;
  options.optimiser.rule = "sgd";
  options.optimiser.own = OptionValues(find_optimiser("sgd").options);
  options.optimiser.own.set("momentum", 0);
  options.optimiser.own.set("weight-decay", 0);
  options.schedule.name = "constant";
  options.schedule.peak = kRate;
  options.samples = options.batch = kSamples;
  options.local = {true, round, false};
  options.stages = stages;
  return options;
}

std::vector<double> trained(const parallel::ProcessGrid& grid, bool same, Index round,
                            const Stages& stages) {
  HeadModel model(grid, same);
  Trainer trainer(grid, model, options_of(round, stages));
  for (Index t = 0; t < kUpdates; ++t) trainer.step();
  EXPECT_TRUE(trainer.healthy());
  return model.numbers();
}

TEST(Stages, IdenticalShardsGiveTheSameForAnyRound) {
  const parallel::ProcessGrid grid(test::world(), 1, test::world().size());
  for (const Stages& stages : {Stages{}, Stages{7, 3, 20}, Stages{8, 1, 500}}) {
    const std::vector<double> expected = trained(grid, true, 1, stages);
    EXPECT_GT(std::fabs(expected.back()), 0.1);  // alpha has moved
    for (const Index round : {2, 3, 8, 24, 25}) {
      const std::vector<double> found = trained(grid, true, round, stages);
      for (std::size_t i = 0; i < found.size(); ++i)
        EXPECT_NEAR(found[i], expected[i], 1e-13) << round << ", number " << i;
    }
  }
}

TEST(Stages, AllNumbersAreEqualOnAllRanksAfterARound) {
  const int P = test::world().size();
  const parallel::ProcessGrid grid(test::world(), 1, P);
  HeadModel model(grid, false);
  Trainer trainer(grid, model, options_of(5, {12, 3, 50}));
  for (Index t = 1; t <= kUpdates; ++t) {
    trainer.step();
    for (const double number : model.numbers()) {
      const double largest = grid.data().max(number), smallest = -grid.data().max(-number);
      if (t % 5 == 0 || t % 12 == 0) {
        EXPECT_EQ(largest, smallest) << "after " << t;  // a stage ends with a round
      } else if (P > 1) {
        EXPECT_GT(largest, smallest) << "after " << t;
      }
    }
  }
}

// v <- v - rate (g + (v - v_ref) / gamma), alpha <- alpha + rate g, rate = kRate / decay^stage
TEST(Stages, UpdatesAreThoseOfThePaper) {
  const parallel::ProcessGrid grid(test::world(), 1, test::world().size());
  const Stages stages{5, 3, 4};
  HeadModel model(grid, true);
  Trainer trainer(grid, model, options_of(1, stages));
  std::vector<double> v = model.numbers(), reference = v;
  for (Index t = 0; t < 17; ++t) {
    const StepRecord record = trainer.step();
    const double rate = kRate / std::pow(3, t / 5);
    EXPECT_DOUBLE_EQ(record.learning_rate, rate);
    const std::vector<double> found = model.numbers();
    const std::size_t head = v.size() - 3;
    for (std::size_t i = 0; i < v.size(); ++i) {
      const std::size_t group = i < head ? 0 : i < head + 2 ? 1 : 2;
      const std::size_t first = group == 0 ? 0 : group == 1 ? head : head + 2;
      const double g = model.gradient(group, static_cast<Index>(i - first));
      const double expected =
          group == 2 ? v[i] + rate * g : v[i] - rate * (g + (v[i] - reference[i]) / 4);
      EXPECT_NEAR(found[i], expected, 1e-14) << "update " << t << ", number " << i;
    }
    v = found;
    if ((t + 1) % 5 == 0) reference = v;
  }
}

TEST(Stages, WeightDecayIsForWeightsAlone) {
  const parallel::ProcessGrid grid(test::world(), 1, test::world().size());
  for (const char* rule : {"sgd", "adam", "adamw"}) {
    std::vector<double> found[2];
    for (const int decays : {0, 1}) {
      HeadModel model(grid, true);
      Trainer::Options options = options_of(1, {});
      options.optimiser.rule = rule;
      options.optimiser.own = OptionValues(find_optimiser(rule).options);
      options.optimiser.own.set("weight-decay", decays);
      Trainer trainer(grid, model, options);
      // one update from numbers that decay would move
      auto groups = model.parameters();
      for (const std::size_t g : {1u, 2u})
        std::fill_n(groups[g].array.values, groups[g].array.row_size, 0.5);
      trainer.step();
      found[decays] = model.numbers();
    }
    EXPECT_NE(found[0][0], found[1][0]) << rule;
    for (std::size_t i = found[0].size() - 3; i < found[0].size(); ++i)
      EXPECT_EQ(found[0][i], found[1][i]) << rule;
  }
}

}  // namespace
}  // namespace deeppcr::train
