// hybrid and pcr against PETSc's own solvers on the same block-bidiagonal system.
#include <algorithm>
#include <cmath>

#include "linear_case.hpp"
#include "petsc_reference.hpp"
#include "suites.hpp"

namespace deeppcr::bench {
namespace {

constexpr double kOverKrylov = 6;
constexpr double kOverMumps = 100;
constexpr double kSlow = 60;
/// Largest relative difference to our solution that still counts as the same one: PETSc stops at a
/// residual of 1e-10.
constexpr double kSameSolution = 1e-6;

struct Reference {
  const char* name;
  bool krylov;
  std::vector<std::string> options;
};

std::vector<std::string> gmres(std::vector<std::string> preconditioner) {
  std::vector<std::string> words{"-ksp_type", "gmres", "-ksp_rtol", "1e-10", "-ksp_max_it", "1000"};
  words.insert(words.end(), preconditioner.begin(), preconditioner.end());
  return words;
}

const std::vector<Reference>& references() {
  static const std::vector<Reference> all{
      {"GMRES, bjacobi/SOR", true, gmres({"-pc_type", "bjacobi", "-sub_pc_type", "sor"})},
      {"GMRES, bjacobi/ILU", true, gmres({"-pc_type", "bjacobi", "-sub_pc_type", "ilu"})},
      {"GMRES, bjacobi/LU", true, gmres({"-pc_type", "bjacobi", "-sub_pc_type", "lu"})},
      {"GMRES, ASM", true, gmres({"-pc_type", "asm"})},
      {"MUMPS LU",
       false,
       {"-ksp_type", "preonly", "-pc_type", "lu", "-pc_factor_mat_solver_type", "mumps"}},
  };
  return all;
}

/// What became of one of PETSc's methods.
struct Result {
  PetscReference::Outcome outcome;
  double difference = 0;
  Seconds seconds;
  bool counts() const { return outcome.converged && difference <= kSameSolution; }
};

/// What kind of solve is timed: all from nothing, or new values in a matrix of known structure.
enum class Start { cold, warm };

const char* name_of(Start start) {
  return start == Start::cold ? "set-up and solve" : "new values and solve";
}

Contender contender_of(const Harness& harness, const char* method, LinearCase& problem,
                       Start start) {
  return {method, harness.team().size(),
          [&problem, start] { problem.set_up_and_solve(start == Start::cold); }};
}

Result run_reference(Harness& harness, const Reference& reference, LinearCase& problem,
                     Start start) {
  Result result;
  PetscReference petsc(problem.chain(), reference.options);
  Buffer<Real> d(problem.result().size());
  const States found(d.data(), problem.result().shape());
  const auto run = [&] {
    result.outcome = start == Start::cold ? petsc.solve(problem.right(), found)
                                          : petsc.solve_again(problem.right(), found);
  };
  result.seconds = harness.race({{reference.name, harness.team().size(), run}})[0];
  problem.solve();
  result.difference =
      harness.team().max(local_difference(d.size(), d.data(), problem.result().data()));
  return result;
}

std::string verdict(const Result& result) {
  if (!result.outcome.converged) return "not converged: " + result.outcome.reason;
  if (result.difference > kSameSolution)
    return fmt::format("converged to a solution {:.1e} away", result.difference);
  return result.seconds.median > kSlow ? "over 60 s, one run" : "";
}

/// The fastest of those with or without Krylov method that gave the solution; -1 for none.
int fastest(const std::vector<Result>& results, bool krylov) {
  int best = -1;
  for (int i = 0; i < static_cast<int>(results.size()); ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (references()[at].krylov != krylov || !results[at].counts()) continue;
    if (best < 0 ||
        results[at].seconds.median < results[static_cast<std::size_t>(best)].seconds.median)
      best = i;
  }
  return best;
}

/// Our row against one of theirs, both timed once more in turn; a target of 0 is none.
void add_match(Harness& harness, Row row, const Contender& ours, LinearCase& problem, Start start,
               const Reference& reference, double target) {
  PetscReference petsc(problem.chain(), reference.options);
  Buffer<Real> d(problem.result().size());
  const States found(d.data(), problem.result().shape());
  const auto run = [&] {
    start == Start::cold ? petsc.solve(problem.right(), found)
                         : petsc.solve_again(problem.right(), found);
  };
  const std::vector<Seconds> seconds =
      harness.race({{reference.name, harness.team().size(), run}, ours});
  row.seconds = seconds[1];
  row.compare(reference.name, seconds[0]);
  if (target > 0) row.demand(target);
  harness.add(row);
}

void run_case(Harness& harness, const LinearSizes& sizes, Start start) {
  const int P = harness.team().size();
  constexpr linear::Passes kForward = linear::Passes::forward;
  LinearCase hybrid(harness.team(), "hybrid", sizes, kForward);
  LinearCase pcr(harness.team(), "pcr", sizes, kForward);
  const auto alone = make_linear_case(harness, 1, "sequential", sizes);
  const Seconds substitution = harness.race({{"sequential", 1, [&] { alone->solve(); }}})[0];
  Row row{"petsc", name_of(start), "", P, sizes.steps, sizes.width, sizes.batch};
  std::vector<Result> results;
  for (const Reference& reference : references()) {
    results.push_back(run_reference(harness, reference, hybrid, start));
    const Result& result = results.back();
    row.method = reference.name;
    row.seconds = result.seconds;
    row.iterations = result.outcome.iterations;
    row.compare("sequential on 1 rank", substitution);
    row.met = verdict(result);
    harness.add(row);
  }
  row.iterations = 0;
  row.met.clear();
  for (const bool krylov : {true, false}) {
    const int best = fastest(results, krylov);
    if (best < 0) continue;
    const Reference& reference = references()[static_cast<std::size_t>(best)];
    for (LinearCase* ours : {&hybrid, &pcr}) {
      row.method = ours->solver().name();
      // The targets are for our best way against PETSc's.
      const double target = ours != &hybrid ? 0 : krylov ? kOverKrylov : kOverMumps;
      add_match(harness, row, contender_of(harness, ours->solver().name(), *ours, start), *ours,
                start, reference, target);
    }
  }
}

}  // namespace

void run_petsc(Harness& harness) {
  for (const int n : harness.widths_or({16}))
    for (const Index L : harness.steps_or({16384}))
      for (const Index B : harness.batches_or({1}))
        for (const Start start : {Start::cold, Start::warm}) run_case(harness, {L, B, n}, start);
}

}  // namespace deeppcr::bench
