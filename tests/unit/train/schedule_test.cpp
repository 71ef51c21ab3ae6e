#include "deeppcr/train/schedule.hpp"

#include <gtest/gtest.h>

#include "deeppcr/core/error.hpp"

namespace deeppcr::train {
namespace {

TEST(Schedule, RisesLinearlyInTheWarmUp) {
  Schedule schedule;
  schedule.peak = 0.5;
  schedule.warm_up = 4;
  schedule.total = 100;
  for (const auto kind : {ScheduleKind::constant, ScheduleKind::cosine, ScheduleKind::step}) {
    schedule.kind = kind;
    EXPECT_DOUBLE_EQ(schedule.rate(0), 0.125);
    EXPECT_DOUBLE_EQ(schedule.rate(3), 0.5);
    EXPECT_DOUBLE_EQ(schedule.rate(4), 0.5);
  }
}

TEST(Schedule, CosineEndsAtItsFloor) {
  Schedule schedule;
  schedule.peak = 2;
  schedule.warm_up = 10;
  schedule.total = 110;
  schedule.floor = 0.1;
  EXPECT_DOUBLE_EQ(schedule.rate(60), (2 + 0.2) / 2);
  EXPECT_DOUBLE_EQ(schedule.rate(110), 0.2);
  EXPECT_DOUBLE_EQ(schedule.rate(1000), 0.2);
  for (Index step = 11; step <= 110; ++step)
    EXPECT_LT(schedule.rate(step), schedule.rate(step - 1));
}

TEST(Schedule, StepsDown) {
  Schedule schedule;
  schedule.kind = ScheduleKind::step;
  schedule.peak = 1;
  schedule.decay = 0.5;
  EXPECT_DOUBLE_EQ(schedule.rate(1000), 1);
  schedule.decay_every = 10;
  EXPECT_DOUBLE_EQ(schedule.rate(9), 1);
  EXPECT_DOUBLE_EQ(schedule.rate(10), 0.5);
  EXPECT_DOUBLE_EQ(schedule.rate(25), 0.25);
}

TEST(Schedule, NamesAreReadBack) {
  for (const auto kind : {ScheduleKind::constant, ScheduleKind::cosine, ScheduleKind::step})
    EXPECT_EQ(schedule_from(name(kind)), kind);
  EXPECT_THROW(schedule_from("linear"), Error);
}

}  // namespace
}  // namespace deeppcr::train
