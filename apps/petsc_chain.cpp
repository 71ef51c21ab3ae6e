// A plain PETSc program that solves a block-bidiagonal system, x_l - A_l x_{l-1} = b_l. All that it
// takes from this library is one call, register_pc(); the rest is chosen on the command line:
//
//   mpirun -n 4 petsc_chain -steps 4096 -width 16 -pc_type deeppcr -pc_deeppcr_method hybrid
//   mpirun -n 4 petsc_chain -ksp_type preonly -pc_type lu -pc_factor_mat_solver_type mumps
//   mpirun -n 4 petsc_chain -ksp_type gmres -pc_type bjacobi -ksp_monitor
#include <petscksp.h>

#include <cmath>
#include <vector>

#include "deeppcr/linear/pc.hpp"

namespace {

/// Any smooth numbers of size at most 0.7 / n: the chain neither grows nor dies at once.
PetscScalar entry(PetscInt l, PetscInt i, PetscInt j, PetscInt n) {
  return 0.7 * std::cos(1.0 + 0.37 * static_cast<double>(l) + static_cast<double>(3 * i + 5 * j)) /
         static_cast<double>(n);
}

/// Identity blocks on the diagonal, -A_l below it. Collective.
PetscErrorCode assemble(PetscInt steps, PetscInt n, Mat* A) {
  PetscFunctionBeginUser;
  PetscInt local = PETSC_DECIDE, first = 0, last = 0;
  PetscCall(PetscSplitOwnership(PETSC_COMM_WORLD, &local, &steps));
  PetscCall(MatCreateBAIJ(PETSC_COMM_WORLD, n, local * n, local * n, steps * n, steps * n, 2,
                          nullptr, 1, nullptr, A));
  PetscCall(MatGetOwnershipRange(*A, &first, &last));
  std::vector<PetscScalar> block(static_cast<std::size_t>(n * n));
  for (PetscInt l = first / n; l < last / n; ++l) {
    for (PetscInt i = 0; i < n; ++i)
      for (PetscInt j = 0; j < n; ++j) block[static_cast<std::size_t>(i * n + j)] = i == j;
    PetscCall(MatSetValuesBlocked(*A, 1, &l, 1, &l, block.data(), INSERT_VALUES));
    if (l == 0) continue;
    const PetscInt left = l - 1;
    for (PetscInt i = 0; i < n; ++i)
      for (PetscInt j = 0; j < n; ++j)
        block[static_cast<std::size_t>(i * n + j)] = -entry(l, i, j, n);
    PetscCall(MatSetValuesBlocked(*A, 1, &l, 1, &left, block.data(), INSERT_VALUES));
  }
  PetscCall(MatAssemblyBegin(*A, MAT_FINAL_ASSEMBLY));
  PetscCall(MatAssemblyEnd(*A, MAT_FINAL_ASSEMBLY));
  PetscFunctionReturn(0);
}

/// Solves for a known x; error: the largest one relative to the largest entry.
PetscErrorCode solve(Mat A, PetscReal* error) {
  PetscFunctionBeginUser;
  Vec known = nullptr, x = nullptr, b = nullptr;
  KSP ksp = nullptr;
  PetscReal size = 0;
  PetscCall(MatCreateVecs(A, &x, &b));
  PetscCall(VecDuplicate(x, &known));
  PetscCall(VecSetRandom(known, nullptr));
  PetscCall(MatMult(A, known, b));
  PetscCall(KSPCreate(PETSC_COMM_WORLD, &ksp));
  PetscCall(KSPSetOperators(ksp, A, A));
  PetscCall(KSPSetTolerances(ksp, 1e-12, PETSC_DEFAULT, PETSC_DEFAULT, PETSC_DEFAULT));
  PetscCall(KSPSetFromOptions(ksp));
  PetscCall(KSPSolve(ksp, b, x));
  PetscCall(VecNorm(known, NORM_INFINITY, &size));
  PetscCall(VecAXPY(x, -1, known));
  PetscCall(VecNorm(x, NORM_INFINITY, error));
  *error /= size;
  PetscCall(KSPDestroy(&ksp));
  for (Vec* v : {&known, &x, &b}) PetscCall(VecDestroy(v));
  PetscFunctionReturn(0);
}

}  // namespace

int main(int argc, char** argv) {
  PetscCall(PetscInitialize(&argc, &argv, nullptr, nullptr));
  PetscInt steps = 1024, n = 8;
  PetscReal error = 0;
  Mat A = nullptr;
  PetscCall(PetscOptionsGetInt(nullptr, nullptr, "-steps", &steps, nullptr));
  PetscCall(PetscOptionsGetInt(nullptr, nullptr, "-width", &n, nullptr));
  deeppcr::linear::register_pc();
  PetscCall(assemble(steps, n, &A));
  PetscCall(solve(A, &error));
  PetscCall(PetscPrintf(PETSC_COMM_WORLD,
                        "%" PetscInt_FMT " steps of width %" PetscInt_FMT ": relative error %.2e\n",
                        steps, n, static_cast<double>(error)));
  PetscCall(MatDestroy(&A));
  PetscCall(PetscFinalize());
  return error < 1e-9 ? 0 : 2;
}
