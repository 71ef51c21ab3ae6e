// Linear solves on all ranks against one rank: pcr's scaling, hybrid against substitution.
#include "deeppcr/blocks/affine_map.hpp"
#include "linear_case.hpp"
#include "suites.hpp"

namespace deeppcr::bench {
namespace {

constexpr double kPcrSpeedup = 1.2;
/// On two ranks: substitution on one behind the other, at best what sequential takes.
constexpr double kHybridSpeedup = 0.9;

/// One method on all ranks against a baseline on one, forward and transposed.
struct Match {
  const char* suite;
  const char* method;
  const char* baseline;
  double target;
};

/// Time of a flop in the elimination over one in the substitution, on the baseline's own blocks.
double measure_product_weight(const Harness& harness, LinearCase* alone, const LinearSizes& sizes) {
  blocks::AffineMap map(sizes.batch, sizes.width), scratch(sizes.batch, sizes.width);
  Buffer<Real> carry(sizes.batch * sizes.width);
  const StepRange all{0, sizes.steps};
  const State out(carry.data(), {sizes.batch, sizes.width});
  const std::vector<Seconds> seconds = harness.race(
      {{"eliminate", 1,
        [&] {
          blocks::set_identity(map.panel());
          alone->blocks().eliminate(all, Direction::forward, alone->right(), map.panel(),
                                    scratch.panel());
        }},
       {"substitute", 1, [&] {
          alone->blocks().substitute(all, Direction::forward, alone->right(), alone->result(), out);
        }}});
  return seconds[0].median / (seconds[1].median * (sizes.width + 1));
}

void add_direction(Harness& harness, const Match& match, const LinearSizes& sizes, bool forward,
                   double predicted, LinearCase* alone, LinearCase* together) {
  const auto solve = [forward](LinearCase* which) {
    return [which, forward] { forward ? which->solve() : which->solve_transpose(); };
  };
  const int P = harness.team().size();
  const std::vector<Seconds> seconds =
      harness.race({{match.baseline, 1, solve(alone)}, {match.method, P, solve(together)}});
  const char* name = forward ? "solve" : "transposed solve";
  Row row{match.suite, name, match.method, P, sizes.steps, sizes.width, sizes.batch};
  row.seconds = seconds[1];
  row.predicted = predicted;
  row.compare(std::string(match.baseline) + " on 1 rank", seconds[0]);
  row.demand(match.target);
  harness.add(row);
}

/// Each direction with the layout that suits it; the backward one is that of training, where both
/// directions share a layout.
void run_match(Harness& harness, const Match& match, const LinearSizes& sizes) {
  const int P = harness.team().size();
  const auto alone = make_linear_case(harness, 1, match.baseline, sizes);
  const double weight = measure_product_weight(harness, alone.get(), sizes);
  for (const bool forward : {true, false}) {
    const auto passes = forward ? linear::Passes::forward : linear::Passes::forward_and_backward;
    const auto together = make_linear_case(harness, P, match.method, sizes, passes);
    // Both costs in flops of matrix-vector products; rank 0 alone has the baseline.
    const double theirs = alone ? alone->cost(weight).critical_flops : 0;
    const double predicted = harness.team().max(theirs) / together->cost(weight).critical_flops;
    add_direction(harness, match, sizes, forward, predicted, alone.get(), together.get());
  }
}

void run_sizes(Harness& harness, const Match& match, const std::vector<int>& widths,
               const std::vector<Index>& steps) {
  if (harness.team().size() < 2) {
    harness.note(std::string(match.suite) + ": needs two ranks or more, mpirun -n 2 deeppcr-bench");
    return;
  }
  for (const int n : harness.widths_or(widths))
    for (const Index L : harness.steps_or(steps))
      for (const Index B : harness.batches_or({1})) run_match(harness, match, {L, B, n});
}

}  // namespace

void run_pcr_scaling(Harness& harness) {
  run_sizes(harness, {"pcr-scaling", "pcr", "pcr", kPcrSpeedup}, {16}, {8192});
}

void run_hybrid(Harness& harness) {
  run_sizes(harness, {"hybrid", "hybrid", "sequential", kHybridSpeedup}, {2, 4, 8, 16},
            {4096, 16384});
}

}  // namespace deeppcr::bench
