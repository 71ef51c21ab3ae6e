#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "deeppcr/cli/command.hpp"
#include "row.hpp"

namespace deeppcr::bench {

/// What the user asked for.
struct Settings {
  int repeats = 5;
  bool quick = false;                      ///< a smoke test: one short run of the smallest size
  std::vector<Index> steps, width, batch;  ///< empty: each suite's own
  std::vector<std::string> chains;         ///< by name; empty: all
  std::vector<std::string> precisions;     ///< single, double; empty: each suite's own
  std::vector<std::string> methods;        ///< of generate; empty: all
  double most_seconds = 60;                ///< of all runs of one case, where it can be predicted
};

/// Who runs a suite: rank 0, while the others sleep, or all ranks.
enum class Ranks { one, all };

class Harness;

/// One group of rows: a line of the catalogue.
struct Suite {
  const char* name;
  const char* help;
  Ranks ranks;
  void (*run)(Harness&);
};

/// Something to be timed on the first `ranks` ranks.
struct Contender {
  std::string method;
  int ranks = 1;
  std::function<void()> run;  ///< called on those ranks only, collective over them
  bool once = false;          ///< too slow for a median: one run, without a warm-up
};

/// Runs contenders and gathers rows. Calls are collective on the ranks that run the suite.
class Harness {
 public:
  Harness(const cli::Context& context, Settings settings);

  const cli::Context& context() const { return context_; }
  const Settings& settings() const { return settings_; }

  /// Runs a suite and waits, asleep, for its end; shows its rows. Collective on all ranks of the
  /// run.
  void run(const Suite& suite);

  /// The ranks of the suite, or rank 0 alone (other ranks get themselves alone).
  const parallel::Communicator& team() const { return *team_; }
  const parallel::Communicator& solo() const { return solo_; }
  const parallel::Communicator& first(int ranks) const { return ranks == 1 ? solo_ : team(); }
  /// Whether this rank runs contenders with so many ranks.
  bool takes_part(int ranks) const { return team_->rank() < ranks; }

  /// Times the contenders in turn, A B A B ..., after a warm-up of each; the rest of the ranks
  /// sleeps. Short runs are repeated within a sample. One result for each contender; a single run
  /// where it takes more than 60 s or that was asked for.
  std::vector<Seconds> race(const std::vector<Contender>& contenders) const;

  /// Medians of this many runs from here on, if fewer were asked for.
  void at_least(int repeats) {
    if (!settings_.quick) settings_.repeats = std::max(settings_.repeats, repeats);
  }

  void add(Row row);
  /// Prints the rows that were added since the last time, and calls what on_show() was given.
  void show();
  /// Called on rank 0 by show() when there are rows, printed or not: what is measured so far can be
  /// kept, for a bench may be ended from outside.
  void on_show(std::function<void()> call) { on_show_ = std::move(call); }
  /// A sentence for the end of the report.
  void note(const std::string& sentence);
  const std::vector<Row>& rows() const { return rows_; }
  const std::vector<std::string>& notes() const { return notes_; }

  /// The sizes asked for, else these.
  std::vector<Index> steps_or(std::vector<Index> otherwise) const;
  std::vector<int> widths_or(std::vector<int> otherwise) const;
  std::vector<Index> batches_or(std::vector<Index> otherwise) const;

 private:
  double sample(const Contender& contender, Index runs) const;
  /// Runs once, or twice where that is short: which is cold, and tells little.
  double warm_up(const Contender& contender) const;
  Index runs_in_sample(double seconds) const;

  const cli::Context& context_;
  Settings settings_;
  parallel::Communicator solo_;
  const parallel::Communicator* team_;
  std::vector<Row> rows_;
  std::vector<std::string> notes_;
  std::size_t shown_ = 0;
  std::function<void()> on_show_;
};

/// The only table that names the suites.
const std::vector<Suite>& suites();

}  // namespace deeppcr::bench
