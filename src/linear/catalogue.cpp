#include "deeppcr/linear/catalogue.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "deeppcr/core/machine.hpp"
#include "deeppcr/core/options.hpp"
#include "deeppcr/linear/hybrid.hpp"
#include "linear/pcr.hpp"
#include "linear/scan.hpp"
#include "linear/sequential.hpp"
#include "linear/shooting.hpp"

namespace deeppcr::linear {

namespace {

template <typename Solver>
std::unique_ptr<LinearSolver> make(const Settings&) {
  return std::make_unique<Solver>();
}

std::unique_ptr<LinearSolver> make_shooting(const Settings& settings) {
  return std::make_unique<Shooting>(settings);
}

parallel::BlockLayout equal_layout(Index num_steps, int num_ranks, int, Passes) {
  return parallel::BlockLayout::balanced(num_steps, num_ranks);
}

/// Relative steps of the first, middle and last ranks, and the time they give for one step of the
/// middle ranks.
struct Shares {
  double first = 1, last = 1, time_per_step = 0;
};

/// Time of Newton's iteration on shares a : 1 .. 1 : b. The residual takes all ranks together; then
/// the first rank substitutes while the middle ones eliminate (e a step); then all but the first
/// substitute.
double hybrid_time(double a, double b, double e, int middle) {
  const double evaluate = std::max({a, b, middle > 0 ? 1.0 : 0.0});
  const double before = std::max(a, middle > 0 ? e : 0.0);
  const double after = std::max(b, middle > 0 ? 1.0 : 0.0);
  return evaluate + before + after;
}

parallel::BlockLayout hybrid_layout(Index num_steps, int num_ranks, int width, Passes passes) {
  if (num_ranks < 3) return parallel::BlockLayout::balanced(num_steps, num_ranks);
  const double e = std::max(1.0, (width + 1) * machine().product_flop_ratio(width));
  const int middle = num_ranks - 2;
  Shares best;
  best.time_per_step = std::numeric_limits<double>::infinity();
  constexpr int kGrid = 32;
  for (int i = 0; i <= kGrid; ++i) {
    for (int j = 0; j <= kGrid; ++j) {
      const double a = 1 + (e - 1) * i / kGrid, b = 1 + (e - 1) * j / kGrid;
      double time = hybrid_time(a, b, e, middle);
      if (passes == Passes::forward_and_backward) time += hybrid_time(b, a, e, middle);
      const double per_step = time / (a + b + middle);
      if (per_step < best.time_per_step) best = {a, b, per_step};
    }
  }
  std::vector<double> shares(static_cast<std::size_t>(num_ranks), 1.0);
  shares.front() = best.first;
  shares.back() = best.last;
  return parallel::BlockLayout::by_share(num_steps, shares);
}

}  // namespace

namespace {

Catalogue<CatalogueEntry>& table() {
  static Catalogue<CatalogueEntry> all{
      "linear solver",
      {
          {"sequential", "substitution, rank after rank: the baseline", make<Sequential>,
           equal_layout},
          {"pcr", "parallel cyclic reduction over all steps, the paper's method", make<Pcr>,
           equal_layout},
          {"hybrid", "local elimination, then cyclic reduction over the ranks", make<Hybrid>,
           hybrid_layout},
          {"shooting",
           "all chunks of the chain at once, each step after step, then what passes between them",
           make_shooting, equal_layout},
          {"scan", "composition of diagonals, for Jacobians that have no other entries", make<Scan>,
           equal_layout, blocks::Structure::diagonal},
      }};
  return all;
}

}  // namespace

const std::deque<CatalogueEntry>& catalogue() { return table().entries(); }

void add_to_catalogue(CatalogueEntry entry) { table().add(std::move(entry)); }

const CatalogueEntry& find(const std::string& name) { return table().find(name); }

std::unique_ptr<LinearSolver> make(const std::string& name, Settings settings) {
  if (name != "auto") return find(name).make(settings);
  settings.may_choose = true;
  return find("shooting").make(settings);
}

}  // namespace deeppcr::linear
