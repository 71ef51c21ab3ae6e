#include "deeppcr/io/checkpoint.hpp"

#include <functional>

#include "io/replace_file.hpp"
#include "io_support.hpp"

namespace deeppcr::test {
namespace {

using io::Checkpoint;
using io::CheckpointContent;
using io::find_newest_intact;
using io::Problem;
using io::save_checkpoint;
using parallel::BlockLayout;
using parallel::Communicator;
using sequence::Trajectory;

constexpr Index kBatch = 2;
constexpr int kWidth = 3;

Problem problem_of(Index num_steps) { return {"resnet", num_steps, kBatch, kWidth, 5}; }

/// Saves a trajectory whose states are marks plus `shift`. Collective on comm.
void save_marks(const Communicator& comm, const std::string& path, Index num_steps,
                Real shift = 0) {
  Trajectory trajectory(comm, BlockLayout::balanced(num_steps, comm.size()), kBatch, kWidth);
  fill_with_marks(trajectory, shift);
  CheckpointContent content;
  content.problem = problem_of(num_steps);
  content.progress = {4, 1e-3, 12.5};
  content.arrays.push_back(
      io::state_array(comm, trajectory.layout(), trajectory.input(), trajectory.states().data()));
  save_checkpoint(comm, path, example_provenance(comm), content);
}

/// Number of wrong entries on any rank of comm after loading.
Index wrong_after_loading(const Communicator& comm, const std::string& path, Index num_steps,
                          Real shift = 0) {
  const Checkpoint stored(comm, path);
  stored.require(problem_of(num_steps));
  std::vector<double> share(static_cast<std::size_t>(comm.size()), 1.0);
  share[0] = 3.0;
  Trajectory trajectory(comm, BlockLayout::by_share(num_steps, share), kBatch, kWidth);
  stored.read_state(trajectory);
  return wrong_states(trajectory, shift) + wrong_input(trajectory, shift);
}

class AnyRanks : public testing::TestWithParam<Index> {};

/// Written on w ranks, read on r ranks, for all w, r up to the size of the run.
TEST_P(AnyRanks, WrittenAndReadOnAnyNumber) {
  const Index num_steps = GetParam();
  const TemporaryFolder folder;
  std::string expected_crc;
  for (int writers = 1; writers <= world().size(); ++writers) {
    const std::string path = folder / ("w" + std::to_string(writers) + ".h5");
    const Communicator writing = world().first_ranks(writers);
    if (world().rank() < writers) save_marks(writing, path, num_steps);
    world().barrier();
    for (int readers = 1; readers <= world().size(); ++readers) {
      const Communicator reading = world().first_ranks(readers);
      EXPECT_EQ(wrong_after_loading(reading, path, num_steps), 0) << writers << " " << readers;
    }
    const auto file = io::hdf5::File::open(path, io::hdf5::File::Access::read);
    const std::string crc = file.text("/state/z", "crc32");
    if (writers == 1) expected_crc = crc;
    EXPECT_EQ(crc, expected_crc) << "the checksum must not depend on the number of ranks";
  }
}

// No step, one, fewer than ranks, uneven.
INSTANTIATE_TEST_SUITE_P(Steps, AnyRanks, testing::Values(0, 1, 2, 17));

TEST(Checkpoint, KeepsProgressProvenanceAndNamedArrays) {
  const TemporaryFolder folder;
  const std::string path = folder / "c.h5";
  const Index rows = 5;
  const StepRange mine = BlockLayout::balanced(rows, world().size()).range(world().rank());
  std::vector<Real> split;
  for (Index r = mine.first; r < mine.last; ++r) split.push_back(static_cast<Real>(r));
  const std::vector<Real> replicated{7, 8, 9};
  CheckpointContent content{problem_of(rows), {3, 0.5, 2.5}, {}};
  content.arrays.push_back({"/parameters/weight",
                            {rows},
                            {{mine.first, mine.size(), split.data()}},
                            {"weights", {"step"}}});
  content.arrays.push_back({"/optimiser/momentum",
                            {3},
                            {{0, world().is_root() ? 3 : 0, replicated.data()}},
                            {"momentum", {"entry"}}});
  save_checkpoint(world(), path, example_provenance(world()), content);
  const Checkpoint stored(world(), path);
  EXPECT_EQ(stored.progress().iteration, 3);
  EXPECT_EQ(stored.progress().residual, 0.5);
  EXPECT_EQ(stored.progress().elapsed_seconds, 2.5);
  EXPECT_EQ(stored.configuration(), "steps = 7\nmodel = resnet\n");
  EXPECT_EQ(stored.file().integer("/", "ranks"), world().size());
  EXPECT_EQ(stored.file().texts("/", "hosts").size(), static_cast<std::size_t>(world().size()));
  EXPECT_EQ(stored.file().texts("/", "arrays"),
            (std::vector<std::string>{"/parameters/weight", "/optimiser/momentum"}));
  std::vector<Real> back(3, 0.0);
  stored.file().read_rows<Real>("/optimiser/momentum", {{0, 3, back.data()}});
  EXPECT_EQ(back, replicated);
  std::vector<Real> all(5, -1.0);
  stored.file().read_rows<Real>("/parameters/weight", {{0, rows, all.data()}});
  EXPECT_EQ(all, (std::vector<Real>{0, 1, 2, 3, 4}));
}

TEST(Checkpoint, RefusesWithOneSentence) {
  const TemporaryFolder folder;
  const std::string path = folder / "c.h5";
  save_marks(world(), path, 7);
  const std::string foreign = folder / "foreign.h5";
  const std::string future = folder / "future.h5";
  on_root([&] {
    io::hdf5::File::create(foreign).close();
    std::filesystem::copy_file(path, future);
    auto file = io::hdf5::File::open(future, io::hdf5::File::Access::modify);
    file.set("/", "format_version", Index{99});
    file.close();
  });
  EXPECT_ERROR(Checkpoint(world(), folder / "absent.h5"), "No such file");
  EXPECT_ERROR(Checkpoint(world(), foreign), "is not a deeppcr-checkpoint file");
  EXPECT_ERROR(Checkpoint(world(), future), "version 99; this program reads version 1");
  const Checkpoint stored(world(), path);
  EXPECT_ERROR(stored.require({"mlp", 7, kBatch, kWidth, 5}), "model resnet, but this run has mlp");
  EXPECT_ERROR(stored.require({"resnet", 8, kBatch, kWidth, 5}), "L (steps) = 7");
  EXPECT_ERROR(stored.require({"resnet", 7, 9, kWidth, 5}), "B (batch) = 2");
  EXPECT_ERROR(stored.require({"resnet", 7, kBatch, 9, 5}), "n (width) = 3");
}

TEST(Checkpoint, ATruncatedOneIsRefused) {
  const TemporaryFolder folder;
  const std::string path = folder / "c.h5";
  save_marks(world(), path, 200);
  const std::string bytes = [&] {
    std::string text = world().is_root() ? contents(path) : "";
    world().broadcast(text, 0);
    return text;
  }();
  for (const double share : {0.0, 0.01, 0.5, 0.9, 0.9999}) {
    const auto size = static_cast<std::size_t>(share * static_cast<double>(bytes.size()));
    on_root([&] { write_file(path, bytes.substr(0, size)); });
    EXPECT_NE(error_of([&] { Checkpoint(world(), path); }), "") << size << " bytes";
  }
}

/// Whatever bit flips: the checkpoint is refused, or what it says is still right (a bit that
/// nothing reads).
TEST(Checkpoint, AFlippedBitIsNoticedOrHarmless) {
  const TemporaryFolder folder;
  const std::string path = folder / "c.h5";
  save_marks(world(), path, 40);
  std::string bytes = world().is_root() ? contents(path) : "";
  world().broadcast(bytes, 0);
  const std::size_t data =
      bytes.find(std::string_view("\0\0\0\0\0\0\xe0\x3f", 8));  // mark(0, 0, 0) = 0.5
  ASSERT_NE(data, std::string::npos);
  int refused = 0;
  const std::size_t stride = bytes.size() / 150;
  for (std::size_t at = 0; at < bytes.size(); at += stride) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (at % 8)));
    on_root([&] { write_file(path, damaged); });
    Index wrong = 0;
    const std::string error = error_of([&] { wrong = wrong_after_loading(world(), path, 40); });
    refused += error.empty() ? 0 : 1;
    EXPECT_EQ(wrong, 0) << "byte " << at << " was changed unnoticed";
  }
  EXPECT_GT(refused, 0);
  bytes[data + 6] = static_cast<char>(bytes[data + 6] ^ 1);
  on_root([&] { write_file(path, bytes); });
  EXPECT_ERROR(Checkpoint(world(), path), "damaged: the checksum of /state/z");
}

/// Room reserved for writing is given back.
TEST(Checkpoint, IsNotMuchLargerThanItsContent) {
  const TemporaryFolder folder;
  const std::string path = folder / "c.h5";
  const Index num_steps = 10000;
  save_marks(world(), path, num_steps);
  const auto content =
      static_cast<std::uintmax_t>((num_steps + 1) * kBatch * kWidth) * sizeof(Real);
  EXPECT_LE(std::filesystem::file_size(path), content + 16384);
}

TEST(Checkpoint, KeepsTheLastTwo) {
  const TemporaryFolder folder;
  const std::string path = folder / "c.h5";
  for (int i = 0; i < 5; ++i) save_marks(world(), path, 3, i);
  on_root([&] {
    EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"c.h5", "c.h5.1"}));
  });
  EXPECT_EQ(wrong_after_loading(world(), path, 3, 4), 0);
  EXPECT_EQ(wrong_after_loading(world(), path + ".1", 3, 3), 0);
}

/// A kill between any two steps that put a new one in place leaves an intact checkpoint that is
/// found: the one before or the new one.
TEST(Checkpoint, AKillDuringItsPlacingLosesNothing) {
  namespace fs = std::filesystem;
  const std::vector<std::function<void(const std::string&)>> steps{
      [](const std::string& path) { fs::create_hard_link(path, path + ".1.tmp"); },
      [](const std::string& path) { io::keep_older(path); },
      [](const std::string& path) { fs::rename(path + ".tmp", path); }};
  for (std::size_t done = 0; done <= steps.size(); ++done) {
    const TemporaryFolder folder;
    const std::string path = folder / "c.h5";
    for (int i = 0; i < 4; ++i) save_marks(world(), path, 3, i);
    save_marks(world(), folder / "new.h5", 3, 4);
    on_root([&] {
      fs::rename(folder / "new.h5", path + ".tmp");
      for (std::size_t step = 0; step < done; ++step) steps[step](path);
    });
    const auto found = find_newest_intact(world(), path);
    ASSERT_TRUE(found.has_value()) << done << " steps done";
    const bool finished = done == steps.size();
    EXPECT_EQ(wrong_after_loading(world(), *found, 3, finished ? 4 : 3), 0) << done;
    // The next run saves over what the kill left.
    save_marks(world(), path, 3, 5);
    EXPECT_EQ(wrong_after_loading(world(), path, 3, 5), 0);
  }
}

TEST(Checkpoint, TheNewestIntactOneIsFound) {
  const TemporaryFolder folder;
  const std::string path = folder / "c.h5";
  EXPECT_FALSE(find_newest_intact(world(), path).has_value());
  for (int i = 0; i < 3; ++i) save_marks(world(), path, 3, i);
  EXPECT_EQ(find_newest_intact(world(), path), path);
  on_root([&] { std::filesystem::resize_file(path, 1000); });
  EXPECT_EQ(find_newest_intact(world(), path), path + ".1");
  on_root([&] { EXPECT_TRUE(std::filesystem::exists(path + ".damaged")); });
  EXPECT_EQ(find_newest_intact(world(), path), path + ".1");
}

TEST(Checkpoint, AnUnwritablePlaceIsNamed) {
  const TemporaryFolder folder;
  on_root([&] { write_file(folder / "file", ""); });
  EXPECT_ERROR(save_marks(world(), folder / "file/c.h5", 3), "Not a directory");
  EXPECT_ERROR(save_marks(world(), folder / "absent/c.h5", 3), "No such file or directory");
}

}  // namespace
}  // namespace deeppcr::test
