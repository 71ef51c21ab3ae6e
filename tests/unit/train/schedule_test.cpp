#include <gtest/gtest.h>

#include "deeppcr/core/error.hpp"
#include "deeppcr/train/optimiser.hpp"

namespace deeppcr::train {
namespace {

TEST(Schedule, RisesLinearlyInTheWarmUp) {
  Schedule schedule;
  schedule.peak = 0.5;
  schedule.warm_up = 4;
  schedule.total = 100;
  for (const ScheduleEntry& entry : schedules()) {
    schedule.name = entry.name;
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
  schedule.own = OptionValues(find_schedule("cosine").options).set("floor", 0.1);
  EXPECT_DOUBLE_EQ(schedule.rate(60), (2 + 0.2) / 2);
  EXPECT_DOUBLE_EQ(schedule.rate(110), 0.2);
  EXPECT_DOUBLE_EQ(schedule.rate(1000), 0.2);
  for (Index step = 11; step <= 110; ++step)
    EXPECT_LT(schedule.rate(step), schedule.rate(step - 1));
}

TEST(Schedule, StepsDown) {
  Schedule schedule;
  schedule.name = "step";
  schedule.peak = 1;
  schedule.own = OptionValues(find_schedule("step").options).set("decay", 0.5);
  EXPECT_DOUBLE_EQ(schedule.rate(1000), 1);
  schedule.own.set("decay-every", 10);
  EXPECT_DOUBLE_EQ(schedule.rate(9), 1);
  EXPECT_DOUBLE_EQ(schedule.rate(10), 0.5);
  EXPECT_DOUBLE_EQ(schedule.rate(25), 0.25);
}

TEST(Schedule, StaysAtThePeakWhereItIsConstant) {
  Schedule schedule;
  schedule.name = "constant";
  schedule.peak = 0.25;
  schedule.total = 10;
  for (const Index step : {0, 5, 10, 1000}) EXPECT_EQ(schedule.rate(step), 0.25);
}

TEST(Schedule, SaysWhetherItDependsOnTheEnd) {
  for (const ScheduleEntry& entry : schedules()) {
    const OptionValues own(entry.options);
    EXPECT_EQ(entry.is_planned, entry.factor(5, 10, own) != entry.factor(5, 1000, own))
        << entry.name;
  }
}

TEST(Schedule, ComesFromOutside) {
  add_to_catalogue(ScheduleEntry{
      "straight", "down to 0", {}, [](Index behind, Index length, const OptionValues&) {
        return 1 - static_cast<double>(behind) / static_cast<double>(length);
      }});
  Schedule schedule;
  schedule.name = "straight";
  schedule.peak = 2;
  schedule.total = 4;
  EXPECT_DOUBLE_EQ(schedule.rate(1), 1.5);
  EXPECT_THROW(add_to_catalogue(find_schedule("straight")), Error);
}

TEST(Schedule, UnknownOnesAreRefusedWithTheKnownOnes) {
  try {
    find_schedule("parabola");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("constant, cosine, step"), std::string::npos);
  }
}

}  // namespace
}  // namespace deeppcr::train
