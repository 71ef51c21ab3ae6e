#include "nonlinear/newton_snes.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "deeppcr/linear/pc.hpp"
#include "deeppcr/nonlinear/conclusion.hpp"
#include "deeppcr/parallel/exchange.hpp"
#include "deeppcr/petsc/check.hpp"
#include "deeppcr/sequence/propagate.hpp"

namespace deeppcr::nonlinear {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
/// States are frozen when their residual is this much below the tolerance: nothing there is worth
/// correcting.
constexpr double kFreeze = 1e-3;
/// Newton is given up when the residual is this much above the smallest so far, this many
/// iterations in a row.
constexpr double kRise = 1e4;
constexpr int kRisesAllowed = 8;

ConstStates states_of(const PetscScalar* data, const sequence::Trajectory& t) {
  return {data, {t.local_range().size(), t.batch(), t.width()}};
}

PetscErrorCode function_callback(SNES, Vec x, Vec f, void* context) {
  return petsc::guard([&] {
    auto& newton = *static_cast<NewtonSnes*>(context);
    petsc::with_arrays(x, f, [&](const Real* z, Real* F) {
      const ConstStates at = states_of(z, newton.trajectory());
      newton.evaluate(at, States(F, at.shape()));
    });
  });
}

PetscErrorCode jacobian_callback(SNES, Vec x, Mat, Mat, void* context) {
  return petsc::guard([&] { static_cast<NewtonSnes*>(context)->linearise_at(x); });
}

PetscErrorCode convergence_callback(SNES, PetscInt iteration, PetscReal, PetscReal, PetscReal,
                                    SNESConvergedReason* reason, void* context) {
  return petsc::guard(
      [&] { *reason = static_cast<NewtonSnes*>(context)->judge(static_cast<int>(iteration)); });
}

}  // namespace

std::vector<std::string> NewtonSnes::stages() {
  return {"residual", "eliminate", "reduce", "substitute", "linear"};
}

void NewtonSnes::create_for(const sequence::Sequence& chain, sequence::Trajectory& trajectory) {
  // By the Vec, held here, and not by the address: another trajectory may come to lie where one was
  // before.
  const bool same = snes_ && states_.get() == trajectory.vec() && chain_ == &chain;
  chain_ = &chain;
  trajectory_ = &trajectory;
  if (same) return;
  DEEPPCR_PETSC(PetscObjectReference(reinterpret_cast<PetscObject>(trajectory.vec())));
  states_ = petsc::Handle<Vec>(trajectory.vec());
  assembled_ = {};
  linear::register_pc();
  linearisation_.reset();
  known_ = -1;
  evaluated_.reset(trajectory.states().size() + trajectory.input().size());
  J_ = std::make_unique<blocks::BlockBidiagonal>(comm(), trajectory.layout(), trajectory.batch(),
                                                 trajectory.width());
  DEEPPCR_PETSC(VecDuplicate(trajectory.vec(), residual_.put()));
  DEEPPCR_PETSC(SNESCreate(comm().get(), snes_.put()));
  SNES snes = snes_.get();
  SNESLineSearch search = nullptr;
  DEEPPCR_PETSC(SNESSetFunction(snes, residual_.get(), function_callback, this));
  DEEPPCR_PETSC(SNESSetJacobian(snes, J_->mat(), J_->mat(), jacobian_callback, this));
  DEEPPCR_PETSC(SNESSetTolerances(snes, 0, 0, 0, options_.max_iterations, PETSC_MAX_INT));
  DEEPPCR_PETSC(SNESSetType(snes, SNESNEWTONLS));
  DEEPPCR_PETSC(SNESGetLineSearch(snes, &search));
  DEEPPCR_PETSC(SNESLineSearchSetType(search, SNESLINESEARCHBASIC));
  const Inner inner = inner_solver();
  DEEPPCR_PETSC(KSPSetType(inner.ksp, KSPPREONLY));
  DEEPPCR_PETSC(PCSetType(inner.pc, "deeppcr"));
  linear::set_method(inner.pc, options_.linear);
  DEEPPCR_PETSC(SNESSetFromOptions(snes));
  DEEPPCR_PETSC(SNESSetConvergenceTest(snes, convergence_callback, this, nullptr));
  assemble_if_asked();
}

NewtonSnes::Inner NewtonSnes::inner_solver() const {
  Inner inner;
  DEEPPCR_PETSC(SNESGetKSP(snes_.get(), &inner.ksp));
  DEEPPCR_PETSC(KSPGetPC(inner.ksp, &inner.pc));
  return inner;
}

/// PETSc's own preconditioners (LU, GMRES with block Jacobi, ...) need the entries.
void NewtonSnes::assemble_if_asked() {
  PCType type = nullptr;
  DEEPPCR_PETSC(PCGetType(inner_solver().pc, &type));
  const std::string name = type == nullptr ? "" : type;
  if (name == "deeppcr" || name == PCNONE) return;
  linearise_at(trajectory_->vec());
  assembled_ = J_->assemble();
  DEEPPCR_PETSC(SNESSetJacobian(snes_.get(), J_->mat(), assembled_.get(), jacobian_callback, this));
}

/// F_l = z_l - f_l(z_{l-1}). Collective; one message of B n reals to the right.
void NewtonSnes::evaluate(ConstStates z, States F) {
  const StageTimer timer(stages_, "residual");
  known_ = -1;
  const StepRange local = trajectory_->local_range();
  const ConstState z0 = trajectory_->input();
  const Index state = z0.size();
  parallel::halo(comm(), trajectory_->layout(), z.data(), evaluated_.data(), state, neighbours_);
  if (local.contains(0)) std::copy(z0.begin(), z0.end(), evaluated_.data());
  std::copy(z.begin(), z.end(), evaluated_.data() + state);
  linearisation_.reset();
  linearisation_ = chain_->linearise(local, {evaluated_.data(), z.shape()}, F);
  for (Index i = 0; i < F.size(); ++i) F.data()[i] = z.data()[i] - F.data()[i];
}

bool NewtonSnes::is_linearised_at(ConstStates z) const {
  const Real* evaluated = evaluated_.data() + trajectory_->input().size();
  return linearisation_ && std::equal(z.begin(), z.end(), evaluated);
}

/// The line search ends at the states that it has evaluated last, which judge() finds out; other
/// SNES types may not.
void NewtonSnes::evaluate_unless_linearised_at(Vec x) {
  if (x == trajectory_->vec() && petsc::changes_of(reinterpret_cast<PetscObject>(x)) == known_)
    return;
  const PetscScalar* values = nullptr;
  DEEPPCR_PETSC(VecGetArrayRead(x, &values));
  const ConstStates z = states_of(values, *trajectory_);
  if (comm().any(!is_linearised_at(z))) {
    Buffer<Real> F(z.size());
    evaluate(z, States(F.data(), z.shape()));
  }
  DEEPPCR_PETSC(VecRestoreArrayRead(x, &values));
}

/// The operator keeps its Jacobians until it is given new ones: SNES may evaluate elsewhere, or lag
/// the Jacobian.
void NewtonSnes::linearise_at(Vec x) {
  evaluate_unless_linearised_at(x);
  J_->set_linearisation(linearisation_.get());
  jacobian_ = linearisation_;
  if (assembled_) assembled_ = J_->assemble(std::move(assembled_));
}

/// With what else is in `together` in one reduction. Finds out too whether the states are
/// linearised at on all ranks.
NewtonSnes::Norms NewtonSnes::norms(ConstStates F, ConstStates z, parallel::Reduction& together) {
  const std::vector<double> residuals = sequence::step_norms(F);
  const std::vector<double> allowed = limits(comm(), options_.tolerance, trajectory_->input(), z);
  Norms found;
  Index exact = 0, identical = 0;
  for (std::size_t i = 0; i < allowed.size(); ++i) {
    const double limit = allowed[i];
    const double excess = residuals[i] == 0 ? 0.0 : residuals[i] / limit;
    found.residual = std::max(found.residual, residuals[i]);
    found.excess = std::isfinite(limit) ? std::max(found.excess, excess) : kInfinity;
    found.tolerance = limit;
    if (exact == static_cast<Index>(i) && std::isfinite(limit) && excess <= kFreeze) ++exact;
    if (identical == static_cast<Index>(i) && residuals[i] == 0) ++identical;
  }
  if (allowed.empty())
    found.tolerance = options_.tolerance.limit(sequence::largest_entry(trajectory_->input()));
  // Leading steps are minima: of what is left, negated.
  const StepRange range = trajectory_->local_range();
  const Index L = trajectory_->layout().num_steps();
  const auto leading = [&](Index here) {
    return -static_cast<double>(here < range.size() ? range.first + here : L);
  };
  const Index residual = together.max(found.residual), excess = together.max(found.excess),
              tolerance = together.max(found.tolerance), frozen = together.max(leading(exact)),
              same = together.max(leading(identical)),
              elsewhere = together.max(is_linearised_at(z) ? 0 : 1);
  together.run(comm());
  if (together.maximum(elsewhere) == 0)
    known_ = petsc::changes_of(reinterpret_cast<PetscObject>(trajectory_->vec()));
  return {together.maximum(residual), together.maximum(excess), together.maximum(tolerance),
          static_cast<Index>(-together.maximum(frozen)),
          static_cast<Index>(-together.maximum(same))};
}

/// Of this rank: max ||d||_inf of the last step.
double NewtonSnes::step_norm() const {
  Vec step = nullptr;
  const PetscScalar* values = nullptr;
  DEEPPCR_PETSC(SNESGetSolutionUpdate(snes_.get(), &step));
  DEEPPCR_PETSC(VecGetArrayRead(step, &values));
  const double norm = sequence::largest_entry(
      {values, {trajectory_->local_range().size(), trajectory_->input().size()}});
  DEEPPCR_PETSC(VecRestoreArrayRead(step, &values));
  return norm;
}

SNESConvergedReason NewtonSnes::judge(int iteration) {
  Vec f = nullptr;
  DEEPPCR_PETSC(SNESGetFunction(snes_.get(), &f, nullptr, nullptr));
  const PetscScalar* F = nullptr;
  DEEPPCR_PETSC(VecGetArrayRead(f, &F));
  const ConstStates residual = states_of(F, *trajectory_);
  report_.iterations = iteration;
  parallel::TrafficByLevel sent;
  const int ksp_iterations = account(iteration, sent);
  parallel::Reduction together;
  if (recording_->wanted())
    recording_->join(together, iteration > 0 ? step_norm() : 0, current_stages(), sent);
  last_ = norms(residual, trajectory_->states(), together);  // SNES works on them
  J_->set_frozen(last_.frozen);
  recording_->iteration({iteration, last_.residual, 0, last_.frozen, ksp_iterations}, together,
                        trajectory_->states().data());
  const bool settled = last_.excess <= 1 && is_settled(residual);
  DEEPPCR_PETSC(VecRestoreArrayRead(f, &F));
  if (settled) return SNES_CONVERGED_FNORM_ABS;
  if (recording_->stopped()) return SNES_CONVERGED_ITS;
  if (!std::isfinite(last_.residual)) return SNES_DIVERGED_FNORM_NAN;
  if (rises()) return SNES_DIVERGED_DTOL;
  return SNES_CONVERGED_ITERATING;
}

/// Whether to end at a residual within the tolerance. Where the chain expands, such a residual is a
/// larger error further on: Newton goes on until the residual makes up for the growth, or until
/// that no longer falls.
bool NewtonSnes::is_settled(ConstStates residual) {
  evaluate_unless_linearised_at(trajectory_->vec());
  const StageTimer timer(stages_, "residual");
  found_ = assess(*trajectory_, residual, *linearisation_, options_.tolerance, neighbours_);
  ++report_.looks;
  report_.lyapunov = found_.lyapunov;
  report_.growth = found_.growth;
  const bool falls = found_.error < 0.5 * error_before_;
  error_before_ = found_.error;
  return found_.right() || !falls;
}

bool NewtonSnes::rises() {
  rises_ = last_.residual > kRise * best_residual_ ? rises_ + 1 : 0;
  best_residual_ = std::min(best_residual_, last_.residual);
  return rises_ > kRisesAllowed;
}

/// Own stages and those of the linear solver, since this solve began.
StageTimes NewtonSnes::current_stages() const {
  StageTimes now = stages_;
  const linear::LinearSolver* solver = linear::solver_of(inner_solver().pc);
  if (solver == nullptr) return now;
  for (const auto& [stage, seconds] : solver->stages().all()) {
    now.add(stage, seconds - solver_before_.get(stage));
    now.add("linear", seconds - solver_before_.get(stage));
  }
  return now;
}

/// Adds up what the last linear solve has sent and worked; its KSP iterations.
int NewtonSnes::account(int iteration, parallel::TrafficByLevel& sent) {
  if (iteration == 0) return 0;
  const Inner inner = inner_solver();
  const linear::LinearSolver* solver = linear::solver_of(inner.pc);
  if (solver != nullptr) {
    sent = solver->level_traffic();
    accumulate(sent, levels_);
    neighbours_ += solver->neighbour_traffic();
  }
  PetscInt ksp_iterations = 0;
  DEEPPCR_PETSC(KSPGetIterationNumber(inner.ksp, &ksp_iterations));
  add_path(solver, ksp_iterations);
  return static_cast<int>(ksp_iterations);
}

/// The work in a row of one linear solve: by our solver, or a product with the operator for each
/// iteration of PETSc's.
void NewtonSnes::add_path(const linear::LinearSolver* solver, PetscInt ksp_iterations) {
  const parallel::BlockLayout& layout = trajectory_->layout();
  CriticalPath path{static_cast<double>(ksp_iterations) * static_cast<double>(layout.longest()), 0};
  if (solver != nullptr) path = solver->report(layout).path;
  report_.path.evaluations += path.evaluations;
  report_.path.products += path.products;
}

SolveReport NewtonSnes::solve(const sequence::Sequence& chain, sequence::Trajectory& trajectory,
                              const Monitors& monitors) {
  recording_.emplace(trajectory.comm(), monitors, stages());
  report_ = {};
  stages_ = {};
  levels_.clear();
  neighbours_ = {};
  best_residual_ = error_before_ = kInfinity;
  rises_ = 0;
  last_ = {kInfinity, kInfinity, 0, 0, 0};
  found_ = {};
  create_for(chain, trajectory);
  J_->set_frozen(0);
  const linear::LinearSolver* solver = linear::solver_of(inner_solver().pc);
  solver_before_ = solver != nullptr ? solver->stages() : StageTimes();
  SNESConvergedReason reason = SNES_CONVERGED_ITERATING;
  DEEPPCR_PETSC(SNESSolve(snes_.get(), nullptr, trajectory.vec()));
  DEEPPCR_PETSC(SNESGetConvergedReason(snes_.get(), &reason));
  trajectory.touched();
  recording_->end(trajectory.states().data());
  report_.method = "newton";
  report_.linear = linear_name();
  report_.residual = last_.residual;
  report_.tolerance = last_.tolerance;
  report_.frozen_prefix = last_.frozen;
  neighbours_ +=
      conclude({recording_->stopped(), why_not_right(reason), last_.identical, options_.fallback},
               options_.tolerance, chain, trajectory, report_);
  recording_->add_up(current_stages(), levels_, neighbours_, report_);
  return std::move(report_);
}

std::string NewtonSnes::linear_name() const {
  const Inner inner = inner_solver();
  KSPType krylov = nullptr;
  PCType preconditioner = nullptr;
  const linear::LinearSolver* ours = linear::solver_of(inner.pc);
  if (ours != nullptr) return ours->name();
  DEEPPCR_PETSC(KSPGetType(inner.ksp, &krylov));
  DEEPPCR_PETSC(PCGetType(inner.pc, &preconditioner));
  const std::string type = preconditioner == nullptr ? "none" : preconditioner;
  return type == "deeppcr" ? options_.linear : fmt::format("{}+{}", krylov, type);
}

/// Empty when the states are right to the tolerance.
std::string NewtonSnes::why_not_right(SNESConvergedReason reason) const {
  if (reason == SNES_CONVERGED_FNORM_ABS)
    return found_.right() ? "" : why_growth(report_, found_.error);
  if (reason == SNES_DIVERGED_FNORM_NAN)
    return why_not_finite(fmt::format("Newton iteration {}", report_.iterations));
  if (reason == SNES_DIVERGED_DTOL)
    return fmt::format("Newton's residual kept rising (to {:.1e})", last_.residual);
  if (reason == SNES_DIVERGED_MAX_IT)
    return fmt::format("not converged in {} Newton iterations", report_.iterations);
  return fmt::format("PETSc's SNES stopped: {}", SNESConvergedReasons[reason]);
}

}  // namespace deeppcr::nonlinear
