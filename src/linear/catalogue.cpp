#include "deeppcr/linear/catalogue.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "deeppcr/core/machine.hpp"
#include "deeppcr/core/options.hpp"
#include "linear/hybrid.hpp"
#include "linear/pcr.hpp"
#include "linear/scan.hpp"
#include "linear/sequential.hpp"
#include "linear/shooting.hpp"

namespace deeppcr::linear {

namespace {

template <typename Solver>
std::unique_ptr<LinearSolver> make(const Settings& settings) {
  if constexpr (std::is_constructible_v<Solver, Settings>) {
    return std::make_unique<Solver>(settings);
  } else {
    return std::make_unique<Solver>();
  }
}

parallel::BlockLayout equal_layout(Index num_steps, int num_ranks, int, Passes) {
  return parallel::BlockLayout::balanced(num_steps, num_ranks);
}

/// Time of Newton's iteration on shares a : 1 .. 1 : b of the first, middle and last ranks, for one
/// step of a middle one. The residual takes all ranks together; then the first rank substitutes
/// while the middle ones eliminate (e a step); then all but the first substitute.
double hybrid_time(double a, double b, double e) {
  return std::max(a, b) + std::max(a, e) + std::max(b, 1.0);
}

parallel::BlockLayout hybrid_layout(Index num_steps, int num_ranks, int width, Passes passes) {
  if (num_ranks < 3) return parallel::BlockLayout::balanced(num_steps, num_ranks);
  const double e = std::max(1.0, (width + 1) * machine().product_flop_ratio(width));
  std::vector<double> shares(static_cast<std::size_t>(num_ranks), 1.0);
  double best = std::numeric_limits<double>::infinity();
  // The time a step is a ratio of functions that are linear between these shares.
  for (const double a : {1.0, e}) {
    for (const double b : {1.0, e}) {
      double time = hybrid_time(a, b, e);
      if (passes == Passes::forward_and_backward) time += hybrid_time(b, a, e);
      const double per_step = time / (a + b + num_ranks - 2);
      if (per_step >= best) continue;
      best = per_step;
      shares.front() = a;
      shares.back() = b;
    }
  }
  return parallel::BlockLayout::by_share(num_steps, shares);
}

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
           make<Shooting>, equal_layout},
          {"scan", "composition of diagonals, for Jacobians that have no other entries", make<Scan>,
           equal_layout, blocks::Structure::paired_diagonals},
      }};
  return all;
}

}  // namespace

const std::deque<CatalogueEntry>& catalogue() { return table().entries(); }

void add_to_catalogue(CatalogueEntry entry) { table().add(std::move(entry)); }

const CatalogueEntry& find(const std::string& name) { return table().find(name); }

std::vector<std::string> names(blocks::Structure known) {
  std::vector<std::string> all;
  for (const CatalogueEntry& entry : catalogue())
    if (entry.takes(known)) all.push_back(entry.name);
  return all;
}

std::unique_ptr<LinearSolver> make(const std::string& name, Settings settings) {
  if (name != "auto") return find(name).make(settings);
  settings.may_choose = true;
  return find("shooting").make(settings);
}

}  // namespace deeppcr::linear
