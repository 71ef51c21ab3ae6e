#include "deeppcr/io/solve_recorder.hpp"

#include "io_support.hpp"

namespace deeppcr::test {
namespace {

using Action = nonlinear::Monitor::Action;
using parallel::BlockLayout;
using sequence::Trajectory;

struct Solve {
  TemporaryFolder folder;
  Trajectory trajectory{world(), BlockLayout::balanced(5, world().size()), 2, 3};
  io::CheckpointPlan plan;
  nonlinear::IterationRecord record;

  Solve() {
    fill_with_marks(trajectory);
    plan.path = folder / "c.h5";
    plan.provenance = example_provenance(world());
    plan.problem = {"mlp", 5, 2, 3, 1};
    plan.iterations_before = 10;
    record.iteration = 2;
    record.residual = 0.5;
  }
};

TEST(SolveRecorder, WritesNothingUnasked) {
  Solve run;
  io::SolveRecorder recorder(run.trajectory, nullptr, run.plan);
  EXPECT_EQ(recorder.iteration(run.record, run.trajectory.states().data()), Action::go_on);
  EXPECT_TRUE(names_in(run.folder.path()).empty());
}

TEST(SolveRecorder, SavesACheckpoint) {
  Solve run;
  io::SolveRecorder recorder(run.trajectory, nullptr, run.plan);
  recorder.save(run.record, run.trajectory.states().data());
  const io::Checkpoint stored(world(), run.plan.path);
  stored.require(run.plan.problem);
  EXPECT_EQ(stored.progress().iteration, 12);
  EXPECT_EQ(stored.progress().residual, 0.5);
  Trajectory back(world(), BlockLayout::balanced(5, world().size()), 2, 3);
  stored.read_state(back);
  EXPECT_EQ(wrong_states(back) + wrong_input(back), 0);
}

TEST(SolveRecorder, AppendsToTheTrace) {
  Solve run;
  const std::string path = run.folder / "run.h5";
  io::TraceHeader header;
  header.problem = run.plan.problem;
  header.layout = run.trajectory.layout();
  io::Trace trace(world(), path, header);
  run.plan.path.clear();
  io::SolveRecorder recorder(run.trajectory, &trace, run.plan);
  recorder.iteration(run.record, run.trajectory.states().data());
  recorder.save(run.record, run.trajectory.states().data());  // there is no path to write to
  trace.close();
  EXPECT_EQ(names_in(run.folder.path()), std::vector<std::string>{"run.h5"});
  const auto file = io::hdf5::File::open(path, io::hdf5::File::Access::read);
  EXPECT_EQ(file.read<double>("/iterations/residual"), std::vector<double>{0.5});
}

}  // namespace
}  // namespace deeppcr::test
