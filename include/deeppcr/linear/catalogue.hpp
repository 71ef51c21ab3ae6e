#pragma once

#include <memory>
#include <string>
#include <vector>

#include "deeppcr/linear/linear_solver.hpp"

namespace deeppcr::linear {

/// Which passes a layout should suit: the two directions ask for opposite ones.
enum class Passes { forward, forward_and_backward };

/// One line a solver: the only table that names them.
struct CatalogueEntry {
  const char* name;
  const char* help;
  std::unique_ptr<LinearSolver> (*make)();
  /// The steps of each rank that balance this method's work.
  parallel::BlockLayout (*layout)(Index num_steps, int num_ranks, int width, Passes passes);
};

const std::vector<CatalogueEntry>& catalogue();
/// @throws Error that lists the known names
const CatalogueEntry& find(const std::string& name);

}  // namespace deeppcr::linear
