#include <gtest/gtest.h>

#include "deeppcr/core/options.hpp"
#include "support/refusal.hpp"

namespace deeppcr {
namespace {

using test::refusal;

struct Tool {
  std::string name;
  int weight;
};

Catalogue<Tool> tools() { return {"tool", {{"saw", 1}, {"axe", 2}}}; }

TEST(Catalogue, KeepsTheOrderAndReferencesWhenEntriesAreAdded) {
  Catalogue<Tool> known = tools();
  const Tool& saw = known.find("saw");
  for (int i = 0; i < 100; ++i) known.add({"hammer" + std::to_string(i), i});
  EXPECT_EQ(&known.find("saw"), &saw);
  EXPECT_EQ(known.entries()[1].name, "axe");
  EXPECT_EQ(known.entries().back().weight, 99);
}

TEST(Catalogue, RefusesWhatIsTakenOrUnknown) {
  Catalogue<Tool> known = tools();
  EXPECT_EQ(refusal([&] {
              known.add({"axe", 3});
            }),
            "tool 'axe': the name is taken; choose another");
  EXPECT_EQ(refusal([&] { known.find("drill"); }), "unknown tool 'drill': known are saw, axe");
  EXPECT_EQ(known.find_if_known("drill"), nullptr);
  EXPECT_EQ(known.find("axe").weight, 2);
}

}  // namespace
}  // namespace deeppcr
