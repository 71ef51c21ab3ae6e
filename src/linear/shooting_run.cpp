#include "linear/shooting_run.hpp"

#include <fmt/format.h>
#include <petscksp.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <type_traits>

#include "deeppcr/parallel/exchange.hpp"
#include "deeppcr/petsc/check.hpp"
#include "deeppcr/petsc/handle.hpp"
#include "linear/hybrid.hpp"

namespace deeppcr::linear {

namespace {

/// A walk merges this far below the tolerance.
constexpr double kMergeBelow = 1e-3;
/// Steps that show whether carries are forgotten.
constexpr Index kProbe = 128;
/// Where it takes longer than so many times what was predicted, another method takes over.
constexpr double kPatience = 2;

struct DestroyLayout {
  void operator()(PetscLayout layout) const { PetscLayoutDestroy(&layout); }
};
using Layout = std::unique_ptr<std::remove_pointer_t<PetscLayout>, DestroyLayout>;

/// So many numbers of each chunk, with its owner. Who has which entries is known: PETSc would ask
/// all ranks, for each object anew.
Layout layout_of(const parallel::Communicator& comm, const Chunks& chunks, Index numbers) {
  std::vector<PetscInt> first;
  for (const Index c : chunks.owners().first_steps())
    first.push_back(static_cast<PetscInt>(c * numbers));
  PetscLayout layout = nullptr;
  DEEPPCR_PETSC(
      PetscLayoutCreateFromRanges(comm.get(), first.data(), PETSC_COPY_VALUES, 1, &layout));
  return Layout(layout);
}

/// A vector of these values, which must outlive it.
petsc::Handle<Vec> vector_of(const parallel::Communicator& comm, const Layout& layout,
                             const Real* values) {
  petsc::Handle<Vec> vector;
  DEEPPCR_PETSC(VecCreate(comm.get(), vector.put()));
  DEEPPCR_PETSC(VecSetLayout(vector.get(), layout.get()));
  DEEPPCR_PETSC(VecSetType(vector.get(), VECSTANDARD));
  DEEPPCR_PETSC(VecPlaceArray(vector.get(), values));
  return vector;
}

/// A rank's first chunk in the order of the walk.
Index first_in_walk(const Chunks& chunks, int rank, Direction direction) {
  const StepRange mine = chunks.of_rank(rank);
  return direction == Direction::forward ? mine.first : chunks.size() - mine.last;
}

}  // namespace

ShootingRun::ShootingRun(const blocks::BlockBidiagonal& J, const Settings& settings,
                         Direction direction, ConstStates rhs, States result)
    : J_(J),
      settings_(settings),
      direction_(direction),
      rhs_(rhs),
      result_(result),
      chunks_(J.layout(), settings.chunks),
      sweep_(J, chunks_, direction),
      state_(J.batch() * J.width()),
      active_(chunks_.owners().num_active_ranks()),
      place_{J.comm(), active_, direction, first_in_walk(chunks_, J.comm().rank(), direction),
             chunks_.size()},
      used_(sweep_.size() * state_),
      incoming_(state_) {
  report_.chunks = chunks_.size();
}

ShootingRun::End ShootingRun::solve() {
  using Method = plan::ChunkPlan::Method;
  // Nothing is walked before it is known that another method will not be preferred.
  push_tangents(kProbe);
  collect();
  const plan::ChunkPlan planned = choose();
  report_.predicted_steps = planned.cost(planned.method);
  if (planned.method == Method::sequential && settings_.may_choose) return End::by_substitution;
  if (planned.method == Method::dense) return End::by_hybrid;
  const End end = run(planned);
  report_.path.evaluations += clock_.steps();
  report_.residual = scale_ > 0 ? judgement_.residual / scale_ : 0;
  if (end == End::right) return end;
  if (report_.reason.empty()) {
    report_.reason = fmt::format("after {} sweeps the seams could still grow to {:.1e} tolerances",
                                 report_.sweeps, judgement_.error);
  }
  return end;
}

/// Merging rounds or GMRES, as planned.
ShootingRun::End ShootingRun::run(const plan::ChunkPlan& planned) {
  using Method = plan::ChunkPlan::Method;
  const bool merges = planned.method == Method::zero;
  if (!first_walk(!carries_die_)) return End::right;
  // What is exactly zero needs no tangent to tell what becomes of it.
  if (carries_die_ && judgement_.residual > 0) {
    push_tangents(J_.layout().num_steps());
    collect();
    judge();
  }
  report_.method = merges ? "shooting+zero" : "shooting+gmres";
  if (judgement_.error > kRightBelow) {
    if (merges) {
      iterate(planned);
    } else {
      solve_for_carries(planned);
    }
  }
  if (judgement_.error <= kRightBelow) return End::right;
  const bool hybrid =
      std::isfinite(scale_) && planned.cost(Method::dense) < planned.cost(Method::sequential);
  return hybrid ? End::by_hybrid : End::by_substitution;
}

/// Random vectors through the first steps of the chunks that may be corrected.
void ShootingRun::push_tangents(Index steps) {
  for (Index k = 0; k < sweep_.size(); ++k)
    if (!is_first_of_chain(k)) sweep_.push_tangents(k, steps);
}

/// All chunks from a carry of zero, and random vectors to their ends where asked for. False when
/// the solution is zero.
bool ShootingRun::first_walk(bool with_tangents) {
  double most = 0;
  for (Index k = 0; k < sweep_.size(); ++k) {
    sweep_.first(k, rhs_, result_);
    most = std::max(most, sweep_[k].scale);
  }
  if (with_tangents) push_tangents(J_.layout().num_steps());
  scale_ = comm().max(most);
  if (scale_ == 0) scale_ = comm().max(largest(result_.size(), result_.data()));
  report_.sweeps = 1;
  report_.method = "shooting+zero";
  if (scale_ == 0) return false;
  std::vector<double> swept;
  for (Index k = 0; k < sweep_.size(); ++k) swept.push_back(static_cast<double>(sweep_[k].swept));
  clock_ = PathClock(std::move(swept));
  collect();
  judge();
  return true;
}

/// By what the tangents of all ranks have shown.
plan::ChunkPlan ShootingRun::choose() {
  plan::ChunkProblem problem = plan_problem(J_.layout(), chunks_, J_.batch(), J_.width(), 1);
  problem.rtol = settings_.rtol;
  problem.linear = true;
  problem.hybrid = steps_of_hybrid(problem.step_seconds);
  problem.may_substitute = settings_.may_choose;
  double shortest = static_cast<double>(problem.steps);
  for (const ChunkFacts& chunk : facts_) shortest = std::min(shortest, chunk.steps);
  parallel::Reduction together;
  const Index negative = together.max(-shortest);
  const plan::Probe seen = probe(place_, facts_, together);
  carries_die_ = -together.maximum(negative) > plan::kUntilZero * seen.forgetting_steps;
  return plan::choose_for_chunks(seen, problem);
}

double ShootingRun::steps_of_hybrid(double step_seconds) const {
  Problem problem{J_.layout(), J_.batch(), J_.width()};
  problem.product_weight = plan::product_weight(J_.batch(), J_.width());
  const Cost hybrid = Hybrid().cost(problem);
  if (hybrid.largest_message > std::numeric_limits<int>::max())
    return std::numeric_limits<double>::infinity();
  return hybrid.critical_flops / problem.flops(1) + hybrid.network / step_seconds;
}

// The carry that leaves the last chunk of a rank's walk enters the first of the next rank's.
void ShootingRun::send(const Real* leaving, Real* entering) {
  parallel::halo(comm(), 0, active_ - 1, direction_, leaving + (sweep_.size() - 1) * state_,
                 incoming_.data(), state_, traffic_);
  if (sweep_.size() == 0) return;
  std::copy_n(leaving, (sweep_.size() - 1) * state_, entering + state_);
  if (is_first_of_chain(0)) {
    std::fill_n(entering, state_, Real{0});
  } else {
    std::copy_n(incoming_.data(), state_, entering);
  }
}

/// Walks the chunks again whose carry has changed. False when there are none anywhere.
bool ShootingRun::correct() {
  const double merge = kMergeBelow * settings_.rtol * scale_;
  Buffer<Real> next(local_size());
  for (Index k = 0; k < sweep_.size(); ++k) sweep_[k].swept = 0;
  if (sweep_.size() > 0) {
    send(sweep_.leaving(0).data(), next.data());
    // Both sides of a boundary see the same numbers, and agree on whether the carry changes.
    for (Index k = 0; k < sweep_.size(); ++k) {
      if (is_last_of_chain(k)) continue;
      Real* used = used_.data() + k * state_;
      const Real* leaves = sweep_.leaving(k).data();
      if (largest_difference(state_, leaves, used) > merge) std::copy_n(leaves, state_, used);
    }
    for (Index k = 0; k < sweep_.size(); ++k) {
      const State enters = sweep_.entering(k);
      const Real* to = next.data() + k * state_;
      if (is_first_of_chain(k) || !(largest_difference(state_, to, enters.data()) > merge))
        continue;
      std::copy_n(to, state_, enters.data());
      sweep_.again(k, rhs_, result_, merge);
    }
  }
  collect();
  clock_.sweep(facts_, false);
  judge();
  ++report_.sweeps;
  return judgement_.moves;
}

void ShootingRun::iterate(const plan::ChunkPlan& planned) {
  const double most = kPatience * planned.cost(plan::ChunkPlan::Method::zero);
  for (Index k = 0; k < chunks_.size(); ++k) {
    if (!correct() || judgement_.error <= kRightBelow || judgement_.hopeless) return;
    if (clock_.steps() > most) return;
  }
}

/// Solves apply(v) = b to |residual|_2 <= tolerance, in `most` vectors; false where it has not come
/// to that. Options: -shooting_ksp_*. Shapes: b, v [C_local, B, n]. Collective.
bool ShootingRun::gmres(const Real* b, double tolerance, int most, Real* v) {
  constexpr PetscInt kRestart = 60;
  const auto multiply = [](Mat mat, Vec x, Vec y) {
    return petsc::guard([&] {
      void* run = nullptr;
      DEEPPCR_PETSC(MatShellGetContext(mat, &run));
      petsc::with_arrays(x, y, [&](const Real* from, Real* to) {
        static_cast<ShootingRun*>(run)->apply(from, to);
      });
    });
  };
  const Layout layout = layout_of(comm(), chunks_, state_);
  const petsc::Handle<Vec> right = vector_of(comm(), layout, b);
  const petsc::Handle<Vec> found = vector_of(comm(), layout, v);
  petsc::Handle<Mat> A;
  petsc::Handle<KSP> handle;
  DEEPPCR_PETSC(MatCreate(comm().get(), A.put()));
  DEEPPCR_PETSC(MatSetLayouts(A.get(), layout.get(), layout.get()));
  DEEPPCR_PETSC(MatSetType(A.get(), MATSHELL));
  DEEPPCR_PETSC(MatShellSetContext(A.get(), this));
  DEEPPCR_PETSC(MatSetUp(A.get()));
  PetscErrorCode (*const callback)(Mat, Vec, Vec) = multiply;
  DEEPPCR_PETSC(
      MatShellSetOperation(A.get(), MATOP_MULT, reinterpret_cast<void (*)(void)>(callback)));
  DEEPPCR_PETSC(KSPCreate(comm().get(), handle.put()));
  KSP ksp = handle.get();
  PC pc = nullptr;
  KSPConvergedReason reason = KSP_CONVERGED_ITERATING;
  DEEPPCR_PETSC(KSPSetOptionsPrefix(ksp, "shooting_"));
  DEEPPCR_PETSC(KSPSetOperators(ksp, A.get(), A.get()));
  DEEPPCR_PETSC(KSPSetType(ksp, KSPGMRES));
  DEEPPCR_PETSC(KSPGMRESSetRestart(ksp, kRestart));
  DEEPPCR_PETSC(KSPGetPC(ksp, &pc));
  DEEPPCR_PETSC(PCSetType(pc, PCNONE));
  DEEPPCR_PETSC(KSPSetTolerances(ksp, 0, tolerance, PETSC_DEFAULT, most));
  DEEPPCR_PETSC(KSPSetFromOptions(ksp));
  DEEPPCR_PETSC(KSPSolve(ksp, right.get(), found.get()));
  DEEPPCR_PETSC(KSPGetConvergedReason(ksp, &reason));
  return reason > 0;
}

/// GMRES for the carries, then one walk from them.
void ShootingRun::solve_for_carries(const plan::ChunkPlan& planned) {
  Buffer<Real> b(local_size()), v(local_size()), x(local_size());
  if (sweep_.size() > 0) send(sweep_.leaving(0).data(), b.data());
  const double tolerance = kRightBelow * settings_.rtol * scale_;
  // More vectors than there are chunks tell nothing new.
  const double vectors = std::clamp(std::ceil(kPatience * planned.identity_sweeps), 1.0,
                                    static_cast<double>(chunks_.size()));
  const bool converged = gmres(b.data(), tolerance, static_cast<int>(vectors), v.data());
  sum_up(v.data(), x.data());
  report_.sweeps += products_;
  report_.path.evaluations += products_ * static_cast<double>(J_.layout().longest());
  if (!converged) {
    report_.reason = fmt::format(
        "GMRES has not converged in {} vectors, of which {:.0f} were predicted to be enough",
        products_, planned.identity_sweeps);
    return;
  }
  ++report_.sweeps;
  for (Index k = 0; k < sweep_.size(); ++k) {
    sweep_[k].swept = 0;
    if (is_first_of_chain(k)) continue;
    std::copy_n(x.data() + k * state_, state_, sweep_.entering(k).data());
    sweep_.again(k, rhs_, result_, 0);
  }
  // What each chunk's neighbour was walked from, for the mismatches.
  parallel::halo(comm(), 0, active_ - 1,
                 direction_ == Direction::forward ? Direction::backward : Direction::forward,
                 x.data(), incoming_.data(), state_, traffic_);
  for (Index k = 0; k < sweep_.size(); ++k)
    std::copy_n(k + 1 < sweep_.size() ? x.data() + (k + 1) * state_ : incoming_.data(), state_,
                used_.data() + k * state_);
  collect();
  clock_.sweep(facts_, true);
  judge();
}

void ShootingRun::apply(const Real* v, Real* y) {
  ++products_;
  Buffer<Real> x(local_size()), leaving(local_size());
  sum_up(v, x.data());
  for (Index k = 0; k < sweep_.size(); ++k)
    if (!is_last_of_chain(k)) sweep_.homogeneous(k, &x[k * state_], &leaving[k * state_]);
  send(leaving.data(), y);
  for (Index i = 0; i < local_size(); ++i) y[i] = x[i] - y[i];
}

void ShootingRun::sum_up(const Real* v, Real* x) {
  const std::array<Index, 3> shape{sweep_.size(), J_.batch(), J_.width()};
  parallel::TrafficByLevel levels;
  sums_before(comm(), active_, direction_, ConstStates(v, shape), States(x, shape), levels);
  for (const parallel::Traffic& level : levels) traffic_ += level;
  for (Index i = 0; i < local_size(); ++i) x[i] += v[i];
}

/// The facts of this rank's chunks.
void ShootingRun::collect() {
  facts_.clear();
  for (Index k = 0; k < sweep_.size(); ++k) {
    const double mismatch =
        is_last_of_chain(k)
            ? 0.0
            : largest_difference(state_, sweep_.leaving(k).data(), used_.data() + k * state_);
    facts_.push_back(facts_of(sweep_[k], mismatch));
    facts_.back().scale = scale_;
  }
}

/// From the facts of all ranks.
void ShootingRun::judge() {
  parallel::Reduction together;
  judgement_ = linear::judge(place_, facts_, settings_.rtol, 0, clock_, together);
}

}  // namespace deeppcr::linear
