#include "linear/boundary_ksp.hpp"

#include <petscksp.h>

#include "deeppcr/petsc/callback.hpp"
#include "deeppcr/petsc/handle.hpp"
#include "linear/shooting_run.hpp"

namespace deeppcr::linear {

namespace {

struct Context {
  ShootingRun& run;
  int products = 0;
};

PetscErrorCode multiply(Mat mat, Vec x, Vec y) {
  return petsc::guard([&] {
    Context* context = nullptr;
    DEEPPCR_PETSC(MatShellGetContext(mat, &context));
    ++context->products;
    petsc::with_arrays(x, y, [&](const Real* from, Real* to) { context->run.apply(from, to); });
  });
}

}  // namespace

KspOutcome solve_boundary(ShootingRun& run, const Real* b, double tolerance, int most, Real* x) {
  constexpr PetscInt kRestart = 60;
  Context context{run};
  const MPI_Comm comm = run.comm().get();
  const auto local = static_cast<PetscInt>(run.local_size());
  petsc::Handle<Mat> A;
  petsc::Handle<Vec> right, found;
  petsc::Handle<KSP> gmres;
  DEEPPCR_PETSC(
      MatCreateShell(comm, local, local, PETSC_DETERMINE, PETSC_DETERMINE, &context, A.put()));
  DEEPPCR_PETSC(
      MatShellSetOperation(A.get(), MATOP_MULT, reinterpret_cast<void (*)(void)>(multiply)));
  DEEPPCR_PETSC(VecCreateMPIWithArray(comm, 1, local, PETSC_DETERMINE, b, right.put()));
  DEEPPCR_PETSC(VecCreateMPIWithArray(comm, 1, local, PETSC_DETERMINE, x, found.put()));
  DEEPPCR_PETSC(KSPCreate(comm, gmres.put()));
  KSP ksp = gmres.get();
  PC pc = nullptr;
  DEEPPCR_PETSC(KSPSetOptionsPrefix(ksp, "shooting_"));
  DEEPPCR_PETSC(KSPSetOperators(ksp, A.get(), A.get()));
  DEEPPCR_PETSC(KSPSetType(ksp, KSPGMRES));
  DEEPPCR_PETSC(KSPGMRESSetRestart(ksp, kRestart));
  DEEPPCR_PETSC(KSPGetPC(ksp, &pc));
  DEEPPCR_PETSC(PCSetType(pc, PCNONE));
  DEEPPCR_PETSC(KSPSetTolerances(ksp, 0, tolerance, PETSC_DEFAULT, most));
  DEEPPCR_PETSC(KSPSetFromOptions(ksp));
  DEEPPCR_PETSC(KSPSolve(ksp, right.get(), found.get()));
  KSPConvergedReason reason = KSP_CONVERGED_ITERATING;
  DEEPPCR_PETSC(KSPGetConvergedReason(ksp, &reason));
  return {context.products, reason > 0};
}

}  // namespace deeppcr::linear
