#include <algorithm>
#include <cmath>
#include <utility>

#include "deeppcr/core/options.hpp"
#include "deeppcr/train/optimiser.hpp"

namespace deeppcr::train {

namespace {

ScheduleEntry constant() {
  return {"constant", "the peak", {}, [](Index, Index, const OptionValues&) { return 1.0; }};
}

ScheduleEntry cosine() {
  return {"cosine",
          "from the peak along half a cosine, to the floor at the last epoch's end",
          {real_option("floor", "0", 0, 1, "last learning rate, relative to the largest")},
          [](Index behind, Index length, const OptionValues& own) {
            const double floor = own.real("floor");
            const double part =
                std::min(1.0, static_cast<double>(behind) / static_cast<double>(length));
            return floor + (1 - floor) * (1 + std::cos(std::acos(-1.0) * part)) / 2;
          },
          true};
}

ScheduleEntry step() {
  return {"step",
          "times --decay after each --decay-every updates",
          {real_option("decay", "0.1", 0, 1, "factor on the learning rate"),
           whole_option("decay-every", 0, 0, 1'000'000'000'000,
                        "updates between two factors; 0: never")},
          [](Index behind, Index, const OptionValues& own) {
            const Index every = own.whole("decay-every");
            return every == 0 ? 1.0
                              : std::pow(own.real("decay"), static_cast<double>(behind / every));
          }};
}

Catalogue<ScheduleEntry>& table() {
  static Catalogue<ScheduleEntry> entries{"schedule", {constant(), cosine(), step()}};
  return entries;
}

}  // namespace

double Schedule::rate(Index step) const {
  if (step < warm_up) return peak * static_cast<double>(step + 1) / static_cast<double>(warm_up);
  const ScheduleEntry& entry = find_schedule(name);
  return peak * entry.factor(step - warm_up, std::max<Index>(total - warm_up, 1),
                             OptionValues(entry.options, own));
}

const std::deque<ScheduleEntry>& schedules() { return table().entries(); }

void add_to_catalogue(ScheduleEntry entry) { table().add(std::move(entry)); }

const ScheduleEntry& find_schedule(const std::string& name) { return table().find(name); }

}  // namespace deeppcr::train
