// Levels as PETSc matrices: r <- (I + N) r and N <- N N, against PETSc's own products of the
// assembled matrices.
#include "linear/level_matrix.hpp"

#include <gtest/gtest.h>

#include "deeppcr/petsc/check.hpp"
#include "deeppcr/petsc/handle.hpp"
#include "support/environment.hpp"
#include "support/random_chain.hpp"

namespace deeppcr::linear {
namespace {

using test::RandomChain;
using test::world;

constexpr Index kBatch = 2;
constexpr int kWidth = 3;

/// A random chain with the numbers of two levels.
class LevelMatrixTest : public ::testing::TestWithParam<std::tuple<Index, Direction>> {
 protected:
  LevelShape level(Index stride) const {
    return {layout_, kBatch, kWidth, std::get<1>(GetParam()), stride};
  }
  /// From the numbers of one level to those of the next; what is zero there is not written.
  void advance(Index stride, int from) {
    const int to = 1 - from;
    std::fill(blocks_[to].begin(), blocks_[to].end(), 0.0);
    LevelMatrix(world(), level(stride))
        .advance({blocks_[from].data(), right_[from].data()},
                 {blocks_[to].data(), right_[to].data()}, fetched_, traffic_);
  }
  ConstBlocks blocks(int of) const {
    return {blocks_[of].data(), {problem_.shape()[0], kBatch, kWidth, kWidth}};
  }
  double rounding() const { return 1e-14 * static_cast<double>(steps_ * kWidth * kWidth); }

  Index steps_ = std::get<0>(GetParam());
  parallel::BlockLayout layout_ = test::uneven_layout(steps_, world().size());
  RandomChain problem_{world(), layout_, kBatch, kWidth};
  Buffer<Real> blocks_[2] = {problem_.copy_of_blocks(), problem_.copy_of_blocks()};
  Buffer<Real> right_[2] = {problem_.copy_of_rhs(), problem_.copy_of_rhs()};
  LevelMatrix::Fetched fetched_;
  parallel::Traffic traffic_;
};

/// N with these blocks as PETSc multiplies matrices; of the backward chain the transposed blocks.
petsc::Handle<Mat> as_aij(const LevelShape& level, ConstBlocks blocks) {
  constexpr PetscInt n = kWidth;
  const bool forward = level.direction == Direction::forward;
  const StepRange local = level.layout.range(world().rank()), all{0, level.layout.num_steps()};
  const auto rows = static_cast<PetscInt>(local.size() * kBatch);
  petsc::Handle<Mat> N, plain;
  DEEPPCR_PETSC(MatCreateBAIJ(world().get(), n, rows * n, rows * n, PETSC_DETERMINE,
                              PETSC_DETERMINE, 1, nullptr, 1, nullptr, N.put()));
  // PETSc reads the column-major blocks by column; the transposed chain's are the same read by row.
  DEEPPCR_PETSC(MatSetOption(N.get(), MAT_ROW_ORIENTED, forward ? PETSC_FALSE : PETSC_TRUE));
  for (Index row = local.first; row < local.last; ++row) {
    const Index partner = forward ? row - level.stride : row + level.stride;
    if (!all.contains(partner)) continue;
    for (Index b = 0; b < kBatch; ++b) {
      const auto at = static_cast<PetscInt>(row * kBatch + b);
      const auto column = static_cast<PetscInt>(partner * kBatch + b);
      DEEPPCR_PETSC(MatSetValuesBlocked(N.get(), 1, &at, 1, &column,
                                        blocks[row - local.first][b].data(), INSERT_VALUES));
    }
  }
  DEEPPCR_PETSC(MatAssemblyBegin(N.get(), MAT_FINAL_ASSEMBLY));
  DEEPPCR_PETSC(MatAssemblyEnd(N.get(), MAT_FINAL_ASSEMBLY));
  DEEPPCR_PETSC(MatConvert(N.get(), MATAIJ, MAT_INITIAL_MATRIX, plain.put()));
  return plain;
}

petsc::Handle<Mat> squared(Mat N) {
  petsc::Handle<Mat> square;
  DEEPPCR_PETSC(MatMatMult(N, N, MAT_INITIAL_MATRIX, PETSC_DEFAULT, square.put()));
  return square;
}

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
  const petsc::Handle<Mat> N = as_aij(level(1), blocks(0));
  advance(1, 0);
  const petsc::Handle<Mat> next_N = as_aij(level(2), blocks(1));
  EXPECT_LE(norm_of_difference(squared(N.get()).get(), next_N.get()), rounding());

  const petsc::Handle<Vec> r = to_vec(N.get(), problem_.rhs().data());
  const petsc::Handle<Vec> found = to_vec(N.get(), right_[1].data());
  petsc::Handle<Vec> expected;
  DEEPPCR_PETSC(VecDuplicate(r.get(), expected.put()));
  DEEPPCR_PETSC(MatMultAdd(N.get(), r.get(), r.get(), expected.get()));
  PetscReal norm = 0;
  DEEPPCR_PETSC(VecAXPY(expected.get(), -1, found.get()));
  DEEPPCR_PETSC(VecNorm(expected.get(), NORM_INFINITY, &norm));
  EXPECT_LE(norm, rounding());
}

TEST_P(LevelMatrixTest, TwoLevelsAreTheFourthPower) {
  const petsc::Handle<Mat> N = as_aij(level(1), blocks(0));
  advance(1, 0);
  advance(2, 1);
  const petsc::Handle<Mat> found = as_aij(level(4), blocks(0));
  const petsc::Handle<Mat> square = squared(N.get());
  EXPECT_LE(norm_of_difference(squared(square.get()).get(), found.get()), rounding());
}

INSTANTIATE_TEST_SUITE_P(Sizes, LevelMatrixTest,
                         ::testing::Combine(::testing::Values(1, 2, 3, 4, 9, 33),
                                            ::testing::Values(Direction::forward,
                                                              Direction::backward)));

}  // namespace
}  // namespace deeppcr::linear
