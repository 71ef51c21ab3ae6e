#include "deeppcr/blocks/block_bidiagonal.hpp"

#include <gtest/gtest.h>

#include "deeppcr/petsc/check.hpp"
#include "support/environment.hpp"
#include "support/random_chain.hpp"

namespace deeppcr::blocks {
namespace {

using test::RandomChain;
using test::world;

/// A Vec with the chain's row layout that holds the right-hand side.
petsc::Handle<Vec> vector_of(RandomChain& problem) {
  petsc::Handle<Vec> x;
  DEEPPCR_PETSC(MatCreateVecs(problem.chain().mat(), x.put(), nullptr));
  PetscScalar* values = nullptr;
  DEEPPCR_PETSC(VecGetArray(x.get(), &values));
  std::copy(problem.rhs().begin(), problem.rhs().end(), values);
  DEEPPCR_PETSC(VecRestoreArray(x.get(), &values));
  return x;
}

double difference(Vec a, Vec b) {
  PetscReal norm = 0;
  DEEPPCR_PETSC(VecAXPY(a, -1, b));
  DEEPPCR_PETSC(VecNorm(a, NORM_INFINITY, &norm));
  return norm;
}

class BlockBidiagonalTest : public ::testing::TestWithParam<std::tuple<Index, Index, int>> {
 protected:
  Index steps_ = std::get<0>(GetParam()), batch_ = std::get<1>(GetParam());
  int width_ = std::get<2>(GetParam());
  parallel::BlockLayout layout_ = test::uneven_layout(steps_, world().size());
  RandomChain problem_{world(), layout_, batch_, width_};
  double tolerance() const { return 1e-14 * width_ * width_; }
};

// The shell's products against those of the assembled matrix, whose entries were put in one by one.
TEST_P(BlockBidiagonalTest, ProductsMatchTheAssembledMatrix) {
  const petsc::Handle<Mat> assembled = problem_.chain().assemble();
  const petsc::Handle<Vec> x = vector_of(problem_);
  petsc::Handle<Vec> ours, theirs;
  DEEPPCR_PETSC(VecDuplicate(x.get(), ours.put()));
  DEEPPCR_PETSC(VecDuplicate(x.get(), theirs.put()));
  DEEPPCR_PETSC(MatMult(problem_.chain().mat(), x.get(), ours.get()));
  DEEPPCR_PETSC(MatMult(assembled.get(), x.get(), theirs.get()));
  EXPECT_LE(difference(ours.get(), theirs.get()), tolerance());
  DEEPPCR_PETSC(MatMultTranspose(problem_.chain().mat(), x.get(), ours.get()));
  DEEPPCR_PETSC(MatMultTranspose(assembled.get(), x.get(), theirs.get()));
  EXPECT_LE(difference(ours.get(), theirs.get()), tolerance());
}

TEST_P(BlockBidiagonalTest, ConvertsToPetscsMatrices) {
  const petsc::Handle<Vec> x = vector_of(problem_);
  petsc::Handle<Vec> ours, theirs;
  DEEPPCR_PETSC(VecDuplicate(x.get(), ours.put()));
  DEEPPCR_PETSC(VecDuplicate(x.get(), theirs.put()));
  DEEPPCR_PETSC(MatMult(problem_.chain().mat(), x.get(), ours.get()));
  for (const char* type : {MATBAIJ, MATAIJ}) {
    petsc::Handle<Mat> converted;
    DEEPPCR_PETSC(MatConvert(problem_.chain().mat(), type, MAT_INITIAL_MATRIX, converted.put()));
    DEEPPCR_PETSC(MatMult(converted.get(), x.get(), theirs.get()));
    EXPECT_LE(difference(theirs.get(), ours.get()), tolerance()) << type;
  }
}

TEST_P(BlockBidiagonalTest, FillsAnAssembledMatrixAgain) {
  petsc::Handle<Mat> assembled = problem_.chain().assemble();
  for (Real& value : problem_.blocks().storage()) value *= 2;
  assembled = problem_.chain().assemble(std::move(assembled));
  const petsc::Handle<Vec> x = vector_of(problem_);
  petsc::Handle<Vec> ours, theirs;
  DEEPPCR_PETSC(VecDuplicate(x.get(), ours.put()));
  DEEPPCR_PETSC(VecDuplicate(x.get(), theirs.put()));
  DEEPPCR_PETSC(MatMult(problem_.chain().mat(), x.get(), ours.get()));
  DEEPPCR_PETSC(MatMult(assembled.get(), x.get(), theirs.get()));
  EXPECT_LE(difference(ours.get(), theirs.get()), 2 * tolerance());
}

INSTANTIATE_TEST_SUITE_P(Sizes, BlockBidiagonalTest,
                         ::testing::Combine(::testing::Values(1, 2, 3, 33), ::testing::Values(1, 5),
                                            ::testing::Values(1, 3, 8)));

}  // namespace
}  // namespace deeppcr::blocks
