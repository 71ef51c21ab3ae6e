#include "deeppcr/io/trace.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cmath>

#include "deeppcr/io/checkpoint.hpp"
#include "deeppcr/io/hdf5_file.hpp"
#include "io_support.hpp"

namespace deeppcr::test {
namespace {

using io::StateSelection;
using io::Trace;
using io::TraceHeader;
using io::hdf5::File;
using io::hdf5::Shape;
using parallel::BlockLayout;
using sequence::Trajectory;

constexpr Index kSteps = 5;
constexpr Index kBatch = 2;
constexpr int kWidth = 3;

TraceHeader header_for(const parallel::Communicator& comm, const std::string& states = "all") {
  TraceHeader header;
  header.provenance = example_provenance(comm);
  header.problem = {"resnet", kSteps, kBatch, kWidth, 42};
  header.layout = BlockLayout::balanced(kSteps, comm.size());
  header.states = StateSelection::parse(states);
  return header;
}

nonlinear::IterationRecord record_of(int iteration) {
  nonlinear::IterationRecord record;
  record.iteration = iteration;
  record.residual = std::pow(2.0, -iteration);
  record.step_norm = 0.125;
  record.frozen_prefix = iteration;
  record.ksp_iterations = 1;
  record.seconds = {{"reduce", 0.5}, {"unheard of", 0.25}, {"rarer still", 0.5}};
  record.seconds_min = {{"reduce", 0.25}};
  // The first record comes before any linear solve.
  for (int level = 0; level < std::min(iteration, 2); ++level) record.levels.push_back({1, 64});
  return record;
}

nonlinear::SolveReport converged_report() {
  nonlinear::SolveReport report;
  report.status = nonlinear::Status::converged;
  report.iterations = 3;
  report.residual = 1e-12;
  report.lyapunov = -0.5;
  report.seconds = {{"total", 1.5}};
  return report;
}

Trajectory marked(const parallel::Communicator& comm) {
  Trajectory trajectory(comm, BlockLayout::balanced(kSteps, comm.size()), kBatch, kWidth);
  fill_with_marks(trajectory);
  return trajectory;
}

TEST(StateSelection, Parses) {
  const auto numbers = [](const char* text) { return StateSelection::parse(text).states(5); };
  EXPECT_EQ(numbers("all"), (std::vector<Index>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(numbers("last"), (std::vector<Index>{5}));
  EXPECT_EQ(numbers("none"), (std::vector<Index>{}));
  EXPECT_EQ(numbers("every:2"), (std::vector<Index>{0, 2, 4}));
  EXPECT_EQ(StateSelection::parse("last").states(0), (std::vector<Index>{0}));
  for (const char* bad : {"", "every", "every:", "every:0", "every:-1", "every:x", "every:2x",
                          "All", "every:99999999999999999999"}) {
    EXPECT_ERROR(StateSelection::parse(bad), "all, last, none, every:K");
  }
}

TEST(Trace, HoldsTheHistory) {
  const TemporaryFolder folder;
  const std::string path = folder / "run.h5";
  Trace trace(world(), path, header_for(world()));
  for (int k = 0; k < 4; ++k) trace.append(record_of(k));
  trace.outcome(converged_report(), {"-snes_mystery = 1"});
  trace.close();
  const File file = File::open(path, File::Access::read);
  EXPECT_EQ(io::format_of(file), "deeppcr-trace");
  EXPECT_EQ(io::read_problem(file).num_steps, kSteps);
  EXPECT_EQ(file.read<Index>("/layout/first_step").size(),
            static_cast<std::size_t>(world().size() + 1));
  EXPECT_EQ(file.read<double>("/iterations/residual"), (std::vector<double>{1, 0.5, 0.25, 0.125}));
  EXPECT_EQ(file.read<Index>("/iterations/frozen_prefix"), (std::vector<Index>{0, 1, 2, 3}));
  EXPECT_EQ(file.shape("/iterations/bytes"), (Shape{4, 2}));
  EXPECT_EQ(file.read<Index>("/iterations/bytes"),
            (std::vector<Index>{0, 0, 64, 0, 64, 64, 64, 64}));
  const auto stages = file.texts("/iterations/seconds", "stages");
  EXPECT_EQ(stages.back(), "other");
  const auto seconds = file.read<double>("/iterations/seconds");
  EXPECT_EQ(seconds[stages.size() - 1], 0.75);
  EXPECT_EQ(file.text("/outcome", "status"), "converged");
  EXPECT_EQ(file.integer("/outcome", "iterations"), 3);
  EXPECT_EQ(file.number("/outcome", "lyapunov"), -0.5);
  EXPECT_EQ(file.number("/outcome", "seconds"), 1.5);
  EXPECT_EQ(file.text("/", "options_unused"), "-snes_mystery = 1");
}

TEST(Trace, H5pyReadsItLiveAndAfterwards) {
  if (!has_h5py()) GTEST_SKIP() << "/usr/bin/python3 has no h5py";
  const TemporaryFolder folder;
  const std::string path = folder / "run.h5";
  Trace trace(world(), path, header_for(world()), 0.0);
  trace.append(record_of(0));
  trace.append(record_of(1));
  EXPECT_EQ(run_script("read_trace.py", path + " live 2"), 0);
  trace.append(record_of(2));
  EXPECT_EQ(run_script("read_trace.py", path + " live 3"), 0);
  trace.outcome(converged_report());
  trace.states(marked(world()));
  trace.close();
  EXPECT_EQ(run_script("read_trace.py", path + " closed 3"), 0);
}

/// A process that dies without closing leaves a trace that can be read, with all that was flushed.
TEST(Trace, AKilledWriterLeavesAReadableTrace) {
  const TemporaryFolder folder;
  const std::string path = folder / "run.h5";
  const std::string copy = folder / "copy.h5";
  Trace trace(world(), path, header_for(world()), 0.0);
  trace.append(record_of(0));
  trace.append(record_of(1));
  // What is on the disk at this instant is what a kill would leave.
  on_root([&] { std::filesystem::copy_file(path, copy); });
  {
    const File file = File::open(copy, File::Access::read);
    EXPECT_EQ(file.read<double>("/iterations/residual"), (std::vector<double>{1, 0.5}));
    EXPECT_EQ(file.text("/outcome", "status"), "running");
  }
  world().barrier();
  // And a new run may take its place.
  Trace again(world(), copy, header_for(world()));
  again.close();
}

TEST(Trace, OneOfARunKilledAtItsEndIsKept) {
  const TemporaryFolder folder;
  const std::string path = folder / "run.h5", copy = folder / "copy.h5";
  Trace(world(), path, header_for(world())).close();
  on_root([&] {
    File ending = File::open(path, File::Access::modify);
    ending.set("/outcome", "status", std::string("converged"));
    ending.flush();
    write_file(copy, contents(path));  // as a kill at this instant leaves it
    ending.close();
    EXPECT_NE(error_of([&] { File::open(copy, File::Access::read); }), "");
  });
  io::TraceHeader header = header_for(world());
  header.iterations_before = 1;
  Trace(world(), copy, header).close();
  EXPECT_EQ(File::open(copy + ".1", File::Access::read).text("/outcome", "status"), "converged");
  on_root([&] { write_file(copy, contents(path).substr(0, 100)); });
  Trace(world(), copy, header).close();
  on_root([&] { EXPECT_TRUE(std::filesystem::exists(copy + ".damaged")); });
}

TEST(Trace, OneThatIsReadIsReplacedAndStaysWhole) {
  const TemporaryFolder folder;
  const std::string path = folder / "run.h5";
  Trace(world(), path, header_for(world())).close();
  const File reader = File::open(path, File::Access::read);  // holds its lock, as a notebook does
  world().barrier();
  Trace(world(), path, header_for(world())).close();
  EXPECT_EQ(reader.text("/outcome", "status"), "running");
  EXPECT_EQ(File::open(path, File::Access::read).text("/outcome", "status"), "running");
}

TEST(Trace, ALockedReaderDoesNotHinderItsEnd) {
  const TemporaryFolder folder;
  const std::string path = folder / "run.h5";
  Trace trace(world(), path, header_for(world()));
  on_root([&] {
    const int reader = ::open(path.c_str(), O_RDONLY);
    ASSERT_EQ(::flock(reader, LOCK_SH), 0);
    // kept until the process ends
  });
  trace.outcome({});
  trace.close();
  const File file = File::open(path, File::Access::read);
  EXPECT_NE(file.text("/outcome", "status"), "running");
}

TEST(Trace, WhereItCannotBeWrittenNothingIsLost) {
  const TemporaryFolder folder;
  const std::string text = folder / "text";
  on_root([&] { write_file(text, "a text"); });
  EXPECT_ERROR(Trace(world(), text + "/run.h5", header_for(world())), "Not a directory");
  EXPECT_ERROR(Trace(world(), folder.path(), header_for(world())), "Is a directory");
  EXPECT_EQ(contents(text), "a text");
  EXPECT_FALSE(std::filesystem::exists(folder.path() + ".tmp"));
}

/// A run that goes on keeps the history of the first part, if it is one of the same chain.
TEST(Trace, GoingOnKeepsTheOlderOnes) {
  const TemporaryFolder folder;
  const std::string path = folder / "run.h5";
  TraceHeader header = header_for(world());
  header.iterations_before = 0;
  for (int part = 0; part < 3; ++part, header.iterations_before = 4 * part) {
    Trace trace(world(), path, header);
    for (int k = 0; k <= part; ++k) trace.append(record_of(k));
    if (part > 0) trace.states(marked(world()));  // the first part ended before it had any
    trace.close();
  }
  world().barrier();
  // parts 0, 1, 2 are run.h5.1, run.h5.2, run.h5
  for (Index part = 0; part < 3; ++part) {
    const std::string name = part == 2 ? path : fmt::format("{}.{}", path, part + 1);
    const File file = File::open(name, File::Access::read);
    EXPECT_EQ(file.shape("/iterations/residual"), Shape{part + 1});
    EXPECT_EQ(file.integer("/outcome", "iterations_before"), 4 * part);
    const std::string states = Trace::states_path(name);
    EXPECT_EQ(folder / file.linked_file("/states"), states);
    EXPECT_EQ(std::filesystem::exists(states), part > 0);
  }
  world().barrier();
  header.problem.seed += 1;
  Trace(world(), path, header).close();
  on_root([&] { EXPECT_FALSE(std::filesystem::exists(path + ".3")); });
}

/// A killed run leaves its trace marked as being written.
TEST(Trace, GoesOnFromThatOfAKilledRun) {
  const TemporaryFolder folder;
  const std::string path = folder / "run.h5", living = folder / "living.h5";
  Trace trace(world(), living, header_for(world()));
  trace.append(record_of(0));
  on_root([&] { std::filesystem::copy_file(living, path); });
  trace.close();
  TraceHeader header = header_for(world());
  header.iterations_before = 1;
  Trace(world(), path, header).close();
  const File file = File::open(path + ".1", File::Access::read);
  EXPECT_EQ(file.shape("/iterations/residual"), Shape{1});
  EXPECT_EQ(folder / file.linked_file("/states"), Trace::states_path(path + ".1"));
}

class SelectedStates : public testing::TestWithParam<const char*> {};

TEST_P(SelectedStates, AreWrittenInOrder) {
  const TemporaryFolder folder;
  const std::string path = folder / "run.h5";
  Trace trace(world(), path, header_for(world(), GetParam()));
  trace.states(marked(world()));
  trace.close();
  const auto wanted = StateSelection::parse(GetParam()).states(kSteps);
  const File file = File::open(Trace::states_path(path), File::Access::read);
  EXPECT_EQ(file.read<Index>("/state"), wanted);
  const auto z = file.read<double>("/z");
  ASSERT_EQ(z.size(), wanted.size() * kBatch * kWidth);
  for (std::size_t k = 0; k < z.size(); ++k) {
    const auto at = static_cast<Index>(k);
    EXPECT_EQ(z[k], mark(wanted[k / (kBatch * kWidth)], at / kWidth % kBatch, at % kWidth));
  }
}

INSTANTIATE_TEST_SUITE_P(Trace, SelectedStates,
                         testing::Values("all", "last", "every:2", "every:3", "every:9"));

TEST(Guess, ComesFromATraceOfAnyLayout) {
  const TemporaryFolder folder;
  const std::string path = folder / "run.h5";
  {
    Trace trace(world(), path, header_for(world()));
    trace.states(marked(world()));
    trace.close();
  }
  for (int ranks = 1; ranks <= world().size(); ++ranks) {
    const parallel::Communicator comm = world().first_ranks(ranks);
    Trajectory trajectory(comm, BlockLayout::balanced(kSteps, comm.size()), kBatch, kWidth);
    trajectory.input()(0, 0) = -7.0;
    io::read_guess(path, trajectory);
    EXPECT_EQ(wrong_states(trajectory), 0);
    EXPECT_EQ(trajectory.input()(0, 0), -7.0) << "the input is the run's own";
  }
}

TEST(Guess, RefusesOtherSizesAndFiles) {
  const TemporaryFolder folder;
  const std::string path = folder / "run.h5";
  const std::string bare = folder / "bare.h5";
  const std::string some = folder / "some.h5";
  Trace(world(), bare, header_for(world(), "none")).close();
  {
    Trace trace(world(), path, header_for(world()));
    trace.states(marked(world()));
    Trace part(world(), some, header_for(world(), "last"));
    part.states(marked(world()));
  }
  const auto guess = [&](const std::string& file, Index steps, Index batch, int width) {
    Trajectory trajectory(world(), BlockLayout::balanced(steps, world().size()), batch, width);
    io::read_guess(file, trajectory);
  };
  EXPECT_ERROR(guess(path, 6, kBatch, kWidth),
               "[6, 2, 3], but this run needs [L + 1, B, n] = [7, 2, 3]");
  EXPECT_ERROR(guess(path, kSteps, 1, kWidth), "= [6, 1, 3]");
  EXPECT_ERROR(guess(path, kSteps, kBatch, 4), "= [6, 2, 4]");
  EXPECT_ERROR(guess(some, kSteps, kBatch, kWidth), "has states [1, 2, 3]");
  EXPECT_ERROR(guess(bare, kSteps, kBatch, kWidth), "holds no states");
  EXPECT_ERROR(guess(folder / "absent.h5", kSteps, kBatch, kWidth), "No such file");
}

}  // namespace
}  // namespace deeppcr::test
