// A recurrent cell from outside, with weights that all steps share and an input at each step,
// through the commands of the program.
#include <gtest/gtest.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "deeppcr/app/program.hpp"
#include "deeppcr/models/catalogue.hpp"
#include "support/environment.hpp"
#include "support/leaky_cell.hpp"

namespace deeppcr::app {
namespace {

using nlohmann::json;
using test::world;

models::CatalogueEntry leaky_entry() {
  models::CatalogueEntry entry;
  entry.name = "leaky";
  entry.help = "(1 - c) z + c tanh(W z + U x + b)";
  entry.options = {whole_option("inputs", 8, 1, 1000, "numbers x at each step")};
  entry.make = [](const models::ModelOptions& options, const StepSet&) {
    return std::make_unique<test::LeakyCell>(options.steps, options.width,
                                             static_cast<int>(options.own.whole("inputs")));
  };
  return entry;
}

/// The report of a command that ends well; null but on the root.
json report_of(const char* name, std::vector<std::string> words) {
  static const bool added = (models::add_to_catalogue(leaky_entry()), true);
  EXPECT_TRUE(added);
  words.insert(words.begin(), {"--model", "leaky"});
  const cli::Command& command = cli::find_command(commands(), name);
  const auto options = cli::parse(command, commands(), words, world());
  testing::internal::CaptureStdout();
  cli::Context context{world(), "", "", {}};
  context.json = true;
  EXPECT_EQ(command.run(options, context), 0) << name;
  std::fflush(stdout);
  const std::string out = testing::internal::GetCapturedStdout();
  return world().is_root() ? json::parse(out.substr(out.find("{\""))) : json();
}

TEST(Cell, IsSolvedAndDifferentiatedByEveryMethod) {
  for (const char* method : {"sequential", "newton", "shooting", "auto"}) {
    for (const char* loss : {"cross-entropy", "squared-error"}) {
      SCOPED_TRACE(fmt::format("{}, {}", method, loss));
      const json report =
          report_of("gradient", {"--nonlinear", method, "--loss", loss, "--steps", "60", "--width",
                                 "4", "--batch", "3", "--inputs", "2", "--verify"});
      if (!world().is_root()) continue;
      EXPECT_LE(report["max_error"].get<double>(), 1e-8) << report.dump();
      EXPECT_GT(report["gradient_norms"]["parameters"].get<double>(), 0);
      EXPECT_EQ(report["gradient_norms"].count("embedding"), 0u);
    }
  }
  report_of("solve", {"--steps", "60", "--width", "4", "--batch", "3", "--verify"});
  report_of("check", {"--inputs", "3"});
}

TEST(Cell, IsTrainedTheSameWayOnEveryGrid) {
  const int P = world().size();
  double expected = 0;
  for (const int depth : {1, P}) {
    const json report =
        report_of("train", {"--steps",   "8",   "--inputs",       "8",
                            "--width",   "6",   "--data",         "random",
                            "--samples", "120", "--test-samples", "60",
                            "--batch",   "12",  "--max-steps",    "10",
                            "--warm-up", "0",   "--depth-ranks",  std::to_string(depth)});
    if (!world().is_root()) continue;
    const double loss = report["test_loss"].get<double>();
    if (depth == 1) expected = loss;
    // Adam divides by the size of the gradient: rounding counts for more where that is small.
    EXPECT_NEAR(loss, expected, 1e-9) << report.dump();
  }
}

}  // namespace
}  // namespace deeppcr::app
