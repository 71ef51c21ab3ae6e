// The solvers as a PETSc preconditioner, on our operator and on plain assembled matrices.
#include "deeppcr/linear/pc.hpp"

#include <gtest/gtest.h>
#include <petscksp.h>

#include "deeppcr/petsc/check.hpp"
#include "support/environment.hpp"
#include "support/random_chain.hpp"

namespace deeppcr::linear {
namespace {

using test::RandomChain;
using test::world;

constexpr Index kSteps = 37;
constexpr int kWidth = 4;

petsc::Handle<KSP> direct_solver(Mat A, const char* method) {
  register_pc();
  petsc::Handle<KSP> ksp;
  PC pc = nullptr;
  DEEPPCR_PETSC(KSPCreate(world().get(), ksp.put()));
  DEEPPCR_PETSC(KSPSetOperators(ksp.get(), A, A));
  DEEPPCR_PETSC(KSPSetType(ksp.get(), KSPPREONLY));
  DEEPPCR_PETSC(KSPGetPC(ksp.get(), &pc));
  DEEPPCR_PETSC(PCSetType(pc, "deeppcr"));
  set_method(pc, method);
  return ksp;
}

/// ||A x - b||_inf after x = solve(b), for b of random numbers.
double residual_of_solve(KSP ksp, Mat A, bool transpose) {
  petsc::Handle<Vec> x, b, r;
  DEEPPCR_PETSC(MatCreateVecs(A, x.put(), b.put()));
  DEEPPCR_PETSC(VecDuplicate(b.get(), r.put()));
  DEEPPCR_PETSC(VecSetRandom(b.get(), nullptr));
  if (transpose) {
    DEEPPCR_PETSC(KSPSolveTranspose(ksp, b.get(), x.get()));
    DEEPPCR_PETSC(MatMultTranspose(A, x.get(), r.get()));
  } else {
    DEEPPCR_PETSC(KSPSolve(ksp, b.get(), x.get()));
    DEEPPCR_PETSC(MatMult(A, x.get(), r.get()));
  }
  PetscReal norm = 0;
  DEEPPCR_PETSC(VecAXPY(r.get(), -1, b.get()));
  DEEPPCR_PETSC(VecNorm(r.get(), NORM_INFINITY, &norm));
  return norm;
}

class PcTest : public ::testing::TestWithParam<const char*> {
 protected:
  parallel::BlockLayout layout_ = test::uneven_layout(kSteps, world().size());
  RandomChain problem_{world(), layout_, 1, kWidth};
  static constexpr double kTolerance = 1e-12;
};

TEST_P(PcTest, SolvesTheOperatorAndItsTranspose) {
  Mat A = problem_.chain().mat();
  const petsc::Handle<KSP> ksp = direct_solver(A, GetParam());
  EXPECT_LE(residual_of_solve(ksp.get(), A, false), kTolerance);
  EXPECT_LE(residual_of_solve(ksp.get(), A, true), kTolerance);
}

TEST_P(PcTest, SolvesAssembledMatrices) {
  for (const char* type : {MATBAIJ, MATAIJ}) {
    petsc::Handle<Mat> A;
    DEEPPCR_PETSC(MatConvert(problem_.chain().mat(), type, MAT_INITIAL_MATRIX, A.put()));
    const petsc::Handle<KSP> ksp = direct_solver(A.get(), GetParam());
    EXPECT_LE(residual_of_solve(ksp.get(), A.get(), false), kTolerance) << type;
    EXPECT_LE(residual_of_solve(ksp.get(), A.get(), true), kTolerance) << type;
  }
}

TEST_P(PcTest, SeesChangedEntries) {
  petsc::Handle<Mat> A = problem_.chain().assemble();
  const petsc::Handle<KSP> ksp = direct_solver(A.get(), GetParam());
  EXPECT_LE(residual_of_solve(ksp.get(), A.get(), false), kTolerance);
  for (Real& value : problem_.blocks().storage()) value *= -0.5;
  A = problem_.chain().assemble(std::move(A));
  EXPECT_LE(residual_of_solve(ksp.get(), A.get(), false), kTolerance);
}

INSTANTIATE_TEST_SUITE_P(Methods, PcTest, ::testing::Values("sequential", "pcr", "hybrid"));

TEST(Pc, RefusesAMatrixThatIsNoChain) {
  const parallel::BlockLayout layout = parallel::BlockLayout::balanced(kSteps, world().size());
  RandomChain problem(world(), layout, 1, kWidth);
  const petsc::Handle<Mat> A = problem.chain().assemble();
  DEEPPCR_PETSC(MatShift(A.get(), 1.0));  // twos on the diagonal
  const petsc::Handle<KSP> ksp = direct_solver(A.get(), "hybrid");
  try {
    DEEPPCR_PETSC(KSPSetUp(ksp.get()));
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::bad_input);
    EXPECT_EQ(error.seen(), Error::Seen::everywhere);
    EXPECT_NE(std::string(error.what()).find("does not belong to a chain"), std::string::npos);
  }
}

TEST(Pc, RefusesAMissingDiagonal) {
  petsc::Handle<Mat> A;
  const PetscInt rows = world().is_root() ? 2 : 0;
  DEEPPCR_PETSC(MatCreateAIJ(world().get(), rows, rows, 2, 2, 2, nullptr, 2, nullptr, A.put()));
  if (world().is_root()) {
    DEEPPCR_PETSC(MatSetValue(A.get(), 1, 0, -0.5, INSERT_VALUES));
    DEEPPCR_PETSC(MatSetValue(A.get(), 1, 1, 1.0, INSERT_VALUES));
  }
  DEEPPCR_PETSC(MatAssemblyBegin(A.get(), MAT_FINAL_ASSEMBLY));
  DEEPPCR_PETSC(MatAssemblyEnd(A.get(), MAT_FINAL_ASSEMBLY));
  const petsc::Handle<KSP> ksp = direct_solver(A.get(), "hybrid");
  EXPECT_THROW(DEEPPCR_PETSC(KSPSetUp(ksp.get())), Error);
}

TEST(Pc, TakesItsMethodFromTheOptions) {
  const parallel::BlockLayout layout = parallel::BlockLayout::balanced(kSteps, world().size());
  RandomChain problem(world(), layout, 1, kWidth);
  Mat A = problem.chain().mat();
  const petsc::Handle<KSP> ksp = direct_solver(A, "hybrid");
  DEEPPCR_PETSC(PetscOptionsSetValue(nullptr, "-pc_deeppcr_method", "pcr"));
  DEEPPCR_PETSC(KSPSetFromOptions(ksp.get()));
  DEEPPCR_PETSC(PetscOptionsClearValue(nullptr, "-pc_deeppcr_method"));
  DEEPPCR_PETSC(KSPSetUp(ksp.get()));
  PC pc = nullptr;
  DEEPPCR_PETSC(KSPGetPC(ksp.get(), &pc));
  EXPECT_STREQ(solver_of(pc)->name(), "pcr");
}

}  // namespace
}  // namespace deeppcr::linear
