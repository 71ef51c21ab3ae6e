#include "linear/boundary_ksp.hpp"

#include <algorithm>

#include "deeppcr/petsc/callback.hpp"
#include "deeppcr/petsc/check.hpp"
#include "linear/shooting_run.hpp"

namespace deeppcr::linear {

namespace {

/// body(const Real* in, Real* out) on the local parts of two vectors.
template <typename Body>
PetscErrorCode with_arrays(Vec in, Vec out, Body&& body) {
  return petsc::guard([&] {
    const PetscScalar* from = nullptr;
    PetscScalar* to = nullptr;
    DEEPPCR_PETSC(VecGetArrayRead(in, &from));
    DEEPPCR_PETSC(VecGetArrayWrite(out, &to));
    body(from, to);
    DEEPPCR_PETSC(VecRestoreArrayWrite(out, &to));
    DEEPPCR_PETSC(VecRestoreArrayRead(in, &from));
  });
}

PetscErrorCode multiply_callback(Mat mat, Vec x, Vec y) {
  void* context = nullptr;
  const PetscErrorCode code = MatShellGetContext(mat, &context);
  if (code != 0) return code;
  return with_arrays(x, y, [&](const Real* from, Real* to) {
    auto& ksp = *static_cast<BoundaryKsp*>(context);
    ksp.count_product();
    ksp.run().apply(from, to);
  });
}

PetscErrorCode precondition_callback(PC pc, Vec x, Vec y) {
  void* context = nullptr;
  const PetscErrorCode code = PCShellGetContext(pc, &context);
  if (code != 0) return code;
  return with_arrays(x, y, [&](const Real* from, Real* to) {
    static_cast<BoundaryKsp*>(context)->run().precondition(from, to);
  });
}

}  // namespace

BoundaryKsp::BoundaryKsp(ShootingRun& run) : run_(run) {
  const MPI_Comm comm = run.comm().get();
  const auto local = static_cast<PetscInt>(run.local_size());
  DEEPPCR_PETSC(
      MatCreateShell(comm, local, local, PETSC_DETERMINE, PETSC_DETERMINE, this, operator_.put()));
  DEEPPCR_PETSC(MatShellSetOperation(operator_.get(), MATOP_MULT,
                                     reinterpret_cast<void (*)(void)>(multiply_callback)));
  DEEPPCR_PETSC(MatCreateVecs(operator_.get(), x_.put(), b_.put()));
  DEEPPCR_PETSC(KSPCreate(comm, ksp_.put()));
  KSP ksp = ksp_.get();
  PC pc = nullptr;
  DEEPPCR_PETSC(KSPSetOptionsPrefix(ksp, "shooting_"));
  DEEPPCR_PETSC(KSPSetOperators(ksp, operator_.get(), operator_.get()));
  DEEPPCR_PETSC(KSPSetType(ksp, KSPGMRES));
  DEEPPCR_PETSC(KSPGMRESSetRestart(ksp, 60));
  DEEPPCR_PETSC(KSPSetPCSide(ksp, PC_RIGHT));
  DEEPPCR_PETSC(KSPGetPC(ksp, &pc));
  DEEPPCR_PETSC(PCSetType(pc, PCSHELL));
  DEEPPCR_PETSC(PCShellSetContext(pc, this));
  DEEPPCR_PETSC(PCShellSetApply(pc, precondition_callback));
}

KspOutcome BoundaryKsp::solve(const Real* b, double tolerance, int most, Real* x) {
  PetscScalar* values = nullptr;
  DEEPPCR_PETSC(VecGetArrayWrite(b_.get(), &values));
  std::copy_n(b, run_.local_size(), values);
  DEEPPCR_PETSC(VecRestoreArrayWrite(b_.get(), &values));
  DEEPPCR_PETSC(KSPSetTolerances(ksp_.get(), 0, tolerance, PETSC_DEFAULT, most));
  DEEPPCR_PETSC(KSPSetFromOptions(ksp_.get()));
  products_ = 0;
  DEEPPCR_PETSC(KSPSolve(ksp_.get(), b_.get(), x_.get()));
  const PetscScalar* found = nullptr;
  DEEPPCR_PETSC(VecGetArrayRead(x_.get(), &found));
  std::copy_n(found, run_.local_size(), x);
  DEEPPCR_PETSC(VecRestoreArrayRead(x_.get(), &found));
  KSPConvergedReason reason = KSP_CONVERGED_ITERATING;
  DEEPPCR_PETSC(KSPGetConvergedReason(ksp_.get(), &reason));
  return {products_, reason > 0};
}

}  // namespace deeppcr::linear
