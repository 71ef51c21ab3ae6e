#include "harness.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "deeppcr/cli/output.hpp"
#include "deeppcr/core/profile.hpp"

namespace deeppcr::bench {
namespace {

/// A sample lasts at least this long, so that the clock and the load of the moment matter little.
constexpr double kSampleSeconds = 0.02;
constexpr double kMostRuns = 10000;
/// So long a run needs no second one to be warm.
constexpr double kLongRun = 1;
/// Slower contenders get no second run.
constexpr double kPatience = 60;

template <typename T>
std::vector<T> chosen(const std::vector<Index>& asked, std::vector<T> otherwise, bool quick) {
  if (!asked.empty()) return {asked.begin(), asked.end()};
  if (quick) otherwise.resize(1);
  return otherwise;
}

}  // namespace

Harness::Harness(const cli::Context& context, Settings settings)
    : context_(context),
      settings_(std::move(settings)),
      solo_(context.comm.first_ranks(1)),
      team_(&context.comm) {}

void Harness::run(const Suite& suite) {
  team_ = suite.ranks == Ranks::one ? &solo_ : &context_.comm;
  if (suite.ranks == Ranks::all || context_.comm.is_root()) suite.run(*this);
  context_.comm.barrier();
  show();
}

/// Seconds of one run, the slowest rank's: the median of the sample's runs, since a single one that
/// another process has interrupted would weigh more than all others. A barrier before each keeps it
/// from starting on ranks that have ended the last one early.
double Harness::sample(const Contender& contender, Index runs) const {
  std::vector<double> seconds{0};
  if (takes_part(contender.ranks)) {
    const parallel::Communicator& comm = first(contender.ranks);
    seconds.resize(static_cast<std::size_t>(runs));
    for (double& taken : seconds) {
      if (contender.ranks > 1) comm.barrier();
      const Stopwatch watch;
      contender.run();
      taken = watch.seconds();
    }
  }
  const auto middle = seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2);
  std::nth_element(seconds.begin(), middle, seconds.end());
  team_->barrier();
  return team_->max(*middle);
}

double Harness::warm_up(const Contender& contender) const {
  const double cold = sample(contender, 1);
  return cold > kLongRun ? cold : sample(contender, 1);
}

Index Harness::runs_in_sample(double seconds) const {
  if (settings_.quick) return 1;
  return static_cast<Index>(std::clamp(std::ceil(kSampleSeconds / seconds), 1.0, kMostRuns));
}

std::vector<Seconds> Harness::race(const std::vector<Contender>& contenders) const {
  std::vector<std::vector<double>> samples(contenders.size());
  std::vector<Index> runs;
  std::vector<bool> slow;
  for (std::size_t c = 0; c < contenders.size(); ++c) {
    const Contender& contender = contenders[c];
    const double seconds = contender.once ? sample(contender, 1) : warm_up(contender);
    slow.push_back(contender.once || seconds > kPatience);
    if (slow.back()) samples[c].push_back(seconds);
    runs.push_back(runs_in_sample(seconds));
  }
  for (int repeat = 0; repeat < settings_.repeats; ++repeat) {
    for (std::size_t c = 0; c < contenders.size(); ++c)
      if (!slow[c]) samples[c].push_back(sample(contenders[c], runs[c]));
  }
  std::vector<Seconds> seconds;
  for (std::vector<double>& its : samples) seconds.push_back(Seconds::of(std::move(its)));
  return seconds;
}

void Harness::add(Row row) {
  if (settings_.quick) row.target.clear();  // nothing was measured that could meet it
  if (row.target.empty() && (row.met == "yes" || row.met == "no")) row.met.clear();
  rows_.push_back(std::move(row));
}

void Harness::show() {
  const std::vector<Row> rows(rows_.begin() + static_cast<std::ptrdiff_t>(shown_), rows_.end());
  shown_ = rows_.size();
  if (rows.empty() || !context_.comm.is_root()) return;
  if (!context_.quiet && !context_.json) cli::print_out(to_table(rows));
  std::fflush(stdout);
  if (on_show_) on_show_();
}

void Harness::note(const std::string& sentence) { notes_.push_back(sentence); }

std::vector<Index> Harness::steps_or(std::vector<Index> otherwise) const {
  return chosen(settings_.steps, settings_.quick ? std::vector<Index>{64} : std::move(otherwise),
                settings_.quick);
}

std::vector<int> Harness::widths_or(std::vector<int> otherwise) const {
  return chosen(settings_.width, std::move(otherwise), settings_.quick);
}

std::vector<Index> Harness::batches_or(std::vector<Index> otherwise) const {
  return chosen(settings_.batch, std::move(otherwise), settings_.quick);
}

}  // namespace deeppcr::bench
