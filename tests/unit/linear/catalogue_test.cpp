#include "deeppcr/linear/catalogue.hpp"

#include <gtest/gtest.h>

#include "deeppcr/core/error.hpp"
#include "linear/sequential.hpp"
#include "support/environment.hpp"
#include "support/random_chain.hpp"

namespace deeppcr::linear {
namespace {

std::string refusal(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

/// A solver from outside.
class Mine final : public Sequential {
 public:
  explicit Mine(double rtol) : rtol_(rtol) {}
  const char* name() const override { return "mine"; }
  double tolerance() const override { return rtol_; }

 private:
  double rtol_;
};

TEST(LinearCatalogue, ListsTheKnownNamesWhereOneIsUnknown) {
  const std::string sentence = refusal([] { find("cramer"); });
  EXPECT_NE(sentence.find("cramer"), std::string::npos) << sentence;
  for (const CatalogueEntry& entry : catalogue())
    EXPECT_NE(sentence.find(entry.name), std::string::npos) << sentence;
}

TEST(LinearCatalogue, TakesASolverFromOutsideOnce) {
  CatalogueEntry entry = find("sequential");
  entry.name = "mine";
  entry.create = [](const Settings& settings) { return std::make_unique<Mine>(settings.rtol); };
  const std::size_t before = catalogue().size();
  add_to_catalogue(entry);
  EXPECT_EQ(catalogue().size(), before + 1);
  Settings settings;
  settings.rtol = 0.25;
  EXPECT_STREQ(find("mine").make(settings)->name(), "mine");
  EXPECT_EQ(find("mine").make(settings)->tolerance(), 0.25);
  EXPECT_NE(refusal([&] { add_to_catalogue(entry); }).find("mine"), std::string::npos);
  EXPECT_EQ(catalogue().size(), before + 1);
}

TEST(LinearCatalogue, NamesEachEntryAsItsSolverDoes) {
  for (const CatalogueEntry& entry : catalogue()) {
    EXPECT_EQ(entry.name, entry.make()->name());
    EXPECT_NE(entry.help, "");
  }
}

TEST(Scan, RefusesDenseJacobians) {
  const auto layout = parallel::BlockLayout::balanced(3, test::world().size());
  test::RandomChain dense(test::world(), layout, 1, 2);
  const auto scan = find("scan").make();
  const std::string sentence = refusal([&] { scan->setup(dense.chain()); });
  EXPECT_NE(sentence.find("diagonal"), std::string::npos) << sentence;
  EXPECT_FALSE(find("scan").takes(blocks::Structure::dense));
  EXPECT_TRUE(find("scan").takes(blocks::Structure::scaled_identity));
  EXPECT_TRUE(find("hybrid").takes(blocks::Structure::diagonal));
}

TEST(LinearShooting, SendsOneCarryARankAndSweepWhereTheChainForgets) {
  const int P = test::world().size();
  const auto layout = parallel::BlockLayout::balanced(Index{512} * P, P);
  test::RandomChain chain(test::world(), layout, 2, 8, 0.5);
  const auto shooting = find("shooting").make();
  Buffer<Real> x(chain.rhs().size());
  shooting->setup(chain.chain());
  shooting->solve(chain.rhs(), States(x.data(), chain.shape()));
  const SolveOutcome outcome = shooting->report(layout);
  EXPECT_EQ(outcome.method, "shooting+zero");
  const Cost cost = shooting->cost({layout, 2, 8});
  EXPECT_EQ(test::world().sum(shooting->neighbour_traffic().messages),
            (outcome.sweeps - 1) * cost.neighbours.messages);
  EXPECT_EQ(test::world().sum(shooting->neighbour_traffic().bytes),
            (outcome.sweeps - 1) * cost.neighbours.bytes);
  // The first walk, and the steps until the carry is forgotten.
  EXPECT_GE(outcome.path.evaluations, 512);
  EXPECT_LE(outcome.path.evaluations, 512 + (P > 1 ? 256 : 0));
}

TEST(LinearPath, CountsWhatWaitsForEachOther) {
  const auto layout = parallel::BlockLayout::balanced(64, 4);
  const auto path = [&](const char* name) { return find(name).make()->cost({layout}).path; };
  EXPECT_EQ(path("sequential").evaluations, 64);
  EXPECT_EQ(path("sequential").products, 0);
  EXPECT_EQ(path("pcr").products, 16 * 6);
  EXPECT_EQ(path("hybrid").evaluations, 16);
  EXPECT_EQ(path("hybrid").products, 16 + 2);
  EXPECT_EQ(path("shooting").evaluations, 16);
  EXPECT_EQ(path("scan").products, 0);
}

}  // namespace
}  // namespace deeppcr::linear
