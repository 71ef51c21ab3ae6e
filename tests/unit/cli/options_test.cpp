#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "deeppcr/cli/command.hpp"
#include "support/environment.hpp"
#include "support/refusal.hpp"

namespace deeppcr::cli {
namespace {

using test::refusal;

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

void add_options(Options& options) {
  options.add("Sizes", {whole_option("steps", 3, 0, 9, "length")});
  options.add("Solver", {}, {{"nonlinear", "auto", solvers()}});
}

const Command command{"solve", "", "", add_options, nullptr};

/// What the words of a command line and then a configuration file say, by the rule.
OptionValues parsed(Words words, const std::string& file = "") {
  const auto path =
      std::filesystem::temp_directory_path() / fmt::format("deeppcr-options-{}.ini", ::getpid());
  std::ofstream(path) << file;
  words.insert(words.end(), {"--config", path.string()});
  return parse(command, {command}, words, test::world());
}

std::string chosen(const Words& words, const std::string& file = "") {
  return parsed(words, file).word("nonlinear");
}

std::string refusal_of(const Words& words, const std::string& file = "") {
  return refusal([&] { parsed(words, file); });
}

TEST(EntryOptions, AreOfferedOnceWithTheirOwners) {
  const std::string text = command_help(command);
  for (const char* line : {"newton: all at once", "auto, shooting: how many", "newton: at most",
                           "shooting: sweeps at most", "shooting: no shortcut",
                           "--linear NAME (=hybrid)", "--chunks N (=0)", "--factor X (=0.5)"})
    EXPECT_NE(text.find(line), std::string::npos) << line << " in\n" << text;
  EXPECT_EQ(text.find("--chunks"), text.rfind("--chunks"));
}

TEST(EntryOptions, OfOneOwnerStandTogether) {
  Options options;
  add_options(options);
  EXPECT_EQ(options.names(),
            (Words{"steps", "nonlinear", "chunks", "linear", "iterations", "exact", "factor"}));
}

TEST(EntryOptions, OfOneNameHaveOneKindAndDefault) {
  Options options;
  const std::vector<OfferedEntry> entries{{"a", "", {whole_option("size", 1, 0, 9, "")}},
                                          {"b", "", {whole_option("size", 2, 0, 9, "")}}};
  const std::string text = refusal([&] { options.add("Sizes", {}, {{"which", "a", entries}}); });
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

TEST(ConfigFiles, GiveAnOptionOnce) {
  EXPECT_EQ(parsed({}, "steps = 5\n[solve]\nlinear = pcr\n").whole("steps"), 5);
  const std::string text = refusal_of({}, "steps = 5\n[solve]\nsteps = 6\n");
  EXPECT_NE(text.find("'steps' is given before the sections and in [solve]"), std::string::npos)
      << text;
}

TEST(EntryOptions, AreReadForOneEntry) {
  const OptionValues values = parsed({"--chunks", "4", "--factor", "0.1", "--exact"});
  const OptionValues own = values.part(solvers()[2].options);
  EXPECT_EQ(own.whole("chunks"), 4);
  EXPECT_EQ(own.real("factor"), 0.1);
  EXPECT_TRUE(own.flag("exact"));
  EXPECT_EQ(own.whole("iterations"), 50);
  EXPECT_TRUE(own.given("chunks"));
  EXPECT_FALSE(own.given("iterations"));
}

TEST(EntryOptions, AreHeldToTheBoundsOfTheEntry) {
  const OptionValues values = parsed({"--nonlinear", "newton", "--iterations", "500"});
  EXPECT_EQ(refusal([&] { values.part(solvers()[1].options); }),
            "--iterations 500: a whole number from 0 to 100 is needed, such as --iterations 50");
  EXPECT_EQ(values.part(solvers()[2].options).whole("iterations"), 500);
}

TEST(EntryOptions, AreIdleBesideAnotherEntry) {
  const OptionValues values = parsed({"--linear", "pcr"});
  const Options options = options_of(command);
  EXPECT_FALSE(options.is_idle(values, "linear"));
  EXPECT_FALSE(options.is_idle(values, "iterations"));
  EXPECT_TRUE(options.is_idle(values, "chunks"));
  EXPECT_FALSE(options.is_idle(values, "steps"));
  EXPECT_FALSE(options.is_idle(values, "nonlinear"));
}

}  // namespace
}  // namespace deeppcr::cli
