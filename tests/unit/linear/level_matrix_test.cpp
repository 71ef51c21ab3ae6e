// Levels as PETSc matrices: r <- (I + N) r and N <- N N, against PETSc's own products of the
// assembled matrices.
#include "deeppcr/linear/level_matrix.hpp"

#include <gtest/gtest.h>

#include "deeppcr/petsc/check.hpp"
#include "support/environment.hpp"
#include "support/random_chain.hpp"

namespace deeppcr::linear {
namespace {

using test::RandomChain;
using test::world;

class LevelMatrixTest : public ::testing::TestWithParam<std::tuple<Index, Direction>> {};

petsc::Handle<Vec> to_vec(Mat like, const Real* values) {
  petsc::Handle<Vec> x;
  DEEPPCR_PETSC(MatCreateVecs(like, x.put(), nullptr));
  PetscInt count = 0;
  PetscScalar* data = nullptr;
  DEEPPCR_PETSC(VecGetLocalSize(x.get(), &count));
  DEEPPCR_PETSC(VecGetArray(x.get(), &data));
  std::copy(values, values + count, data);
  DEEPPCR_PETSC(VecRestoreArray(x.get(), &data));
  return x;
}

double norm_of_difference(Mat a, Mat b) {
  PetscReal norm = 0;
  DEEPPCR_PETSC(MatAXPY(a, -1, b, DIFFERENT_NONZERO_PATTERN));
  DEEPPCR_PETSC(MatNorm(a, NORM_FROBENIUS, &norm));
  return norm;
}

TEST_P(LevelMatrixTest, OneLevelSquaresTheMatrix) {
  const auto [steps, direction] = GetParam();
  constexpr Index kBatch = 2;
  constexpr int kWidth = 3;
  const parallel::BlockLayout layout = test::uneven_layout(steps, world().size());
  RandomChain problem(world(), layout, kBatch, kWidth);
  Buffer<Real> A(problem.blocks().storage().size()), next_A(A.size());
  Buffer<Real> next_r(problem.rhs().size());
  std::copy_n(problem.blocks().storage().data(), A.size(), A.data());
  const Index m = problem.chain().local_range().size();
  const std::array<Index, 4> shape{m, kBatch, kWidth, kWidth};

  LevelShape level{layout, {0, steps}, kBatch, kWidth, direction, 1};
  LevelMatrix first(world(), level);
  level.stride = 2;
  LevelMatrix second(world(), level);
  Workspace work;
  parallel::Traffic traffic;
  std::copy(A.begin(), A.end(), next_A.begin());
  std::copy(problem.rhs().begin(), problem.rhs().end(), next_r.begin());
  first.advance(Blocks(next_A.data(), shape), States(next_r.data(), problem.shape()), work,
                traffic);

  const petsc::Handle<Mat> N = first.assemble(ConstBlocks(A.data(), shape));
  const petsc::Handle<Mat> next_N = second.assemble(ConstBlocks(next_A.data(), shape));
  petsc::Handle<Mat> plain, next_plain, square;
  DEEPPCR_PETSC(MatConvert(N.get(), MATAIJ, MAT_INITIAL_MATRIX, plain.put()));
  DEEPPCR_PETSC(MatConvert(next_N.get(), MATAIJ, MAT_INITIAL_MATRIX, next_plain.put()));
  DEEPPCR_PETSC(
      MatMatMult(plain.get(), plain.get(), MAT_INITIAL_MATRIX, PETSC_DEFAULT, square.put()));
  const double rounding = 1e-14 * static_cast<double>(steps * kWidth * kWidth);
  EXPECT_LE(norm_of_difference(square.get(), next_plain.get()), rounding);

  const petsc::Handle<Vec> r = to_vec(plain.get(), problem.rhs().data());
  const petsc::Handle<Vec> found = to_vec(plain.get(), next_r.data());
  petsc::Handle<Vec> expected;
  DEEPPCR_PETSC(VecDuplicate(r.get(), expected.put()));
  DEEPPCR_PETSC(MatMultAdd(plain.get(), r.get(), r.get(), expected.get()));
  PetscReal norm = 0;
  DEEPPCR_PETSC(VecAXPY(expected.get(), -1, found.get()));
  DEEPPCR_PETSC(VecNorm(expected.get(), NORM_INFINITY, &norm));
  EXPECT_LE(norm, rounding);
}

/// Rows that the second level hands over are written where it does so.
TEST_P(LevelMatrixTest, TwoLevelsAreTheFourthPower) {
  const auto [steps, direction] = GetParam();
  constexpr Index kBatch = 2;
  constexpr int kWidth = 3;
  const parallel::BlockLayout layout = test::uneven_layout(steps, world().size());
  RandomChain problem(world(), layout, kBatch, kWidth);
  Buffer<Real> A(problem.blocks().storage().size()), r(problem.rhs().size());
  std::copy_n(problem.blocks().storage().data(), A.size(), A.data());
  std::copy(problem.rhs().begin(), problem.rhs().end(), r.begin());
  const std::array<Index, 4> shape{problem.chain().local_range().size(), kBatch, kWidth, kWidth};

  LevelShape level{layout, {0, steps}, kBatch, kWidth, direction, 1};
  LevelMatrix first(world(), level);
  level.stride = 2;
  LevelMatrix second(world(), level);
  level.stride = 4;
  const LevelMatrix third(world(), level);
  const petsc::Handle<Mat> N = first.assemble(ConstBlocks(A.data(), shape));
  Workspace work;
  parallel::Traffic traffic;
  const Blocks blocks(A.data(), shape);
  const States right(r.data(), problem.shape());
  first.advance(blocks, right, work, traffic, &second);
  second.advance(blocks, right, work, traffic);

  const petsc::Handle<Mat> found = third.assemble(ConstBlocks(A.data(), shape));
  petsc::Handle<Mat> plain, plain_found, square, fourth;
  DEEPPCR_PETSC(MatConvert(N.get(), MATAIJ, MAT_INITIAL_MATRIX, plain.put()));
  DEEPPCR_PETSC(MatConvert(found.get(), MATAIJ, MAT_INITIAL_MATRIX, plain_found.put()));
  DEEPPCR_PETSC(
      MatMatMult(plain.get(), plain.get(), MAT_INITIAL_MATRIX, PETSC_DEFAULT, square.put()));
  DEEPPCR_PETSC(
      MatMatMult(square.get(), square.get(), MAT_INITIAL_MATRIX, PETSC_DEFAULT, fourth.put()));
  EXPECT_LE(norm_of_difference(fourth.get(), plain_found.get()),
            1e-14 * static_cast<double>(steps * kWidth * kWidth));
}

INSTANTIATE_TEST_SUITE_P(Sizes, LevelMatrixTest,
                         ::testing::Combine(::testing::Values(1, 2, 3, 4, 9, 33),
                                            ::testing::Values(Direction::forward,
                                                              Direction::backward)));

}  // namespace
}  // namespace deeppcr::linear
