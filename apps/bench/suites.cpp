#include "suites.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace deeppcr::bench {

const std::vector<Suite>& suites() {
  static const std::vector<Suite> table{
      {"compose", "local elimination against a bare loop of products, one rank", Ranks::one,
       run_compose},
      {"sequential", "sequential code against loops written by hand, one rank", Ranks::one,
       run_sequential_loops},
      {"cells", "recurrent cells over time, one after another, one rank", Ranks::one, run_cells},
      {"pcr-scaling", "pcr on all ranks against one", Ranks::all, run_pcr_scaling},
      {"hybrid", "one linear solve of hybrid on all ranks against sequential on one", Ranks::all,
       run_hybrid},
      {"petsc", "hybrid and pcr against PETSc's own solvers on the same matrix", Ranks::all,
       run_petsc},
      {"newton", "Newton on all ranks against sequential execution on one", Ranks::all, run_newton},
      {"generate", "diffusion sampling on one and all ranks against sequential sampling",
       Ranks::all, run_generate},
      {"shooting", "shooting, as auto chooses, on all ranks against sequential execution on one",
       Ranks::all, run_shooting},
      {"pipeline", "pipelines on all ranks against sequential execution on one", Ranks::all,
       run_pipeline},
      {"wavefront", "as many stacked cells as ranks, layers on ranks, against sequential on one",
       Ranks::all, run_wavefront},
      {"streams",
       "frames through all ranks, predicting and learning, against a stream on each rank alone",
       Ranks::all, run_streams},
      {"path", "steps in a row for 2 to 4096 chunks: shooting, Newton, sequential", Ranks::one,
       run_path},
      {"memory", "peak memory of hybrid and pcr", Ranks::all, run_memory},
      {"trace", "a solve with its trace against one without", Ranks::all, run_trace},
  };
  return table;
}

double local_difference(Index count, const Real* a, const Real* b) {
  double difference = 0, size = 0;
  for (Index i = 0; i < count; ++i) {
    const double d = std::abs(a[i] - b[i]);
    if (!std::isfinite(d)) return std::numeric_limits<double>::infinity();
    difference = std::max(difference, d);
    size = std::max(size, std::abs(b[i]));
  }
  return size > 0 ? difference / size : difference;
}

}  // namespace deeppcr::bench
