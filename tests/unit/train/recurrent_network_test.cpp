// A network whose chain is a recurrent cell with shared weights, which reads the rows of images:
// gradients and training on every grid against one rank.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "deeppcr/models/class_losses.hpp"
#include "deeppcr/train/chain_network.hpp"
#include "deeppcr/train/images.hpp"
#include "deeppcr/train/trainer.hpp"
#include "support/environment.hpp"
#include "support/leaky_cell.hpp"
#include "support/pass_options.hpp"
#include "support/random_chain.hpp"

namespace deeppcr::train {
namespace {

constexpr Index kSteps = 8, kBatch = 6, kImages = 12;
constexpr int kWidth = 5, kRow = 8;  // of the 8 x 8 pixels of random images

/// Reads two states through one classifier, whose gradient comes from several ranks.
class TwiceClassified final : public models::Loss {
 public:
  TwiceClassified() : early_({kSteps / 2, kWidth, 10, 3}), late_({kSteps, kWidth, 10, 3}) {}
  bool reads(Index l) const override { return early_.reads(l) || late_.reads(l); }
  std::vector<sequence::ParameterGroup> parameters() override { return late_.parameters(); }
  models::LossReport evaluate(const models::LossData& data,
                              const models::LossGradients* gradients) override {
    std::copy_n(late_.head()->parameters().data(), late_.head()->parameters().size(),
                early_.head()->parameters().data());
    models::LossReport report;
    if (gradients == nullptr) {
      for (models::CrossEntropy* part : {&early_, &late_})
        report.loss += part->evaluate(data, nullptr).loss;
      return report;
    }
    const View<Real, 2> sum = gradients->parameters[0];
    std::fill(sum.begin(), sum.end(), Real{0});
    for (models::CrossEntropy* part : {&early_, &late_}) {
      const sequence::ParameterGradients own(late_.parameters());
      const models::LossGradients into{gradients->states, {own[0]}};
      report.loss += part->evaluate(data, &into).loss;
      for (Index i = 0; i < sum.size(); ++i) sum.data()[i] += own[0].data()[i];
    }
    return report;
  }

 private:
  models::CrossEntropy early_, late_;
};

std::unique_ptr<models::Loss> make_loss(const std::string& name) {
  if (name == "twice") return std::make_unique<TwiceClassified>();
  models::LossOptions options;
  options.name = name;
  if (name == "squared-error")
    options.own = OptionValues(models::find_loss(name).options).set("loss-rows", "2,5,8");
  return models::make(options, {kSteps, kWidth, 10, 3});
}

/// The network on one grid.
struct Fixture {
  Fixture(const parallel::Communicator& comm, int depth, const std::string& loss,
          const char* method)
      : grid(comm, depth, comm.size() / depth),
        images(Images::random(kImages, 1, 0)),
        net(grid,
            {std::make_unique<test::LeakyCell>(kSteps, kWidth, kRow), nullptr, make_loss(loss)},
            options_for(depth, method), images) {}

  static ChainNetwork::Options options_for(int depth, const char* method) {
    ChainNetwork::Options options;
    options.layout = test::uneven_layout(kSteps, depth);
    options.batch = kBatch;
    test::set_passes(options.methods, method, method);
    options.normalisation = {{0.5}, {0.3}};
    return options;
  }
  StepOutcome differentiate() {
    const Index samples[] = {3, 0, 7, 11, 2, 5};
    return net.differentiate({0, 0, samples, kBatch});
  }
  ParameterGroup group(const std::string& name) {
    for (ParameterGroup& one : net.parameters())
      if (one.array.name == name) return one;
    return {};
  }

  parallel::ProcessGrid grid;
  Images images;
  ChainNetwork net;
};

/// Sums of some hundred terms of size 1 in another order.
constexpr double kRounding = 1e4 * std::numeric_limits<double>::epsilon();

void expect_same(const ParameterGroup& found, const ParameterGroup& expected, bool gradients) {
  ASSERT_EQ(expected.array.local_size(), expected.array.rows * expected.array.row_size);
  const Real* a = gradients ? found.gradient : found.array.values;
  const Real* b = gradients ? expected.gradient : expected.array.values;
  for (Index i = 0; i < found.array.local_size(); ++i)
    ASSERT_NEAR(a[i], b[i], kRounding) << found.array.name << " " << i;
}

template <typename Body>
void for_each_grid(Body&& body) {
  const int P = test::world().size();
  for (int depth = 1; depth <= P; ++depth) {
    if (P % depth != 0) continue;
    for (const char* loss : {"cross-entropy", "squared-error", "twice"}) {
      SCOPED_TRACE(fmt::format("{} depth ranks of {}, {}", depth, P, loss));
      body(depth, std::string(loss));
    }
  }
}

TEST(RecurrentNetwork, GradientsAreThoseOfOneRank) {
  const parallel::Communicator self = parallel::Communicator::self();
  for_each_grid([&](int depth, const std::string& loss) {
    for (const char* method : {"sequential", "hybrid", "pcr", "gpipe", "1f1b", "zero-bubble"}) {
      Fixture together(test::world(), depth, loss, method), alone(self, 1, loss, "sequential");
      const StepOutcome found = together.differentiate(), expected = alone.differentiate();
      EXPECT_NEAR(found.loss, expected.loss, kRounding);
      EXPECT_EQ(std::isnan(found.accuracy), loss != "cross-entropy");
      const ParameterGroup cell = together.group("cell");
      EXPECT_TRUE(cell.array.shared);
      EXPECT_EQ(cell.array.local_size(), cell.array.row_size);
      expect_same(cell, alone.group("cell"), true);
      for (Index i = 0; i < cell.array.row_size; ++i)
        EXPECT_EQ(test::world().max(cell.gradient[i]), cell.gradient[i]);
      if (loss == "squared-error") continue;
      const ParameterGroup head = together.group("head");
      const Index held = test::world().sum(head.array.own.size());
      const int holders = head.array.shared ? test::world().size() : test::world().size() / depth;
      EXPECT_EQ(held, holders * head.array.rows);
      expect_same(head, alone.group("head"), true);
    }
  });
}

TEST(RecurrentNetwork, GradientsAreThoseOfCentralDifferences) {
  constexpr double kStep = 1e-5, kTolerance = 1e-8;
  for_each_grid([&](int depth, const std::string& loss) {
    Fixture net(test::world(), depth, loss, "1f1b");
    net.differentiate();
    const ParameterGroup cell = net.group("cell");
    std::vector<Real> gradient(cell.gradient, cell.gradient + cell.array.row_size);
    for (Index i = 0; i < cell.array.row_size; i += 7) {
      Real& theta = cell.array.values[i];
      const Real at = theta;
      theta = at + kStep;
      const double above = net.differentiate().loss;
      theta = at - kStep;
      const double below = net.differentiate().loss;
      theta = at;
      EXPECT_NEAR(gradient[static_cast<std::size_t>(i)], (above - below) / (2 * kStep), kTolerance);
    }
  });
}

TEST(RecurrentNetwork, TrainingWithClippingIsThatOfOneRank) {
  const parallel::Communicator self = parallel::Communicator::self();
  for_each_grid([&](int depth, const std::string& loss) {
    Trainer::Options options;
    options.optimiser.clip_norm = 1e-2;
    options.schedule.peak = 1e-2;
    options.samples = kImages;
    options.batch = kBatch;
    for (const char* method : {"sequential", "zero-bubble"}) {
      Fixture together(test::world(), depth, loss, method), alone(self, 1, loss, "sequential");
      Trainer trainer(together.grid, together.net, options), oracle(alone.grid, alone.net, options);
      for (int i = 0; i < 4; ++i) {
        const StepRecord found = trainer.step(), expected = oracle.step();
        EXPECT_NEAR(found.outcome.loss, expected.outcome.loss, kRounding);
        EXPECT_NEAR(found.gradient_norm, expected.gradient_norm, kRounding);
      }
      const ParameterGroup cell = together.group("cell");
      expect_same(cell, alone.group("cell"), false);
      for (Index i = 0; i < cell.array.row_size; ++i)
        EXPECT_EQ(test::world().max(cell.array.values[i]), cell.array.values[i]);
    }
  });
}

TEST(RecurrentNetwork, RefusesImagesLargerThanTheChainReads) {
  const parallel::ProcessGrid grid(test::world(), 1, test::world().size());
  const Images images = Images::random(kImages, 1, 0);
  auto options = Fixture::options_for(1, "sequential");
  options.layout = parallel::BlockLayout::balanced(kSteps - 1, 1);
  const auto make = [&] {
    ChainNetwork net(
        grid,
        {std::make_unique<test::LeakyCell>(kSteps - 1, kWidth, kRow), nullptr,
         std::make_unique<models::CrossEntropy>(models::LossSizes{kSteps - 1, kWidth, 10, 1})},
        options, images);
  };
  EXPECT_THROW(make(), Error);
}

}  // namespace
}  // namespace deeppcr::train
