#include <gtest/gtest.h>

#include <algorithm>

#include "deeppcr/core/error.hpp"
#include "deeppcr/train/trainer.hpp"

namespace deeppcr::train {
namespace {

std::vector<Index> epoch(SampleOrder& order, Index number, Index batch) {
  std::vector<Index> samples;
  for (Index i = 0; i < order.batches_per_epoch(); ++i) {
    const Index* of_batch = order.batch(number * order.batches_per_epoch() + i);
    samples.insert(samples.end(), of_batch, of_batch + batch);
  }
  return samples;
}

TEST(SampleOrder, AnEpochHasEverySampleOnce) {
  SampleOrder order(60, 12, 3);
  EXPECT_EQ(order.batches_per_epoch(), 5);
  for (Index number = 0; number < 3; ++number) {
    std::vector<Index> samples = epoch(order, number, 12);
    EXPECT_FALSE(std::is_sorted(samples.begin(), samples.end()));
    std::sort(samples.begin(), samples.end());
    for (Index i = 0; i < 60; ++i) EXPECT_EQ(samples[static_cast<std::size_t>(i)], i);
  }
}

TEST(SampleOrder, WhatIsLeftOverIsNotUsed) {
  SampleOrder order(11, 4, 3);
  EXPECT_EQ(order.batches_per_epoch(), 2);
  EXPECT_EQ(order.epoch_of(1), 0);
  EXPECT_EQ(order.epoch_of(2), 1);
}

TEST(SampleOrder, DependsOnSeedAndEpochOnly) {
  SampleOrder one(100, 10, 7), same(100, 10, 7), other(100, 10, 8);
  const auto first = epoch(one, 0, 10), second = epoch(one, 1, 10);
  EXPECT_NE(first, second);
  EXPECT_EQ(epoch(same, 1, 10), second);  // without having been through epoch 0
  EXPECT_EQ(epoch(same, 0, 10), first);
  EXPECT_NE(epoch(other, 0, 10), first);
}

/// Where a data rank's samples of a batch are: as ChainNetwork splits it.
TEST(SampleOrder, ShardsAreByClass) {
  Shards shards{3, {}};
  for (int s = 0; s < 60; ++s) shards.classes.push_back((7 * s) % 6);  // 10 of each class
  SampleOrder order(60, 12, 5, shards), same(60, 12, 5, shards);
  EXPECT_EQ(order.batches_per_epoch(), 5);
  std::vector<Index> first;
  for (Index number = 0; number < 3; ++number) {
    std::vector<Index> samples = epoch(order, number, 12);
    EXPECT_NE(samples, first);
    if (number == 2) {
      EXPECT_EQ(epoch(same, 2, 12), samples);  // without having been through the others
    }
    first = samples;
    for (std::size_t i = 0; i < samples.size(); ++i) {
      const int shard = static_cast<int>(i % 12 / 4);
      EXPECT_EQ(shards.classes[static_cast<std::size_t>(samples[i])] / 2, shard) << i;
    }
    std::sort(samples.begin(), samples.end());
    for (Index i = 0; i < 60; ++i) EXPECT_EQ(samples[static_cast<std::size_t>(i)], i);
  }
}

TEST(SampleOrder, UnevenShardsEndWithTheFirstThatIsUsedUp) {
  SampleOrder order(11, 3, 1, {2, std::vector<int>(11, 0)});  // 6 by 2, 5 by 1
  EXPECT_EQ(order.batches_per_epoch(), 3);
  std::vector<Index> samples = epoch(order, 0, 3);
  std::sort(samples.begin(), samples.end());
  EXPECT_EQ(std::unique(samples.begin(), samples.end()), samples.end());
}

TEST(SampleOrder, OneDataRankHasNoShards) {
  SampleOrder order(60, 12, 5), one(60, 12, 5, {1, std::vector<int>(60, 0)});
  EXPECT_EQ(epoch(order, 1, 12), epoch(one, 1, 12));
}

TEST(SampleOrder, RefusesBatchesThatCannotBe) {
  EXPECT_THROW(SampleOrder(10, 11, 1), Error);
  EXPECT_THROW(SampleOrder(10, 0, 1), Error);
  EXPECT_THROW(SampleOrder(10, 2, 1, {3, std::vector<int>(10, 0)}), Error);
  EXPECT_EQ(SampleOrder(10, 10, 1).batches_per_epoch(), 1);
}

}  // namespace
}  // namespace deeppcr::train
