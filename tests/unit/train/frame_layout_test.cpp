#include "deeppcr/train/frame_layout.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace deeppcr::train {
namespace {

using Firsts = std::vector<Index>;

TEST(FrameLayout, EndsTakeThePlaceOfSteps) {
  EXPECT_EQ(frame_layout(12, 3, {1, 0, 0}).first_steps(), (Firsts{0, 4, 8, 12}));
  EXPECT_EQ(frame_layout(64, 2, {1, 10, 2}).first_steps(), (Firsts{0, 28, 64}));
  EXPECT_EQ(frame_layout(64, 4, {1, 10, 2}).first_steps(), (Firsts{0, 9, 28, 47, 64}));
  EXPECT_EQ(frame_layout(8, 3, {2, 100, 0}).first_steps(), (Firsts{0, 1, 4, 8}));
  EXPECT_EQ(frame_layout(8, 2, {1, 0, 100}).first_steps(), (Firsts{0, 7, 8}));
  EXPECT_EQ(frame_layout(2, 4, {1, 10, 2}).first_steps(), (Firsts{0, 1, 2, 2, 2}));
  EXPECT_EQ(frame_layout(5, 1, {1, 10, 2}).first_steps(), (Firsts{0, 5}));
  EXPECT_EQ(frame_layout(0, 3, {1, 10, 2}).num_steps(), 0);
}

TEST(FrameLayout, NoStageIsAStepAboveTheMean) {
  for (const Index steps : {16, 64, 333})
    for (const int stages : {2, 3, 4})
      for (const double embedding : {0.0, 0.7, 3.0}) {
        const FrameCost cost{1, embedding, 0.4};
        const auto layout = frame_layout(steps, stages, cost);
        for (int p = 0; p < stages; ++p) {
          const double end = (p == 0 ? embedding : 0) + (p + 1 == stages ? cost.head : 0);
          EXPECT_LE(static_cast<double>(layout.range(p).size()) + end,
                    (static_cast<double>(steps) + embedding + cost.head) / stages + 1)
              << steps << " steps, stage " << p << " of " << stages;
        }
      }
}

models::ModelOptions chain(int width) {
  models::ModelOptions options;
  options.model = "resnet";
  options.steps = 64;
  options.width = width;
  return options;
}

TEST(FrameLayout, AnEmbeddingCountsAsItsProducts) {
  for (const int n : {16, 64, 256}) {
    const models::ModelOptions options = chain(n);
    const FrameCost small = frame_cost({options, 10, 10}), images = frame_cost({options, 784, 10});
    EXPECT_EQ(small.step, images.step);
    EXPECT_EQ(small.head, images.head);
    EXPECT_GT(images.embedding, 20 * small.embedding);
    EXPECT_LT(images.embedding, 40 * images.step);
  }
}

// An optimiser's step goes through all parameters: 785 n at the first end, 2 n (n + 1) in a step.
TEST(FrameLayout, WhatLearnsIsCountedByItsParameters) {
  OptimiserOptions adam, sgd;
  adam.rule = "adam";
  sgd.rule = "sgd";
  const models::ModelOptions options = chain(16);
  const FrameCost fixed = frame_cost({options, 784, 10});
  const FrameCost slow = frame_cost({options, 784, 10, &adam});
  const FrameCost fast = frame_cost({options, 784, 10, &sgd});
  EXPECT_GT(fast.step, 3 * fixed.step);
  EXPECT_GT(slow.step, fast.step);
  EXPECT_GT(slow.head, fast.head);
  EXPECT_NEAR((slow.embedding - fast.embedding) / (slow.step - fast.step), 785.0 / (2 * 17), 1e-6);
}

}  // namespace
}  // namespace deeppcr::train
