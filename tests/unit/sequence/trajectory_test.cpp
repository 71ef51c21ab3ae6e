#include "deeppcr/sequence/trajectory.hpp"

#include <gtest/gtest.h>

#include "deeppcr/petsc/check.hpp"
#include "support/environment.hpp"
#include "support/random_chain.hpp"

namespace deeppcr::sequence {
namespace {

using test::world;

TEST(Trajectory, SharesItsMemoryWithTheVec) {
  Trajectory z(world(), test::uneven_layout(9, world().size()), 2, 3);
  PetscInt size = 0;
  DEEPPCR_PETSC(VecGetSize(z.vec(), &size));
  EXPECT_EQ(size, 9 * 2 * 3);
  for (Real& value : z.states()) value = 2;
  z.touched();
  PetscReal sum = 0;
  DEEPPCR_PETSC(VecNorm(z.vec(), NORM_1, &sum));
  EXPECT_EQ(sum, 2.0 * 9 * 2 * 3);
}

TEST(Trajectory, StartsAreTheStatesBefore) {
  Trajectory z(world(), test::uneven_layout(9, world().size()), 2, 3);
  const StepRange local = z.local_range();
  for (Index i = 0; i < local.size(); ++i)
    for (Real& value : z.states()[i]) value = static_cast<Real>(local.first + i + 1);
  for (Real& value : z.input()) value = 0;
  parallel::Traffic traffic;
  const ConstStates starts = z.starts(traffic);
  ASSERT_EQ(starts.extent(0), local.size());
  for (Index i = 0; i < local.size(); ++i)
    for (const Real value : starts[i]) EXPECT_EQ(value, static_cast<Real>(local.first + i));
  const Index halos = z.layout().num_active_ranks() - 1;
  EXPECT_EQ(world().sum(traffic.messages), halos);
  EXPECT_EQ(world().sum(traffic.bytes), halos * 2 * 3 * Index{sizeof(Real)});
}

TEST(Trajectory, NoiseDoesNotDependOnTheLayout) {
  Trajectory a(world(), test::uneven_layout(9, world().size()), 2, 3);
  Trajectory b(world(), parallel::BlockLayout::balanced(9, world().size()), 2, 3);
  a.fill_with_noise(4);
  b.fill_with_noise(4);
  PetscReal norm_a = 0, norm_b = 0;
  DEEPPCR_PETSC(VecNorm(a.vec(), NORM_INFINITY, &norm_a));
  DEEPPCR_PETSC(VecNorm(b.vec(), NORM_INFINITY, &norm_b));
  EXPECT_EQ(norm_a, norm_b);
}

TEST(Trajectory, RefusesMoreElementsThanPetscCounts) {
  const Index too_many = petsc::max_global_size() / 1000 + 1;
  if (too_many > Index{1} << 40) GTEST_SKIP() << "PETSc with 64-bit indices counts far enough";
  try {
    check_index_size(too_many, 100, 10);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::bad_input);
    EXPECT_NE(std::string(error.what()).find("DEEPPCR_PETSC64"), std::string::npos);
  }
}

}  // namespace
}  // namespace deeppcr::sequence
