#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "deeppcr/core/options.hpp"
#include "deeppcr/nonlinear/conclusion.hpp"
#include "deeppcr/nonlinear/solver.hpp"

namespace deeppcr::nonlinear {

/// What every solver takes, whatever it is, and the values of its own options.
struct Settings {
  Tolerance tolerance;
  int max_iterations = -1;  ///< below 0: the solver's own limit
  bool fallback = true;     ///< end by sequential execution where the iterations do not converge
  OptionValues own;         ///< of the entry's options; what is not there has its default
};

/// One line a solver: the only table that names them. `solve`, `gradient`, `train` and `generate`
/// know what stands here.
struct CatalogueEntry {
  std::string name;
  std::string help;
  std::vector<OptionSpec> options;
  bool iterates = true;  ///< whether there are iterations to guess for, to trace and to stop at
  /// The backward pass that suits it, from its options.
  std::function<std::string(const OptionValues&)> backward;
  /// settings.own holds all of `options`.
  std::function<std::unique_ptr<Solver>(const Settings&)> make_with;
  bool stacks_only = false;  ///< takes chains with Sequence::layers() only, and refuses others
  bool in_a_row = false;     ///< one step after another, on each rank in its turn

  /// @throws Error for options that contradict each other
  std::unique_ptr<Solver> make(Settings settings = {}) const;
  /// backward(), "sequential" where it was left out.
  std::string backward_for(const OptionValues& own) const;
};

const std::deque<CatalogueEntry>& catalogue();
/// For a solver from outside, before the program reads its command line. @throws Error for a name
/// that is taken
void add_to_catalogue(CatalogueEntry entry);
/// @throws Error that lists the known names
const CatalogueEntry& find(const std::string& name);

}  // namespace deeppcr::nonlinear
