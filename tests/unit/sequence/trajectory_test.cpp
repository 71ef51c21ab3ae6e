#include "deeppcr/sequence/trajectory.hpp"

#include <gtest/gtest.h>

#include "deeppcr/petsc/check.hpp"
#include "support/environment.hpp"
#include "support/layouts.hpp"

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
  for (const Index steps : test::degenerate_sizes()) {
    for (const auto& [name, layout] : test::all_layouts(steps, world().size())) {
      SCOPED_TRACE(name + ", L = " + std::to_string(steps));
      Trajectory z(world(), layout, 2, 3);
      const StepSet local = z.local_steps();
      for (Index i = 0; i < local.size(); ++i)
        for (Real& value : z.states()[i]) value = static_cast<Real>(local.step(i) + 1);
      for (Real& value : z.input()) value = 0;
      for (int again = 0; again < 2; ++again) {
        parallel::Traffic traffic;
        const ConstStates starts = z.starts(traffic);
        ASSERT_EQ(starts.extent(0), local.size());
        for (Index i = 0; i < local.size(); ++i)
          for (const Real value : starts[i]) ASSERT_EQ(value, static_cast<Real>(local.step(i)));
        // A state for each step whose own start is another rank's, in one message a rank.
        const auto ranges = static_cast<Index>(layout.ranges().size());
        const Index states = layout.is_replicated() ? 0 : std::max<Index>(ranges - 1, 0);
        EXPECT_EQ(world().sum(traffic.bytes), states * 2 * 3 * Index{sizeof(Real)});
        const bool dealt = !layout.is_contiguous() && !layout.is_replicated();
        EXPECT_EQ(world().sum(traffic.messages), dealt ? Index{world().size()} : states);
      }
    }
  }
}

TEST(Trajectory, NoiseDoesNotDependOnTheLayout) {
  const Index steps = 9;
  Buffer<Real> expected;
  for (const auto& [name, layout] : test::all_layouts(steps, world().size())) {
    SCOPED_TRACE(name);
    Trajectory z(world(), layout, 2, 3);
    z.fill_with_noise(4);
    const StepSet local = z.local_steps();
    Buffer<Real> all(steps * 6);
    for (Index i = 0; i < local.size(); ++i) {
      if (layout.owner(local.step(i)) != world().rank()) continue;
      std::copy_n(z.states()[i].data(), 6, all.data() + local.step(i) * 6);
    }
    world().sum(all.data(), all.size());
    if (expected.empty()) expected.swap(all);
    for (Index i = 0; i < all.size(); ++i) ASSERT_EQ(all[i], expected[i]);
  }
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
