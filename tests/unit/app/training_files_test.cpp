// Checkpoints of training on one grid that go on on another.
#include "app/training_files.hpp"

#include <gtest/gtest.h>

#include <cstdio>

#include "support/environment.hpp"

namespace deeppcr::app {
namespace {

using test::world;

constexpr Index kSize = 5;

/// A row that all depth ranks hold and one for each of them, on one grid.
struct Arrays {
  Arrays(int depth, double start)
      : grid(world(), depth, world().size() / depth), shared(kSize), own(rows().size() * kSize) {
    for (Index i = 0; i < kSize; ++i) shared[i] = start * static_cast<double>(i + 1);
    for (Index i = 0; i < own.size(); ++i)
      own[i] = start * static_cast<double>(100 + rows().first * kSize + i);
  }
  StepRange rows() const {
    return parallel::BlockLayout::balanced(world().size(), grid.depth().size())
        .range(grid.depth().rank());
  }
  std::vector<train::StoredArray> all() {
    train::StoredArray cell{"parameters/cell", 1, kSize, {0, 1}, shared.data(), "numbers"};
    cell.shared = true;
    return {cell,
            {"parameters/layers", world().size(), kSize, rows(), own.data(), "numbers by step"}};
  }

  parallel::ProcessGrid grid;
  Buffer<Real> shared, own;
};

TEST(TrainingFiles, SharedRowsAreWrittenOnceAndReadByAll) {
  const int P = world().size();
  const cli::Context context{world(), "test", "[train]\n", {}, true, false};
  FilesConfig files;
  files.checkpoint = fmt::format("training_files_test_{}.h5", P);
  const io::Problem model{"cell", P, 1, 1, 1};
  for (const int before : {P, 1}) {
    Arrays saved(before, 1);
    train::History history;
    std::vector<EvaluationRow> evaluations;
    TrainingFiles(context, saved.grid, files, model)
        .save({saved.all(), history, evaluations, 3, 0});
    for (const int after : {1, P}) {
      Arrays found(after, 0), expected(after, 1);
      TrainingState state{found.all(), history, evaluations};
      TrainingFiles(context, found.grid, files, model).resume(files.checkpoint, state);
      EXPECT_EQ(state.updates, 3);
      for (Index i = 0; i < kSize; ++i) EXPECT_EQ(found.shared[i], expected.shared[i]);
      for (Index i = 0; i < found.own.size(); ++i) EXPECT_EQ(found.own[i], expected.own[i]);
    }
  }
  world().barrier();
  if (world().is_root()) {
    std::remove(files.checkpoint.c_str());
    std::remove((files.checkpoint + ".1").c_str());
  }
}

}  // namespace
}  // namespace deeppcr::app
