#include "newton_snes.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "deeppcr/linear/catalogue.hpp"
#include "deeppcr/linear/pc.hpp"
#include "deeppcr/nonlinear/collect.hpp"
#include "deeppcr/nonlinear/lyapunov.hpp"
#include "deeppcr/petsc/callback.hpp"
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

const std::vector<std::string> kStages{"residual", "eliminate", "reduce", "substitute", "linear"};

ConstStates states_of(const PetscScalar* data, const sequence::Trajectory& t) {
  return {data, {t.local_range().size(), t.batch(), t.width()}};
}

PetscErrorCode function_callback(SNES, Vec x, Vec f, void* context) {
  return petsc::guard([&] {
    auto& newton = *static_cast<NewtonSnes*>(context);
    const PetscScalar* z = nullptr;
    PetscScalar* F = nullptr;
    DEEPPCR_PETSC(VecGetArrayRead(x, &z));
    DEEPPCR_PETSC(VecGetArrayWrite(f, &F));
    const ConstStates at = states_of(z, newton.trajectory());
    newton.evaluate(at, States(F, at.shape()));
    DEEPPCR_PETSC(VecRestoreArrayWrite(f, &F));
    DEEPPCR_PETSC(VecRestoreArrayRead(x, &z));
  });
}

PetscErrorCode jacobian_callback(SNES, Vec x, Mat, Mat, void* context) {
  return petsc::guard([&] {
    auto& newton = *static_cast<NewtonSnes*>(context);
    const PetscScalar* z = nullptr;
    DEEPPCR_PETSC(VecGetArrayRead(x, &z));
    newton.linearise_at(states_of(z, newton.trajectory()));
    DEEPPCR_PETSC(VecRestoreArrayRead(x, &z));
  });
}

PetscErrorCode convergence_callback(SNES, PetscInt iteration, PetscReal, PetscReal, PetscReal,
                                    SNESConvergedReason* reason, void* context) {
  return petsc::guard(
      [&] { *reason = static_cast<NewtonSnes*>(context)->judge(static_cast<int>(iteration)); });
}

}  // namespace

void NewtonSnes::create_for(sequence::Trajectory& trajectory) {
  // By the Vec, held here, and not by the address: another trajectory may come to lie where one was
  // before.
  const bool same = snes_ && states_.get() == trajectory.vec();
  trajectory_ = &trajectory;
  if (same) return;
  DEEPPCR_PETSC(PetscObjectReference(reinterpret_cast<PetscObject>(trajectory.vec())));
  states_ = petsc::Handle<Vec>(trajectory.vec());
  assembled_ = {};
  linear::register_pc();
  evaluator_ = std::make_unique<sequence::ResidualEvaluator>(comm_, sequence_, trajectory.layout(),
                                                             trajectory.batch());
  J_ = std::make_unique<blocks::BlockBidiagonal>(comm_, trajectory.layout(), trajectory.batch(),
                                                 trajectory.width());
  DEEPPCR_PETSC(VecDuplicate(trajectory.vec(), residual_.put()));
  DEEPPCR_PETSC(SNESCreate(comm_.get(), snes_.put()));
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
  linearise_at(trajectory_->states());
  assembled_ = J_->assemble();
  DEEPPCR_PETSC(SNESSetJacobian(snes_.get(), J_->mat(), assembled_.get(), jacobian_callback, this));
}

void NewtonSnes::evaluate(ConstStates z, States F) {
  const StageTimer timer(stages_, "residual");
  evaluator_->evaluate(trajectory_->input(), z, F, true);
  for (Real& value : F) value = -value;  // F = z - f, the residual with the other sign
}

void NewtonSnes::linearise_at(ConstStates z) {
  // The line search ends at the states that it has evaluated last; other SNES types may not.
  if (!evaluator_->is_linearised_at(z)) {
    Buffer<Real> F(z.size());
    evaluate(z, States(F.data(), z.shape()));
  }
  // The operator keeps its Jacobians until it is given new ones: SNES may evaluate elsewhere, or
  // lag the Jacobian.
  const auto linearisation = evaluator_->share_linearisation();
  J_->set_linearisation(linearisation.get());
  linearisation_ = linearisation;
  if (assembled_) assembled_ = J_->assemble(std::move(assembled_));
}

NewtonSnes::Norms NewtonSnes::norms(ConstStates F, ConstStates z) const {
  const std::vector<double> residuals = sequence::step_norms(F);
  const std::vector<double> sizes = sequence::step_norms(z);
  const ConstState z0 = trajectory_->input();
  double input = 0, local = 0;
  for (double value : z0) input = std::max(input, std::abs(value));
  for (double size : sizes) local = std::max(local, size);
  // Each step is held against the largest state up to it: a tail that has blown up must not excuse
  // wrong states before.
  double largest = comm_.max_before(local, input);
  Norms found;
  Index exact = 0, identical = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    largest = std::max(largest, sizes[i]);
    const double limit = options_.atol + options_.rtol * largest;
    const double excess = residuals[i] == 0 ? 0.0 : residuals[i] / limit;
    found.residual = std::max(found.residual, residuals[i]);
    found.excess = std::isfinite(limit) ? std::max(found.excess, excess) : kInfinity;
    if (exact == static_cast<Index>(i) && std::isfinite(limit) && excess <= kFreeze) ++exact;
    if (identical == static_cast<Index>(i) && residuals[i] == 0) ++identical;
  }
  std::vector<double> worst{found.residual, found.excess, std::max(local, input)};
  comm_.max(worst);
  const StepRange range = trajectory_->local_range();
  const Index L = trajectory_->layout().num_steps();
  const auto leading = [&](Index here) {
    return comm_.min(here < range.size() ? range.first + here : L);
  };
  found = {worst[0], worst[1], options_.atol + options_.rtol * worst[2], leading(exact),
           leading(identical)};
  return found;
}

SNESConvergedReason NewtonSnes::judge(int iteration) {
  Vec x = nullptr, f = nullptr, step = nullptr;
  DEEPPCR_PETSC(SNESGetSolution(snes_.get(), &x));
  DEEPPCR_PETSC(SNESGetFunction(snes_.get(), &f, nullptr, nullptr));
  const PetscScalar *z = nullptr, *F = nullptr;
  DEEPPCR_PETSC(VecGetArrayRead(x, &z));
  DEEPPCR_PETSC(VecGetArrayRead(f, &F));
  last_ = norms(states_of(F, *trajectory_), states_of(z, *trajectory_));
  DEEPPCR_PETSC(VecRestoreArrayRead(f, &F));
  DEEPPCR_PETSC(VecRestoreArrayRead(x, &z));
  J_->set_frozen(last_.frozen);
  PetscReal step_norm = 0;
  if (iteration > 0) {
    DEEPPCR_PETSC(SNESGetSolutionUpdate(snes_.get(), &step));
    DEEPPCR_PETSC(VecNorm(step, NORM_INFINITY, &step_norm));
  }
  report_.iterations = iteration;
  record(iteration, step_norm);
  if (last_.excess <= 1 && is_settled()) return SNES_CONVERGED_FNORM_ABS;
  if (interrupted_) return SNES_CONVERGED_ITS;
  if (!std::isfinite(last_.residual)) return SNES_DIVERGED_FNORM_NAN;
  if (hopeless()) return SNES_DIVERGED_DTOL;
  return SNES_CONVERGED_ITERATING;
}

/// Whether to end at a residual within the tolerance. Where the chain expands, a residual at the
/// tolerance is a larger error further on: Newton goes on until the residual makes up for the
/// growth, or until it no longer falls.
bool NewtonSnes::is_settled() {
  report_.lyapunov = lyapunov();
  const bool falls = last_.excess < 0.5 * excess_before_;
  excess_before_ = last_.excess;
  return is_trustworthy() || !falls;
}

bool NewtonSnes::is_trustworthy() const {
  constexpr double kAllowed = 10;  // error at the end of the chain, in tolerances
  const auto steps = static_cast<double>(trajectory_->layout().num_steps() - last_.identical);
  return last_.excess * std::exp(std::max(0.0, report_.lyapunov * steps)) <= kAllowed;
}

bool NewtonSnes::hopeless() {
  rises_ = last_.residual > kRise * best_residual_ ? rises_ + 1 : 0;
  best_residual_ = std::min(best_residual_, last_.residual);
  return rises_ > kRisesAllowed;
}

/// Own stages and those of the linear solver, since both were made.
StageTimes NewtonSnes::current_stages() const {
  StageTimes now = stages_;
  const linear::LinearSolver* solver = linear::solver_of(inner_solver().pc);
  if (solver == nullptr) return now;
  for (const auto& [stage, seconds] : solver->stages().all()) {
    now.add(stage, seconds);
    now.add("linear", seconds);
  }
  return now;
}

void NewtonSnes::record(int iteration, double step_norm) {
  const Inner inner = inner_solver();
  PetscInt ksp_iterations = 0;
  if (iteration > 0) DEEPPCR_PETSC(KSPGetIterationNumber(inner.ksp, &ksp_iterations));
  IterationRecord entry;
  entry.iteration = iteration;
  entry.residual = last_.residual;
  entry.step_norm = step_norm;
  entry.frozen_prefix = last_.frozen;
  entry.ksp_iterations = static_cast<int>(ksp_iterations);
  const linear::LinearSolver* solver = linear::solver_of(inner.pc);
  if (solver != nullptr && iteration > 0) add_traffic(*solver, entry);
  const StageTimes now = current_stages();
  StageTimes since;
  for (const std::string& stage : kStages)
    since.add(stage, now.get(stage) - stages_before_.get(stage));
  stages_before_ = now;
  entry.seconds = slowest(comm_, since, kStages);
  entry.seconds_min = fastest(comm_, since, kStages);
  for (const auto& [stage, seconds] : entry.seconds) report_.seconds[stage] += seconds;
  if (monitor_ == nullptr) return;
  interrupted_ = monitor_->iteration(entry, trajectory_->states().data()) == Monitor::Action::stop;
}

void NewtonSnes::add_traffic(const linear::LinearSolver& solver, IterationRecord& entry) {
  entry.levels = total_traffic(comm_, solver.level_traffic());
  if (report_.levels.size() < entry.levels.size()) report_.levels.resize(entry.levels.size());
  for (std::size_t k = 0; k < entry.levels.size(); ++k) report_.levels[k] += entry.levels[k];
  report_.neighbours += total_traffic(comm_, solver.neighbour_traffic());
}

SolveReport NewtonSnes::solve(sequence::Trajectory& trajectory, Monitor* monitor) {
  const Stopwatch watch;
  monitor_ = monitor;
  report_ = {};
  stages_ = stages_before_ = {};
  best_residual_ = kInfinity;
  excess_before_ = kInfinity;
  rises_ = 0;
  interrupted_ = false;
  last_ = {kInfinity, kInfinity, 0, 0, 0};
  create_for(trajectory);
  J_->set_frozen(0);
  const parallel::Traffic halos_before = evaluator_->traffic();
  stages_before_ = current_stages();
  SNESConvergedReason reason = SNES_CONVERGED_ITERATING;
  DEEPPCR_PETSC(SNESSolve(snes_.get(), nullptr, trajectory.vec()));
  DEEPPCR_PETSC(SNESGetConvergedReason(snes_.get(), &reason));
  trajectory.touched();
  if (monitor_ != nullptr && !interrupted_) {
    interrupted_ = monitor_->iterations_end(trajectory.states().data()) == Monitor::Action::stop;
  }
  report_.method = "newton";
  report_.linear = linear_name();
  report_.path = newton_path(report_.linear, trajectory.layout(), report_.iterations);
  finish(reason);
  const parallel::Traffic halos = evaluator_->traffic();
  report_.neighbours += total_traffic(
      comm_, {halos.messages - halos_before.messages, halos.bytes - halos_before.bytes});
  report_.seconds["total"] = comm_.max(watch.seconds());
  return report_;
}

void NewtonSnes::finish(SNESConvergedReason reason) {
  if (reason != SNES_CONVERGED_FNORM_ABS) report_.lyapunov = lyapunov();
  report_.status = Status::converged;
  if (interrupted_) {
    report_.status = Status::interrupted;
    report_.reason = "stopped on request";
  } else {
    report_.reason = why_not_right(reason);
    if (!report_.reason.empty()) {
      report_.status = Status::failed;
      if (options_.fallback) fall_back();
    }
  }
  report_.residual = last_.residual;
  report_.tolerance = last_.tolerance;
  report_.frozen_prefix = last_.frozen;
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

double NewtonSnes::lyapunov() const {
  return estimate_lyapunov(comm_, evaluator_->linearisation(), trajectory_->local_range(),
                           trajectory_->batch(), trajectory_->width());
}

/// Empty when the states are right to the tolerance.
std::string NewtonSnes::why_not_right(SNESConvergedReason reason) const {
  if (reason == SNES_CONVERGED_FNORM_ABS) {
    if (is_trustworthy()) return "";
    return fmt::format(
        "the residual is at the tolerance, but the chain expands (Lyapunov exponent {:+.2g}), so "
        "the states "
        "may not be",
        report_.lyapunov);
  }
  if (reason == SNES_DIVERGED_FNORM_NAN) {
    return fmt::format("the states became infinite or NaN after Newton iteration {}",
                       report_.iterations);
  }
  if (reason == SNES_DIVERGED_DTOL)
    return fmt::format("Newton's residual kept rising (to {:.1e})", last_.residual);
  if (reason == SNES_DIVERGED_MAX_IT)
    return fmt::format("not converged in {} Newton iterations", report_.iterations);
  return fmt::format("PETSc's SNES stopped: {}", SNESConvergedReasons[reason]);
}

/// Sequential substitution behind the states that are identical to sequential ones: always ends,
/// and is right wherever the numbers are finite. States that are merely close will not do: what is
/// behind them may expand.
void NewtonSnes::fall_back() {
  const Stopwatch watch;
  const Index from = last_.identical;
  sequence::propagate(sequence_, *trajectory_, from, &report_.neighbours);
  Buffer<Real> F(trajectory_->states().size());
  const States residual(F.data(), trajectory_->states().shape());
  evaluate(trajectory_->states(), residual);
  last_ = norms(residual, trajectory_->states());
  report_.lyapunov = lyapunov();
  report_.seconds["fallback"] = comm_.max(watch.seconds());
  report_.path.evaluations += static_cast<double>(trajectory_->layout().num_steps() - from);
  const bool finite = std::isfinite(last_.residual) && std::isfinite(last_.tolerance);
  report_.status = last_.excess <= 1 ? Status::fell_back : Status::failed;
  if (report_.status == Status::fell_back) {
    report_.reason += fmt::format("; sequential substitution from step {} on", from);
  } else if (finite) {
    report_.reason += "; the steps one by one and all at once differ by more than the tolerance";
  } else {
    report_.reason += "; sequential execution gives infinite or NaN states as well";
  }
}

}  // namespace deeppcr::nonlinear
