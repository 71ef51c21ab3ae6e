#include "nonlinear/boundary_snes.hpp"

#include <petscsnes.h>

#include <algorithm>

#include "deeppcr/petsc/callback.hpp"
#include "deeppcr/petsc/check.hpp"
#include "nonlinear/shooting_run.hpp"

namespace deeppcr::nonlinear {

namespace {

PetscErrorCode function_callback(SNES, Vec x, Vec f, void* context) {
  return petsc::guard([&] {
    auto& solver = *static_cast<BoundarySnes*>(context);
    const std::array<Index, 3> shape = solver.run().used_starts().shape();
    const PetscScalar* starts = nullptr;
    PetscScalar* F = nullptr;
    DEEPPCR_PETSC(VecGetArrayRead(x, &starts));
    DEEPPCR_PETSC(VecGetArrayWrite(f, &F));
    solver.evaluate(ConstStates(starts, shape), States(F, shape));
    DEEPPCR_PETSC(VecRestoreArrayWrite(f, &F));
    DEEPPCR_PETSC(VecRestoreArrayRead(x, &starts));
  });
}

PetscErrorCode convergence_callback(SNES, PetscInt, PetscReal, PetscReal, PetscReal,
                                    SNESConvergedReason* reason, void* context) {
  const bool ended = static_cast<BoundarySnes*>(context)->ended();
  *reason = ended ? SNES_CONVERGED_FNORM_ABS : SNES_CONVERGED_ITERATING;
  return 0;
}

}  // namespace

BoundarySnes::BoundarySnes(ShootingRun& run, Acceleration acceleration)
    : run_(run), acceleration_(acceleration) {
  const MPI_Comm comm = run.comm().get();
  const auto local = static_cast<PetscInt>(run.used_starts().size());
  DEEPPCR_PETSC(VecCreateMPI(comm, local, PETSC_DETERMINE, starts_.put()));
  DEEPPCR_PETSC(VecDuplicate(starts_.get(), residual_.put()));
  DEEPPCR_PETSC(SNESCreate(comm, snes_.put()));
  SNES snes = snes_.get();
  DEEPPCR_PETSC(SNESSetOptionsPrefix(snes, "shooting_"));
  DEEPPCR_PETSC(
      SNESSetType(snes, acceleration_ == Acceleration::anderson ? SNESANDERSON : SNESNGMRES));
  DEEPPCR_PETSC(SNESSetFunction(snes, residual_.get(), function_callback, this));
  DEEPPCR_PETSC(SNESSetTolerances(snes, 0, 0, 0, run.most_corrections(), PETSC_MAX_INT));
  DEEPPCR_PETSC(SNESSetFromOptions(snes));
  DEEPPCR_PETSC(SNESSetConvergenceTest(snes, convergence_callback, this, nullptr));
}

void BoundarySnes::solve() {
  // The first sweep is done: its ends are the first starts.
  const ConstStates first = run_.following_starts();
  PetscScalar* x = nullptr;
  DEEPPCR_PETSC(VecGetArrayWrite(starts_.get(), &x));
  std::copy(first.begin(), first.end(), x);
  DEEPPCR_PETSC(VecRestoreArrayWrite(starts_.get(), &x));
  DEEPPCR_PETSC(SNESSolve(snes_.get(), nullptr, starts_.get()));
}

void BoundarySnes::evaluate(ConstStates x, States F) {
  // The SNES may ask once more behind the end: the states stay as they are.
  if (!ended_) ended_ = !run_.correct_from(x);
  const ConstStates next = run_.following_starts(), used = run_.used_starts();
  for (Index i = 0; i < F.size(); ++i) F.data()[i] = used.data()[i] - next.data()[i];
}

}  // namespace deeppcr::nonlinear
