#include "app/local_steps_config.hpp"

#include <charconv>

#include "deeppcr/core/error.hpp"

namespace deeppcr::app {
namespace {

constexpr Index kMany = 1'000'000'000'000;

Index round_of(const std::string& text) {
  Index updates = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), updates);
  const bool whole = code == std::errc() && end == text.data() + text.size();
  if (!whole || updates < 1 || updates > kMany)
    throw input_error("--local-steps {}: auto, or a whole number from 1 to {} is needed", text,
                      kMany);
  return updates;
}

}  // namespace

void add_local_steps_options(cli::Options& options) {
  options.add(
      "Data ranks by themselves",
      {word_option("clip", "mean", {"mean", "local"},
                   "the gradient that --clip-norm shortens and updates follow: the mean of all "
                   "data ranks, or each data rank's own (CELGC)"),
       text_option("local-steps", "1",
                   "of --clip local: updates between two means of the data ranks' parameters; "
                   "auto: 1 at first, then by --drift-bound",
                   "N|auto"),
       real_option("drift-bound", "0.01", 0, 1e300,
                   "of --local-steps auto: above this drift (the largest distance of a data rank's "
                   "parameters from the mean, relative to it) rounds become half as long, below "
                   "half of it twice as long"),
       flag_option("average-optimiser",
                   "of --clip local: the means are of what the optimiser keeps, too"),
       word_option("shards", "iid", {"iid", "by-class"},
                   "samples of a data rank: any, or, of samples sorted by class, its own part in "
                   "every epoch")});
}

train::LocalSteps read_local_steps(const OptionValues& options) {
  const std::string round = options.text("local-steps");
  train::LocalSteps local;
  local.own_gradients = options.word("clip") == "local";
  local.averages_memory = options.flag("average-optimiser");
  if (round == "auto") {
    local.drift_bound = options.real("drift-bound");
    if (local.drift_bound == 0)
      throw input_error("--drift-bound 0: rounds would never grow; give a number above 0");
  } else {
    local.updates = round_of(round);
  }
  if (local.own_gradients) return local;
  if (round != "1")
    throw input_error(
        "--local-steps {} needs --clip local: with --clip mean the data ranks follow one gradient "
        "in every update; add it, or leave --local-steps out",
        round);
  if (local.averages_memory)
    throw input_error(
        "--average-optimiser needs --clip local, by which data ranks differ; leave it out");
  return local;
}

void refuse_drift_bound(const OptionValues& options) {
  if (options.given("drift-bound") && options.text("local-steps") != "auto")
    throw input_error("--drift-bound goes with --local-steps auto, not with {}; leave it out",
                      options.text("local-steps"));
}

}  // namespace deeppcr::app
