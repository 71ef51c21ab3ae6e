#pragma once

#include <vector>

#include "deeppcr/linear/chunk_facts.hpp"
#include "deeppcr/plan/chunks.hpp"
#include "linear/chunk_walk.hpp"
#include "linear/shooting.hpp"

namespace deeppcr::linear {

/// One walk through a linear chain by shooting.
class ShootingRun {
 public:
  ShootingRun(const blocks::BlockBidiagonal& J, const Settings& settings, Direction direction,
              ConstStates rhs, States result);

  /// How a run ends: with the result, or by another method because that is predicted to be faster
  /// or because this one has not come to it.
  enum class End { right, by_hybrid, by_substitution };
  End solve();

  const SolveOutcome& report() const { return report_; }
  const parallel::Traffic& traffic() const { return traffic_; }

 private:
  const parallel::Communicator& comm() const { return J_.comm(); }
  Index local_size() const { return sweep_.size() * state_; }
  /// For GMRES on the carries x that enter the chunks, [C_local, B, n] in the order of the walk:
  /// y = x - what leaves the chunk before when x enters it and the right-hand side is zero, where x
  /// are the sums of v over all chunks up to each. Those sums, which would be right were all chunks
  /// identities, precondition from the right: the residual is the mismatch at the seams.
  void apply(const Real* v, Real* y);
  bool gmres(const Real* b, double tolerance, int most, Real* v);
  void sum_up(const Real* v, Real* x);
  void push_tangents(Index steps);
  bool first_walk(bool with_tangents);
  plan::ChunkPlan choose();
  double steps_of_hybrid(double step_seconds) const;
  End run(const plan::ChunkPlan& planned);
  bool correct();
  void iterate(const plan::ChunkPlan& planned);
  void solve_for_carries(const plan::ChunkPlan& planned);
  void send(const Real* leaving, Real* entering);
  void collect();
  void judge();
  bool is_first_of_chain(Index k) const { return place_.first + k == 0; }
  bool is_last_of_chain(Index k) const { return place_.first + k + 1 == chunks_.size(); }

  const blocks::BlockBidiagonal& J_;
  const Settings& settings_;
  Direction direction_;
  ConstStates rhs_;
  States result_;
  Chunks chunks_;
  ChunkWalk sweep_;
  Index state_;
  int active_;
  ChunkPlace place_;
  double scale_ = 0;   ///< largest entry of the result
  Buffer<Real> used_;  ///< carry that the chunk behind was walked from, [C_local, B, n]
  Buffer<Real> incoming_;
  int products_ = 0;               ///< of apply()
  std::vector<ChunkFacts> facts_;  ///< of this rank's chunks, in the order of the walk
  bool carries_die_ = false;       ///< expected to have underflowed at the end of each chunk
  Judgement judgement_;
  PathClock clock_;
  parallel::Traffic traffic_;
  SolveOutcome report_;
};

}  // namespace deeppcr::linear
