#include "deeppcr/train/online_pipeline.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "deeppcr/core/random.hpp"
#include "deeppcr/models/catalogue.hpp"
#include "deeppcr/models/class_losses.hpp"
#include "deeppcr/models/dense_layer.hpp"
#include "support/environment.hpp"
#include "support/model_problem.hpp"

namespace deeppcr::train {
namespace {

using Next = OnlinePipeline::Next;
using parallel::BlockLayout;
using parallel::Communicator;
using test::world;
using Numbers = std::vector<Real>;

constexpr int kWidth = 6, kFeatures = 5, kClasses = 3;

struct Case {
  const char* model;
  Index steps;
  const char* rule = "adamw";
  double rate = 1e-2;
};

models::ModelOptions options_of(const Case& one) {
  return test::chain_options(one.model, "tanh", "1/sqrt(L)", one.steps, kWidth);
}

OptimiserOptions optimiser_of(const Case& one) {
  OptimiserOptions options;
  options.rule = one.rule;
  options.clip_norm = 0.3;
  return options;
}

/// The same sample in every frame, or another in each.
enum class Frames { constant, changing };

int sample_of(Index t, Frames frames, Real* x) {
  const Index sample = frames == Frames::constant ? 0 : t;
  RandomStream(3, static_cast<std::uint64_t>(sample)).normal(0, kFeatures, x);
  return static_cast<int>(sample % kClasses);
}

/// The network, with the steps of one stage.
struct Network {
  Network(const Case& one, const BlockLayout& layout, int stage)
      : chain(models::make(options_of(one), layout.steps(stage))),
        embedding(models::LayerRole::embedding, kFeatures, kWidth, 1),
        loss(models::LossSizes{1, kWidth, kClasses, 1}) {}

  std::unique_ptr<sequence::Sequence> chain;
  models::DenseLayer embedding;
  models::CrossEntropy loss;
};

/// What a stage has come to: its parameters one behind the other, and their last gradients.
struct Learned {
  Numbers values, gradients;
  Index updates = 0;
};

/// What the last stage has seen of each frame.
struct Seen {
  std::vector<Index> frames;
  std::vector<Numbers> states;
  std::vector<double> losses;
};

void append(const Real* from, Index count, Numbers& to) { to.insert(to.end(), from, from + count); }

/// Frames through the stages of a communicator, in so many runs after each other.
struct Online {
  Online(const Communicator& comm, const Case& one)
      : layout(BlockLayout::balanced(one.steps, comm.size())),
        network(one, layout, comm.rank()),
        pipeline(comm, {*network.chain, network.embedding, network.loss}, layout, optimiser_of(one),
                 {"constant", {}, one.rate}) {}

  /// pauses_at: there is a pause in front of frames whose number it divides.
  void run(Index first, Index end, Frames frames, Index pauses_at = 1000) {
    Index number = first;
    bool paused = false;
    pipeline.run({[&](Frame& frame, State sample) {
                    if (number == end) return Next::end;
                    paused = !paused && number % pauses_at == 0;
                    if (paused) return Next::pause;
                    frame = {number, sample_of(number, frames, sample.data())};
                    ++number;
                    return Next::frame;
                  },
                  [&](const Frame& frame, ConstState last) {
                    seen.frames.push_back(frame.number);
                    seen.states.emplace_back(last.begin(), last.end());
                  },
                  [&](const Frame&, const models::LossReport& report) {
                    seen.losses.push_back(report.loss);
                  },
                  [] { return false; }});
  }

  Learned learned() const {
    Learned all;
    for (const ParameterGroup& group : pipeline.parameters()) {
      append(group.array.values, group.array.local_size(), all.values);
      append(group.gradient, group.array.local_size(), all.gradients);
    }
    all.updates = pipeline.updates();
    return all;
  }

  BlockLayout layout;
  Network network;
  OnlinePipeline pipeline;
  Seen seen;
};

/// One stage of the rule, for one rank that has them all.
class Stage {
 public:
  Stage(const Case& one, const BlockLayout& layout, int stage)
      : range_(layout.range(stage)),
        first_(stage == 0),
        last_(stage + 1 == layout.num_ranks()),
        network_(one, layout, stage),
        chain_gradients_(network_.chain->parameters()),
        loss_gradients_(network_.loss.parameters()),
        embedding_gradient_(network_.embedding.parameters().size()),
        optimiser_(alone_, optimiser_of(one), groups()),
        states_((range_.size() + 1) * kWidth),
        by_states_((range_.size() + 1) * kWidth) {}

  /// Of a sample on the first stage, else of a state.
  Numbers forward(const Numbers& from) {
    from_ = from;
    const State z0(states_.data(), {1, kWidth});
    if (first_) {
      network_.embedding.forward({from.data(), {1, kFeatures}}, z0);
    } else {
      std::copy(from.begin(), from.end(), z0.begin());
    }
    if (!range_.empty())
      network_.chain->propagate(range_, z0, {states_.data() + kWidth, {range_.size(), 1, kWidth}});
    return {states_.end() - kWidth, states_.end()};
  }

  Numbers loss_gradient(int label, double& loss) {
    models::LossData data;
    data.local = StepSet(StepRange{0, 1});
    data.states = {states_.end() - kWidth, {1, 1, kWidth}};
    data.samples = 1;
    data.labels = {label};
    Numbers by_state(kWidth);
    models::LossGradients gradients{{by_state.data(), {1, 1, kWidth}}, {loss_gradients_[0]}};
    loss = network_.loss.evaluate(data, &gradients).loss;
    return by_state;
  }

  /// At the states of the last forward(). Returns the gradient by what it began from.
  Numbers backward(Numbers carry) {
    const Index m = range_.size();
    const State by_last(carry.data(), {1, kWidth});
    if (m > 0) {
      const ConstStates in(states_.data(), {m, 1, kWidth});
      Buffer<Real> out(m * kWidth);
      const auto J = network_.chain->linearise(range_, in, {out.data(), {m, 1, kWidth}});
      const States g(by_states_.data(), {m, 1, kWidth});
      J->substitute(range_, Direction::backward, {by_states_.data(), {0, 1, kWidth}}, g, by_last);
      network_.chain->parameter_gradient(range_, in, g, {chain_gradients_[0]});
    }
    if (first_)
      network_.embedding.gradient({from_.data(), {1, kFeatures}}, by_last,
                                  {embedding_gradient_.data(), {embedding_gradient_.size()}}, {});
    return carry;
  }

  void update(double rate) { optimiser_.update(rate); }

  Learned learned() {
    Learned all;
    for (const ParameterGroup& group : groups()) {
      append(group.array.values, group.array.local_size(), all.values);
      append(group.gradient, group.array.local_size(), all.gradients);
    }
    all.updates = optimiser_.updates();
    return all;
  }

 private:
  std::vector<ParameterGroup> groups() {
    std::vector<ParameterGroup> all;
    const auto add = [&](sequence::ParameterGroup group, bool here, const Real* gradient) {
      const StepRange own{0, here ? group.values.extent(0) : 0};
      all.push_back(
          {{group.name, group.rows, group.row_size(), own, group.values.data(), ""}, gradient});
    };
    add(network_.chain->parameters().front(), true, chain_gradients_[0].data());
    add(network_.embedding.groups().front(), first_, embedding_gradient_.data());
    add(network_.loss.parameters().front(), last_, loss_gradients_[0].data());
    return all;
  }

  StepRange range_;
  bool first_, last_;
  Network network_;
  Communicator alone_ = Communicator::self();
  sequence::ParameterGradients chain_gradients_, loss_gradients_;
  Buffer<Real> embedding_gradient_;
  Optimiser optimiser_;
  Buffer<Real> states_, by_states_;
  Numbers from_;
};

Numbers features_of(Index t, Frames frames, int& label) {
  Numbers x(kFeatures);
  label = sample_of(t, frames, x.data());
  return x;
}

/// All stages of the rule tick by tick on one rank, as its definition says.
struct Rule {
  Rule(const Case& one, int count) : rate(one.rate) {
    const auto layout = BlockLayout::balanced(one.steps, count);
    for (int i = 0; i < count; ++i) stages.push_back(std::make_unique<Stage>(one, layout, i));
  }

  void run(Index first, Index end, Frames frames) {
    const auto S = static_cast<Index>(stages.size()), N = end - first;
    const auto count = static_cast<std::size_t>(S) + 1;
    std::vector<Numbers> states(count);  // in front of stage i: made one tick before
    std::vector<std::optional<Numbers>> gradients(count);  // behind stage i: made one tick before
    for (Index t = 0; t < N + S - 1; ++t) {
      auto next_states = states;
      std::vector<std::optional<Numbers>> next_gradients(count);
      for (Index i = 0; i < S; ++i) {
        if (t < i || t - i >= N) continue;
        const auto at = static_cast<std::size_t>(i);
        int label = 0;
        const Numbers sample = features_of(first + t - i, frames, label);
        next_states[at + 1] = stages[at]->forward(i == 0 ? sample : states[at]);
        if (i == S - 1) {
          seen.frames.push_back(first + t - i);
          seen.states.push_back(next_states[at + 1]);
          seen.losses.push_back(0);
          gradients[at + 1] = stages[at]->loss_gradient(label, seen.losses.back());
        }
        if (!gradients[at + 1]) continue;
        next_gradients[at] = stages[at]->backward(*gradients[at + 1]);
        stages[at]->update(rate);
      }
      states = std::move(next_states);
      gradients = std::move(next_gradients);
    }
  }

  double rate;
  std::vector<std::unique_ptr<Stage>> stages;
  Seen seen;
};

bool is_last() { return world().rank() == world().size() - 1; }

void expect_same(const Learned& found, const Learned& expected, const Case& one) {
  EXPECT_EQ(found.updates, expected.updates) << one.model << one.steps << one.rule;
  EXPECT_EQ(found.values, expected.values) << one.model << one.steps << one.rule;
  EXPECT_EQ(found.gradients, expected.gradients) << one.model << one.steps << one.rule;
}

const std::vector<Case> kCases{{"resnet", 1}, {"resnet", 7, "sgd"}, {"mlp", 9, "adam"}};

TEST(OnlinePipeline, OneStageIsOnlineSgd) {
  constexpr Index kFrames = 20;
  const Communicator alone = Communicator::self();
  for (const Case& one : kCases) {
    Online online(alone, one);
    online.run(0, kFrames, Frames::changing);
    Stage whole(one, BlockLayout::balanced(one.steps, 1), 0);
    for (Index t = 0; t < kFrames; ++t) {
      int label = 0;
      double loss = 0;
      const Numbers last = whole.forward(features_of(t, Frames::changing, label));
      whole.backward(whole.loss_gradient(label, loss));
      whole.update(one.rate);
      const auto at = static_cast<std::size_t>(t);
      EXPECT_EQ(online.seen.states[at], last) << one.model << ", frame " << t;
      EXPECT_EQ(online.seen.losses[at], loss) << one.model << ", frame " << t;
    }
    expect_same(online.learned(), whole.learned(), one);
    EXPECT_EQ(online.pipeline.updates(), kFrames);
  }
}

TEST(OnlinePipeline, FollowsTheRuleTickByTick) {
  for (const Case& one : kCases) {
    for (const Index frames : {0, 1, 2, 5, 24}) {
      Online online(world(), one);
      online.run(0, frames, Frames::changing);
      Rule rule(one, world().size());
      rule.run(0, frames, Frames::changing);
      expect_same(online.learned(),
                  rule.stages[static_cast<std::size_t>(world().rank())]->learned(), one);
      if (!is_last()) continue;
      EXPECT_EQ(online.seen.frames, rule.seen.frames);
      EXPECT_EQ(online.seen.states, rule.seen.states);
      EXPECT_EQ(online.seen.losses, rule.seen.losses);
    }
  }
}

TEST(OnlinePipeline, AnotherRunBeginsWithEmptyStages) {
  const Case one{"resnet", 7};
  Online online(world(), one);
  Rule rule(one, world().size());
  Index first = 0;
  for (const Index end : {9, 10, 12, 12, 30}) {
    online.run(first, end, Frames::changing);
    rule.run(first, end, Frames::changing);
    first = end;
  }
  expect_same(online.learned(), rule.stages[static_cast<std::size_t>(world().rank())]->learned(),
              one);
}

TEST(OnlinePipeline, PausesChangeNothing) {
  const Case one{"resnet", 7};
  for (const Index pauses_at : {1, 3}) {
    Online online(world(), one), without(world(), one);
    online.run(0, 20, Frames::changing, pauses_at);
    without.run(0, 20, Frames::changing);
    expect_same(online.learned(), without.learned(), one);
  }
}

/// The gradient of the whole network at sample 0, of the groups of one stage.
Learned serial_gradient(const Case& one) {
  const auto layout = BlockLayout::balanced(one.steps, world().size());
  std::vector<std::unique_ptr<Stage>> stages;
  int label = 0;
  double loss = 0;
  Numbers at = features_of(0, Frames::constant, label);
  for (int i = 0; i < world().size(); ++i) {
    stages.push_back(std::make_unique<Stage>(one, layout, i));
    at = stages.back()->forward(at);
  }
  at = stages.back()->loss_gradient(label, loss);
  for (auto stage = stages.rbegin(); stage != stages.rend(); ++stage) at = (*stage)->backward(at);
  return stages[static_cast<std::size_t>(world().rank())]->learned();
}

// At tick t stage i works on its frame t - i: the tick 2 (S - 1) - i is its frame 2 (S - 1 - i).
TEST(OnlinePipeline, FrozenWeightsHaveTheExactGradientFirstAtThatTick) {
  const Case one{"resnet", 7, "sgd", 0};
  const Learned expected = serial_gradient(one);
  const int stage = world().rank();
  for (Index frames = 1; frames <= 2 * world().size() + 1; ++frames) {
    Online online(world(), one);
    online.run(0, frames, Frames::constant);
    const Learned found = online.learned();
    EXPECT_EQ(found.values, expected.values);
    const Index stale = OnlinePipeline::staleness(stage, world().size());
    EXPECT_EQ(stale, 2 * (world().size() - 1 - stage));
    EXPECT_EQ(found.updates, std::max<Index>(0, frames - stale));
    const bool any =
        std::any_of(found.gradients.begin(), found.gradients.end(), [](Real g) { return g != 0; });
    EXPECT_EQ(any, frames > stale) << frames << " frames";
    if (any) {
      EXPECT_EQ(found.gradients, expected.gradients) << frames << " frames";
    }
  }
}

TEST(OnlinePipeline, FrozenWeightsPredictAsSequentialExecution) {
  constexpr Index kFrames = 9;
  const Case one{"resnet", 7, "sgd", 0};
  Online online(world(), one);
  online.run(0, kFrames, Frames::changing);
  Stage whole(one, BlockLayout::balanced(one.steps, 1), 0);
  ASSERT_EQ(online.seen.frames.size(), is_last() ? kFrames : 0);
  for (Index t = 0; is_last() && t < kFrames; ++t) {
    int label = 0;
    const auto at = static_cast<std::size_t>(t);
    EXPECT_EQ(online.seen.frames[at], t);
    EXPECT_EQ(online.seen.states[at], whole.forward(features_of(t, Frames::changing, label)));
  }
}

}  // namespace
}  // namespace deeppcr::train
