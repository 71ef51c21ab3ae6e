#include "app/options.hpp"

#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "support/refusal.hpp"

namespace deeppcr::app {
namespace {

using test::refusal;

namespace po = boost::program_options;

using Words = std::vector<std::string>;

const std::vector<OfferedEntry>& solvers() {
  static const std::vector<OfferedEntry> entries{
      {"auto", "the fastest", {whole_option("chunks", 0, 0, 64, "how many")}},
      {"newton",
       "all at once",
       {word_option("linear", "hybrid", {"hybrid", "pcr"}, "of the chains"),
        whole_option("iterations", 50, 0, 100, "at most")}},
      {"shooting",
       "chunks at once",
       {whole_option("chunks", 0, 0, 64, "how many"),
        whole_option("iterations", 50, 0, 1000, "sweeps at most"),
        flag_option("exact", "no shortcut"), real_option("factor", "0.5", 0, 1, "of a sweep")}},
      {"sequential", "the baseline", {}}};
  return entries;
}

po::options_description description() {
  po::options_description options(100);
  options.add_options()("steps", po::value<int>()->default_value(3), "length");
  add_group(options, "Solver", {}, {{"nonlinear", "auto", solvers()}});
  return options;
}

/// What the words of a command line and then a configuration file say, by the rule.
po::variables_map parsed(const Words& words, const std::string& file = "") {
  const po::options_description options = description();
  po::variables_map values;
  po::store(po::command_line_parser(words).options(options).run(), values);
  std::istringstream text(file);
  po::store(po::parse_config_file(text, options), values);
  select_entries(options, values);
  po::notify(values);
  return values;
}

std::string chosen(const Words& words, const std::string& file = "") {
  return parsed(words, file)["nonlinear"].as<std::string>();
}

std::string refusal_of(const Words& words, const std::string& file = "") {
  return refusal([&] { parsed(words, file); });
}

TEST(EntryOptions, AreOfferedOnceWithTheirOwners) {
  std::ostringstream help;
  help << description();
  const std::string text = help.str();
  for (const char* line : {"newton: all at once", "auto, shooting: how many", "newton: at most",
                           "shooting: sweeps at most", "shooting: no shortcut",
                           "--linear NAME (=hybrid)", "--chunks N (=0)", "--factor X (=0.5)"})
    EXPECT_NE(text.find(line), std::string::npos) << line << " in\n" << text;
  EXPECT_EQ(text.find("--chunks"), text.rfind("--chunks"));
}

TEST(EntryOptions, OfOneOwnerStandTogether) {
  std::vector<std::string> names;
  const po::options_description options = description();
  for (const auto& option : options.options()) names.push_back(option->long_name());
  EXPECT_EQ(names,
            (Words{"steps", "nonlinear", "chunks", "linear", "iterations", "exact", "factor"}));
}

TEST(EntryOptions, OfOneNameHaveOneKindAndDefault) {
  po::options_description options;
  const std::vector<OfferedEntry> entries{{"a", "", {whole_option("size", 1, 0, 9, "")}},
                                          {"b", "", {whole_option("size", 2, 0, 9, "")}}};
  const std::string text = refusal([&] {
    add_group(options, "Sizes", {}, {{"which", "a", entries}});
  });
  for (const char* part : {"--size", "'b'"}) EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST(EntryOptions, OfOneEntryChooseItWhereNoneIsNamed) {
  EXPECT_EQ(chosen({}), "auto");
  EXPECT_EQ(chosen({"--steps", "7"}), "auto");
  EXPECT_EQ(chosen({"--linear", "pcr"}), "newton");
  EXPECT_EQ(chosen({"--linear", "hybrid"}), "newton");  // typed, if only the default
  EXPECT_EQ(chosen({"--exact"}), "shooting");
  EXPECT_EQ(chosen({"--chunks", "4"}), "auto");  // the default has it
  EXPECT_EQ(chosen({"--chunks", "4", "--factor", "0.1"}), "shooting");
  EXPECT_EQ(chosen({"--iterations", "4"}), "newton");  // the first of two
  EXPECT_EQ(chosen({"--iterations", "4", "--chunks", "2"}), "shooting");
  EXPECT_EQ(chosen({}, "linear = pcr\n"), "newton");
  EXPECT_EQ(chosen({"--nonlinear", "newton", "--linear", "pcr"}), "newton");
}

TEST(EntryOptions, OfAnotherEntryAreRefused) {
  EXPECT_EQ(refusal_of({"--nonlinear", "shooting", "--linear", "pcr"}),
            "--linear pcr goes with --nonlinear newton, not with shooting; leave it out");
  EXPECT_EQ(refusal_of({"--nonlinear", "auto", "--linear", "pcr"}),
            "--linear pcr goes with --nonlinear newton, not with auto; leave it out");
  EXPECT_EQ(refusal_of({"--exact", "--nonlinear", "newton"}),
            "--exact goes with --nonlinear shooting, not with newton; leave it out");
  EXPECT_EQ(refusal_of({"--nonlinear", "sequential", "--chunks", "2"}),
            "--chunks 2 goes with --nonlinear auto or shooting, not with sequential; leave it out");
  EXPECT_EQ(refusal_of({"--linear", "pcr", "--exact"}),
            "--exact goes with --nonlinear shooting, but --linear pcr with newton; leave one of "
            "them out");
  EXPECT_EQ(refusal_of({"--nonlinear", "shooting"}, "linear = pcr\n"),
            "--linear pcr goes with --nonlinear newton, not with shooting; leave it out");
  EXPECT_EQ(refusal_of({"--linear", "pcr"}, "nonlinear = shooting\n"),
            "--linear pcr goes with --nonlinear newton, not with shooting; leave it out");
}

TEST(EntryOptions, AreReadForOneEntry) {
  const po::variables_map values = parsed({"--chunks", "4", "--factor", "0.1", "--exact"});
  const OptionValues own = entry_values(solvers()[2].options, values);
  EXPECT_EQ(own.whole("chunks"), 4);
  EXPECT_EQ(own.real("factor"), 0.1);
  EXPECT_TRUE(own.flag("exact"));
  EXPECT_EQ(own.whole("iterations"), 50);
  EXPECT_TRUE(own.given("chunks"));
  EXPECT_FALSE(own.given("iterations"));
}

TEST(EntryOptions, AreHeldToTheBoundsOfTheEntry) {
  const po::variables_map values = parsed({"--nonlinear", "newton", "--iterations", "500"});
  EXPECT_EQ(refusal([&] { entry_values(solvers()[1].options, values); }),
            "--iterations 500: a whole number from 0 to 100 is needed, such as --iterations 50");
  EXPECT_EQ(entry_values(solvers()[2].options, values).whole("iterations"), 500);
}

TEST(EntryOptions, AreIdleBesideAnotherEntry) {
  const po::variables_map values = parsed({"--linear", "pcr"});
  const po::options_description options = description();
  EXPECT_FALSE(is_idle(options, values, "linear"));
  EXPECT_FALSE(is_idle(options, values, "iterations"));
  EXPECT_TRUE(is_idle(options, values, "chunks"));
  EXPECT_FALSE(is_idle(options, values, "steps"));
  EXPECT_FALSE(is_idle(options, values, "nonlinear"));
}

}  // namespace
}  // namespace deeppcr::app
