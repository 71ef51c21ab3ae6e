#pragma once

#include <optional>

#include "deeppcr/linear/catalogue.hpp"
#include "deeppcr/nonlinear/report.hpp"
#include "deeppcr/sequence/sequence.hpp"
#include "deeppcr/sequence/trajectory.hpp"

namespace deeppcr::nonlinear {

/// What layout, cost and memory of a solve depend on.
struct Problem {
  Index steps = 0;
  Index batch = 1;
  int width = 1;
  int ranks = 1;  ///< that the steps are split over
  linear::Passes passes = linear::Passes::forward;
  int layers = 0;  ///< of Sequence::layers(): 0 where a step is not made so
  /// Bytes of a step's own weights, 0 where all steps share theirs; else those of a layer [n x n]
  /// with a bias.
  std::optional<double> weight_bytes = std::nullopt;

  double own_weight_bytes() const {
    return weight_bytes ? *weight_bytes : sizeof(Real) * width * (width + 1.0);
  }
  /// Bytes of a state of all samples: [B, n].
  Index state_bytes() const { return batch * width * Index{sizeof(Real)}; }
};

/// What a solve took; the chain decides.
struct Effort {
  int iterations = 0;  ///< SolveReport::iterations
  int looks = 0;       ///< SolveReport::looks
};

/// What ranks wait for one after another, besides the levels of a linear solve.
struct Rounds {
  double messages = 0;    ///< of a state, to the next rank
  double scans = 0;       ///< of a judgement over all ranks
  double reductions = 0;  ///< of a few numbers
  /// By machine().network.
  double seconds(const Problem& problem) const;
};

/// Work in a row and messages of a solve, by formula.
struct Cost {
  CriticalPath path;                ///< on the longest way through the ranks
  parallel::Traffic neighbours;     ///< halos and pipelines, all ranks together
  parallel::TrafficByLevel levels;  ///< of the linear solves together, all ranks
  double network = 0;               ///< seconds of messages one after another
};

/// Finds the states of a chain. Ends in the sequential trajectory, to the tolerance, or says that
/// it did not.
class Solver {
 public:
  virtual ~Solver() = default;

  /// Starts from states.states(), leaves the solution there. Numerical failure is a status, not an
  /// exception. May keep what depends on layout and sizes only for the next solve with the same
  /// trajectory. Collective on states.comm().
  virtual SolveReport solve(const sequence::Sequence& chain, sequence::Trajectory& states,
                            const Monitors& monitors = {}) = 0;

  /// The steps of each rank that balance this method's work. Default: equal counts.
  virtual parallel::BlockLayout layout(const Problem& problem) const;
  /// Of a solve that took so much and ends without a fallback.
  virtual Cost cost(const Problem& problem, const Effort& effort) const = 0;
  /// Bytes that the rank with most steps holds besides the trajectory and the parameters; an
  /// estimate from above.
  virtual double memory(const Problem& problem) const = 0;

  /// Reals in its largest message. Default: a state of all samples.
  virtual double largest_message(const Problem& problem) const;
  /// Iterations of a solve at most, for progress; 0: it has none, and no safe point to stop at.
  virtual Index most_iterations(const Problem& problem) const = 0;
  /// Names of the stages in IterationRecord::seconds.
  virtual std::vector<std::string> stages() const { return {}; }
  /// Whether it takes the options of PETSc's SNES, KSP and PC.
  virtual bool is_petsc() const { return false; }
};

}  // namespace deeppcr::nonlinear
