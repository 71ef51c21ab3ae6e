// Updates against PyTorch's, see tests/golden/make_optimisers.py, with the rows spread over ranks.
#include "deeppcr/train/optimiser.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "deeppcr/parallel/block_layout.hpp"
#include "support/environment.hpp"

namespace deeppcr::train {
namespace {

using nlohmann::json;

json golden() {
  std::ifstream file(DEEPPCR_GOLDEN_DIR "/optimisers.json");
  return json::parse(file);
}

OptimiserOptions options_of(const json& test_case) {
  OptimiserOptions options;
  options.rule = test_case["rule"];
  options.own = OptionValues(find_optimiser(options.rule).options);
  options.own.set("weight-decay", fmt::format("{}", test_case.value("weight_decay", 0.0)));
  if (options.rule == "sgd") {
    options.own.set("momentum", fmt::format("{}", test_case.value("momentum", 0.0)));
    options.own.set("nesterov", test_case.value("nesterov", false) ? "true" : "false");
  }
  options.clip_norm = test_case.value("clip_norm", 0.0);
  return options;
}

/// One group whose rows, of one number each, are spread over the ranks.
struct Spread {
  explicit Spread(const std::vector<double>& start)
      : own(parallel::BlockLayout::balanced(static_cast<Index>(start.size()), test::world().size())
                .range(test::world().rank())),
        values(own.size()),
        gradient(own.size()) {
    load(start, values);
    group = {{"p", static_cast<Index>(start.size()), 1, own, values.data(), "numbers"},
             gradient.data()};
  }
  void load(const std::vector<double>& all, Buffer<Real>& here) const {
    for (Index i = 0; i < own.size(); ++i) here[i] = all[static_cast<std::size_t>(own.first + i)];
  }
  void expect(const std::vector<double>& all, const std::string& what) const {
    constexpr double kEps = std::numeric_limits<double>::epsilon();
    for (Index i = 0; i < own.size(); ++i) {
      const double expected = all[static_cast<std::size_t>(own.first + i)];
      EXPECT_NEAR(values[i], expected, 100 * kEps * std::fmax(1, std::fabs(expected))) << what;
    }
  }

  StepRange own;
  Buffer<Real> values, gradient;
  ParameterGroup group;
};

TEST(Optimiser, UpdatesAsPyTorchDoes) {
  const json all = golden();
  for (const json& test_case : all["cases"]) {
    Spread parameters(all["start"]);
    Optimiser optimiser(test::world(), options_of(test_case), {parameters.group});
    for (std::size_t t = 0; t < all["gradients"].size(); ++t) {
      parameters.load(all["gradients"][t], parameters.gradient);
      EXPECT_TRUE(std::isfinite(optimiser.update(all["learning_rate"])));
      parameters.expect(test_case["path"][t], test_case["name"]);
    }
  }
}

TEST(Optimiser, GoesOnFromItsState) {
  const json all = golden();
  for (const json& test_case : all["cases"]) {
    Spread first(all["start"]), second(all["start"]);
    Optimiser before(test::world(), options_of(test_case), {first.group});
    Optimiser after(test::world(), options_of(test_case), {second.group});
    const std::size_t last = all["gradients"].size() - 1;
    for (std::size_t t = 0; t <= last; ++t) {
      if (t == last) {  // the second one takes over
        std::copy(first.values.begin(), first.values.end(), second.values.begin());
        const auto from = before.state(), to = after.state();
        ASSERT_EQ(from.size(), to.size());
        for (std::size_t a = 0; a < from.size(); ++a)
          std::copy_n(from[a].values, from[a].local_size(), to[a].values);
        after.set_updates(before.updates());
      }
      Spread& current = t == last ? second : first;
      current.load(all["gradients"][t], current.gradient);
      (t == last ? after : before).update(all["learning_rate"]);
    }
    second.expect(test_case["path"][last], test_case["name"]);
  }
}

TEST(Optimiser, ReportsTheNormOverAllRanks) {
  Spread parameters(std::vector<double>(5, 1.0));
  parameters.load({1, -2, 2, 4, 0}, parameters.gradient);
  Optimiser optimiser(test::world(), {}, {parameters.group});
  EXPECT_DOUBLE_EQ(optimiser.update(0), 5);
}

TEST(Optimiser, LeavesEverythingWhereTheGradientIsNoNumber) {
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    Spread parameters(std::vector<double>(5, 1.0));
    parameters.load({0, 0, 0, 0, bad}, parameters.gradient);
    Optimiser optimiser(test::world(), {}, {parameters.group});
    EXPECT_FALSE(std::isfinite(optimiser.update(1)));
    EXPECT_EQ(optimiser.updates(), 0);
    parameters.expect(std::vector<double>(5, 1.0), "unchanged");
  }
}

TEST(Optimiser, RefusesOptionsWithoutSense) {
  using Set = std::vector<std::pair<const char*, const char*>>;
  const auto make = [](const char* rule, const Set& set, double clip_norm = 0) {
    OptimiserOptions options{rule, OptionValues(find_optimiser(rule).options), clip_norm};
    for (const auto& [name, value] : set) options.own.set(name, value);
    Optimiser optimiser(test::world(), options, {});
  };
  EXPECT_NO_THROW(make("sgd", {{"nesterov", "true"}}));
  EXPECT_THROW(make("sgd", {{"nesterov", "true"}, {"momentum", "0"}}), Error);
  EXPECT_THROW(make("adamw", {{"nesterov", "true"}}), Error);
  EXPECT_THROW(make("sgd", {{"momentum", "1"}}), Error);
  EXPECT_THROW(make("adam", {{"beta1", "1"}}), Error);
  EXPECT_THROW(make("adamw", {{"weight-decay", "nan"}}), Error);
  EXPECT_THROW(make("sgd", {}, std::nan("")), Error);
  EXPECT_THROW(make("adamax", {}), Error);
}

/// The sign of the gradient: a rule of another program.
class SignDescent final : public UpdateRule {
 public:
  std::vector<Memory> memory() const override { return {}; }
  void apply(const Update& u) const override {
    for (Index i = 0; i < u.size; ++i)
      u.parameters[i] -= u.rate * std::copysign(1.0, u.gradient[i]);
  }
};

TEST(Optimiser, TakesARuleOfAnotherProgram) {
  const auto entry = [] {
    return OptimiserEntry{"sign", "the sign of the gradient", {}, [](const OptionValues&) {
                            return std::make_unique<SignDescent>();
                          }};
  };
  add_to_catalogue(entry());
  EXPECT_THROW(add_to_catalogue(entry()), Error);
  Spread parameters(std::vector<double>(5, 1.0));
  parameters.load({3, -2, 5, -1, 1}, parameters.gradient);
  Optimiser optimiser(test::world(), {"sign"}, {parameters.group});
  EXPECT_TRUE(std::isfinite(optimiser.update(0.5)));
  EXPECT_TRUE(optimiser.state().empty());
  parameters.expect({0.5, 1.5, 0.5, 1.5, 0.5}, "sign");
}

TEST(Optimiser, CountsSharedRowsOnceAndUpdatesThemAlike) {
  Buffer<Real> values(2), gradient(2);
  gradient[0] = 3;
  gradient[1] = 4;
  StoredArray array{"cell", 1, 2, {0, 1}, values.data(), "numbers"};
  array.shared = true;
  Spread own(std::vector<double>(1, 0.0));
  own.load({12}, own.gradient);
  OptimiserOptions options{"sgd", OptionValues(find_optimiser("sgd").options), 6.5};
  options.own.set("momentum", "0").set("weight-decay", "0");
  Optimiser optimiser(test::world(), options, {{array, gradient.data()}, own.group});
  EXPECT_DOUBLE_EQ(optimiser.update(1), 13);
  EXPECT_DOUBLE_EQ(values[0], -1.5);  // clipped to half on every rank
  EXPECT_DOUBLE_EQ(values[1], -2);
  own.expect({-6}, "own row");
}

}  // namespace
}  // namespace deeppcr::train
