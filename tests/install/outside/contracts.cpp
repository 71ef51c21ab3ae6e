// The library's contract suites find both entries in the catalogues.
#include "leaky_cell.hpp"
#include "sweeps.hpp"

namespace {

const bool added = [] {
  deeppcr::nonlinear::add_to_catalogue(outside::sweeps_entry());
  deeppcr::models::add_to_catalogue(outside::leaky_cell_entry());
  return true;
}();

}  // namespace
