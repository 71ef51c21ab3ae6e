#include "deeppcr/train/frame_pipeline.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "deeppcr/core/random.hpp"
#include "deeppcr/models/catalogue.hpp"
#include "support/environment.hpp"
#include "support/model_problem.hpp"

namespace deeppcr::train {
namespace {

using Next = FramePipeline::Next;
using test::world;

constexpr Index kFrames = 9;
constexpr int kWidth = 6;

struct Case {
  const char* model;
  Index steps;
};

models::ModelOptions options_of(const Case& one) {
  return test::chain_options(one.model, "tanh", "1/sqrt(L)", one.steps, kWidth);
}

/// What the last stage has taken.
struct Taken {
  std::vector<Frame> frames;
  std::vector<std::vector<Real>> states;
};

/// Frames of noise, each pause in front of one whose number `pauses_at` divides; stops at the pause
/// `stop` from 1, or never.
Taken run(const Case& one, Index pauses_at, int stop, int& pauses) {
  const auto layout = parallel::BlockLayout::balanced(one.steps, world().size());
  const auto chain = models::make(options_of(one), layout.steps(world().rank()));
  FramePipeline pipeline(world(), *chain, layout);
  Taken taken;
  Index number = 0;
  bool paused = false;
  pauses = 0;
  pipeline.run({[&](Frame& frame, State z0) {
                  if (number % pauses_at == 0 && !paused) {
                    paused = true;
                    return Next::pause;
                  }
                  if (number == kFrames) return Next::end;
                  paused = false;
                  RandomStream(3, static_cast<std::uint64_t>(number)).normal(0, kWidth, z0.data());
                  frame = {number, static_cast<int>(number % 4) - 1};
                  ++number;
                  return Next::frame;
                },
                [&](const Frame& frame, ConstState last) {
                  taken.frames.push_back(frame);
                  taken.states.emplace_back(last.begin(), last.end());
                },
                [&] { return ++pauses == stop; }});
  return taken;
}

/// The last state of a frame by sequential execution on one rank.
std::vector<Real> sequential(const Case& one, Index number) {
  const auto chain = models::make(options_of(one), StepRange{0, one.steps});
  Buffer<Real> states((one.steps + 1) * kWidth);
  RandomStream(3, static_cast<std::uint64_t>(number)).normal(0, kWidth, states.data());
  if (one.steps > 0)
    chain->propagate({0, one.steps}, {states.data(), {1, kWidth}},
                     {states.data() + kWidth, {one.steps, 1, kWidth}});
  return {states.end() - kWidth, states.end()};
}

bool is_last() { return world().rank() == world().size() - 1; }

TEST(FramePipeline, HasTheBitsOfSequentialExecution) {
  for (const Case& one :
       {Case{"resnet", 0}, {"resnet", 1}, {"mlp", 2}, {"resnet", 7}, {"affine", 16}}) {
    int pauses = 0;
    const Taken taken = run(one, 100, 0, pauses);
    ASSERT_EQ(taken.frames.size(), is_last() ? kFrames : 0) << one.model << one.steps;
    for (Index t = 0; is_last() && t < kFrames; ++t) {
      const auto place = static_cast<std::size_t>(t);
      EXPECT_EQ(taken.frames[place].number, t);
      EXPECT_EQ(taken.frames[place].label, static_cast<int>(t % 4) - 1);
      EXPECT_EQ(taken.states[place], sequential(one, t))
          << one.model << one.steps << ", frame " << t;
    }
  }
}

TEST(FramePipeline, PausesBehindAllFramesBefore) {
  int pauses = 0;
  EXPECT_EQ(run({"resnet", 7}, 3, 0, pauses).frames.size(), is_last() ? kFrames : 0);
  EXPECT_EQ(pauses, 4);  // before frames 0, 3, 6 and the end
  EXPECT_EQ(run({"resnet", 7}, 3, 3, pauses).frames.size(), is_last() ? 6 : 0);
  EXPECT_EQ(pauses, 3);
}

}  // namespace
}  // namespace deeppcr::train
