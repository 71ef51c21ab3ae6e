// The command `check`, and a model that comes from outside of the library.
#include <gtest/gtest.h>

#include <string>

#include "deeppcr/app/program.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/models/catalogue.hpp"
#include "models/layered_chain.hpp"
#include "support/environment.hpp"

namespace deeppcr::app {
namespace {

using test::world;

/// Affine steps; the last of them pushes tangents wrongly where it is told to.
class Slanted final : public models::LayeredChain {
 public:
  Slanted(const models::ModelOptions& options, const StepSet& local)
      : LayeredChain({options.width}, options.steps, local,
                     {models::Initialisation::orthogonal, 0.9, options.seed}),
        slant_(options.own.real("slant")) {}
  void propagate_with_tangent(StepRange range, ConstState z, States out, Index sample,
                              View<Real, 1> tangent) const override {
    LayeredChain::propagate_with_tangent(range, z, out, sample, tangent);
    if (range.contains(num_steps() - 1)) tangent(0) += slant_;
  }

 private:
  double slant_;
};

models::CatalogueEntry slanted_entry() {
  models::CatalogueEntry entry;
  entry.name = "slanted";
  entry.help = "affine steps with a fault";
  entry.options = {real_option("slant", "0", -1e300, 1e300, "added to the last tangent")};
  entry.make = [](const models::ModelOptions& options, const StepSet& local) {
    return std::make_unique<Slanted>(options, local);
  };
  return entry;
}

/// The exit code of `check` with these words, and what the root prints.
struct Checked {
  int code = 0;
  std::string out;
};
Checked check(std::vector<std::string> words, bool json = false) {
  static const bool added = (models::add_to_catalogue(slanted_entry()), true);
  EXPECT_TRUE(added);
  const cli::Command& command = cli::find_command(commands(), "check");
  const auto options = cli::parse(command, commands(), words, world());
  testing::internal::CaptureStdout();
  cli::Context context{world(), "", "", {}};
  context.json = json;
  Checked result;
  result.code = command.run(options, context);
  std::fflush(stdout);
  result.out = testing::internal::GetCapturedStdout();
  return result;
}

TEST(Check, PrintsTheErrorOfTheTangent) {
  const Checked table = check({"--model", "mlp"}), json = check({"--model", "mlp"}, true);
  EXPECT_EQ(table.code, 0);
  EXPECT_EQ(json.code, 0);
  if (!world().is_root()) return;
  EXPECT_NE(table.out.find("  tangent "), std::string::npos) << table.out;
  EXPECT_NE(json.out.find("\"tangent\":"), std::string::npos) << json.out;
}

TEST(Check, FailsOnAllRanksForTheTangentOfOne) {
  const Checked good = check({"--model", "slanted"}), wrong = check({"--slant", "0.5"}),
                nan = check({"--slant", "1e300", "--width", "1"});
  EXPECT_EQ(good.code, static_cast<int>(ExitCode::success));
  for (const Checked& bad : {wrong, nan}) {
    EXPECT_EQ(bad.code, static_cast<int>(ExitCode::numerics));
    if (!world().is_root()) continue;
    EXPECT_NE(bad.out.find("check: failed"), std::string::npos) << bad.out;
    const std::size_t line = bad.out.find("  tangent ");
    EXPECT_NE(bad.out.substr(line, bad.out.find('\n', line) - line).find("FAILED"),
              std::string::npos)
        << bad.out;
  }
}

TEST(Check, KnowsOptionsOfModelsFromOutside) {
  check({"--model", "slanted"});
  const std::string help = cli::command_help(cli::find_command(commands(), "solve"));
  EXPECT_NE(help.find("slanted: affine steps with a fault"), std::string::npos) << help;
  EXPECT_NE(help.find("slanted: added to the last tangent"), std::string::npos) << help;
  EXPECT_THROW(check({"--model", "affine", "--slant", "1"}), Error);
}

}  // namespace
}  // namespace deeppcr::app
