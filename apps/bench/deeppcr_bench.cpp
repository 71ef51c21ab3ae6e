// The benchmarks, as a program of their own: what the library's users need not know.
#include "bench.hpp"
#include "deeppcr/app/program.hpp"

int main(int argc, char** argv) {
  using namespace deeppcr;
  const cli::Command command{"bench",
                             "speed of the solvers against what one would use instead",
                             "",
                             bench::add_options,
                             bench::run,
                             false,
                             "deeppcr-bench"};
  return app::run(command, argc, argv);
}
