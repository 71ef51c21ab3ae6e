// Levels as PETSc matrices: r <- (I + N) r and N <- N N, against PETSc's own products of the
// assembled matrices.
#include "linear/level_matrix.hpp"

#include <gtest/gtest.h>

#include "deeppcr/petsc/check.hpp"
#include "support/environment.hpp"
#include "support/random_chain.hpp"

namespace deeppcr::linear {
namespace {

using test::RandomChain;
using test::world;

constexpr Index kBatch = 2;
constexpr int kWidth = 3;

/// A random chain with copies of its numbers, which levels overwrite.
class LevelMatrixTest : public ::testing::TestWithParam<std::tuple<Index, Direction>> {
 protected:
  Blocks blocks() { return {A_.data(), {shape_[0], kBatch, kWidth, kWidth}}; }
  States right() { return {r_.data(), shape_}; }
  LevelMatrix level(Index stride) const {
    return {world(), {layout_, {0, steps_}, kBatch, kWidth, std::get<1>(GetParam()), stride}};
  }
  double rounding() const { return 1e-14 * static_cast<double>(steps_ * kWidth * kWidth); }

  Index steps_ = std::get<0>(GetParam());
  parallel::BlockLayout layout_ = test::uneven_layout(steps_, world().size());
  RandomChain problem_{world(), layout_, kBatch, kWidth};
  Workspace work_;
  parallel::Traffic traffic_;

 private:
  std::array<Index, 3> shape_ = problem_.shape();
  Buffer<Real> A_ = problem_.copy_of_blocks(), r_ = problem_.copy_of_rhs();
};

/// The level of these blocks as PETSc multiplies matrices.
petsc::Handle<Mat> as_aij(const LevelMatrix& level, ConstBlocks blocks) {
  const petsc::Handle<Mat> N = level.assemble(blocks);
  petsc::Handle<Mat> plain;
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
  LevelMatrix first = level(1);
  const petsc::Handle<Mat> N = as_aij(first, blocks());
  first.advance(blocks(), right(), work_, traffic_);
  const petsc::Handle<Mat> next_N = as_aij(level(2), blocks());
  EXPECT_LE(norm_of_difference(squared(N.get()).get(), next_N.get()), rounding());

  const petsc::Handle<Vec> r = to_vec(N.get(), problem_.rhs().data());
  const petsc::Handle<Vec> found = to_vec(N.get(), right().data());
  petsc::Handle<Vec> expected;
  DEEPPCR_PETSC(VecDuplicate(r.get(), expected.put()));
  DEEPPCR_PETSC(MatMultAdd(N.get(), r.get(), r.get(), expected.get()));
  PetscReal norm = 0;
  DEEPPCR_PETSC(VecAXPY(expected.get(), -1, found.get()));
  DEEPPCR_PETSC(VecNorm(expected.get(), NORM_INFINITY, &norm));
  EXPECT_LE(norm, rounding());
}

/// Rows that the second level hands over are written where it does so.
TEST_P(LevelMatrixTest, TwoLevelsAreTheFourthPower) {
  LevelMatrix first = level(1), second = level(2);
  const petsc::Handle<Mat> N = as_aij(first, blocks());
  first.advance(blocks(), right(), work_, traffic_, &second);
  second.advance(blocks(), right(), work_, traffic_);
  const petsc::Handle<Mat> found = as_aij(level(4), blocks());
  const petsc::Handle<Mat> square = squared(N.get());
  EXPECT_LE(norm_of_difference(squared(square.get()).get(), found.get()), rounding());
}

INSTANTIATE_TEST_SUITE_P(Sizes, LevelMatrixTest,
                         ::testing::Combine(::testing::Values(1, 2, 3, 4, 9, 33),
                                            ::testing::Values(Direction::forward,
                                                              Direction::backward)));

}  // namespace
}  // namespace deeppcr::linear
