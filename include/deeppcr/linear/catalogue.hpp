#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "deeppcr/linear/linear_solver.hpp"

namespace deeppcr::linear {

/// Which passes a layout should suit: the two directions ask for opposite ones.
enum class Passes { forward, forward_and_backward };

/// One solver: what it is called, how it is made, what it takes.
struct CatalogueEntry {
  std::string name;
  std::string help;
  std::function<std::unique_ptr<LinearSolver>(const Settings&)> create;
  /// The steps of each rank that balance this method's work.
  std::function<parallel::BlockLayout(Index num_steps, int num_ranks, int width, Passes passes)>
      layout;
  /// The least that must be known of the Jacobians.
  blocks::Structure structure = blocks::Structure::dense;

  std::unique_ptr<LinearSolver> make(const Settings& settings = {}) const {
    return create(settings);
  }
  bool takes(blocks::Structure wanted) const { return wanted >= structure; }
};

/// All solvers, in the order of the help.
const std::deque<CatalogueEntry>& catalogue();
/// Adds a solver of one's own. @throws Error for a name that is there already
void add_to_catalogue(CatalogueEntry entry);
/// @throws Error that lists the known names
const CatalogueEntry& find(const std::string& name);
/// The names of those that take Jacobians of which so much is known, in the order of the help;
/// by default of all.
std::vector<std::string> names(blocks::Structure known = blocks::Structure::scaled_identity);
/// find(name).make(settings); `auto`: shooting, which may end as the method that is predicted to be
/// fastest.
std::unique_ptr<LinearSolver> make(const std::string& name, Settings settings = {});

}  // namespace deeppcr::linear
