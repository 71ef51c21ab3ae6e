// The program `deeppcr` with a solver and a model of one's own: `--nonlinear sweeps --model
// leaky-cell`.
#include "deeppcr/app/program.hpp"
#include "leaky_cell.hpp"
#include "sweeps.hpp"

int main(int argc, char** argv) {
  deeppcr::nonlinear::add_to_catalogue(outside::sweeps_entry());
  deeppcr::models::add_to_catalogue(outside::leaky_cell_entry());
  return deeppcr::app::run(argc, argv);
}
