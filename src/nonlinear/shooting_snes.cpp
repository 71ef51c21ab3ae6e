// Shooting accelerated by PETSc: its SNES combines the starts of the last sweeps.
#include <petscsnes.h>

#include <algorithm>
#include <functional>

#include "deeppcr/petsc/check.hpp"
#include "deeppcr/petsc/handle.hpp"
#include "nonlinear/shooting_run.hpp"

namespace deeppcr::nonlinear {

/// F(x) = x - (the starts that shooting would take after a sweep from x). Shapes [C_local, B, n].
void ShootingRun::evaluate(const Real* x, Real* F) {
  const ConstStates used = starts_.used();
  const States next = starts_.next();
  // The SNES may ask once more behind the end: the states stay as they are.
  if (!ended_) {
    std::copy_n(x, next.size(), next.data());
    ended_ = !goes_on(correct());
  }
  propose();
  std::transform(used.begin(), used.end(), next.begin(), F, std::minus<>());
  // Nothing starts where the chain ends.
  if (!own_.empty() && own_.last == chunks_.size())
    std::fill_n(F + next.size() - sweep_.state_size(), sweep_.state_size(), 0.0);
}

/// Anderson's acceleration or N-GMRES on the states between the chunks, from the starts proposed
/// behind the first sweep. Options: -shooting_snes_*. Collective.
void ShootingRun::accelerate() {
  const auto function = [](SNES, Vec x, Vec f, void* run) {
    return petsc::guard([&] {
      petsc::with_arrays(x, f, [&](const Real* starts, Real* F) {
        static_cast<ShootingRun*>(run)->evaluate(starts, F);
      });
    });
  };
  const auto convergence = [](SNES, PetscInt, PetscReal, PetscReal, PetscReal,
                              SNESConvergedReason* reason, void* run) -> PetscErrorCode {
    const bool ended = static_cast<ShootingRun*>(run)->ended_;
    *reason = ended ? SNES_CONVERGED_FNORM_ABS : SNES_CONVERGED_ITERATING;
    return 0;
  };
  const States first = starts_.next();
  Buffer<Real> x(first.size());
  petsc::Handle<Vec> starts, residual;
  petsc::Handle<SNES> handle;
  std::copy(first.begin(), first.end(), x.begin());
  DEEPPCR_PETSC(VecCreateMPIWithArray(comm().get(), 1, static_cast<PetscInt>(x.size()),
                                      PETSC_DETERMINE, x.data(), starts.put()));
  DEEPPCR_PETSC(VecDuplicate(starts.get(), residual.put()));
  DEEPPCR_PETSC(SNESCreate(comm().get(), handle.put()));
  SNES snes = handle.get();
  DEEPPCR_PETSC(SNESSetOptionsPrefix(snes, "shooting_"));
  DEEPPCR_PETSC(SNESSetType(snes, options_.accelerate.c_str()));
  DEEPPCR_PETSC(SNESSetFunction(snes, residual.get(), function, this));
  DEEPPCR_PETSC(SNESSetTolerances(snes, 0, 0, 0, most_corrections(), PETSC_MAX_INT));
  DEEPPCR_PETSC(SNESSetFromOptions(snes));
  DEEPPCR_PETSC(SNESSetConvergenceTest(snes, convergence, this, nullptr));
  DEEPPCR_PETSC(SNESSolve(snes, nullptr, starts.get()));
}

}  // namespace deeppcr::nonlinear
