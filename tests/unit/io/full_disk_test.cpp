#include <sys/mount.h>
#include <sys/resource.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "deeppcr/io/checkpoint.hpp"
#include "deeppcr/io/trace.hpp"
#include "deeppcr/io/weights.hpp"
#include "io_support.hpp"

namespace deeppcr::test {
namespace {

using parallel::BlockLayout;
using sequence::Trajectory;

/// A file system of 1 MiB; empty error text where this user may mount one.
class SmallDisk {
 public:
  SmallDisk() {
    if (world().is_root() && mount("tmpfs", folder_.path().c_str(), "tmpfs", 0, "size=1m") != 0) {
      reason_ = std::string("cannot mount a small tmpfs: ") + std::strerror(errno);
    }
    world().broadcast(reason_, 0);
  }
  ~SmallDisk() {
    world().barrier();
    if (world().is_root() && reason_.empty()) umount2(folder_.path().c_str(), MNT_DETACH);
  }
  const std::string& reason() const { return reason_; }
  const TemporaryFolder& folder() const { return folder_; }

 private:
  TemporaryFolder folder_;
  std::string reason_;
};

/// No file of this process may grow beyond `bytes`, whatever the disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit{bytes, old_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit old_{};
  void (*handler_)(int);
};

void save(const std::string& path, Index num_steps, Real shift) {
  Trajectory trajectory(world(), BlockLayout::balanced(num_steps, world().size()), 4, 8);
  fill_with_marks(trajectory, shift);
  io::CheckpointContent content{{"mlp", num_steps, 4, 8, 0}, {}, {}};
  content.arrays.push_back(io::state_array(world(), trajectory.layout(), trajectory.input(),
                                           trajectory.states().data()));
  io::save_checkpoint(world(), path, example_provenance(world()), content);
}

void expect_intact(const std::string& path, Index num_steps, Real shift) {
  const io::Checkpoint stored(world(), path);
  Trajectory trajectory(world(), BlockLayout::balanced(num_steps, world().size()), 4, 8);
  stored.read_state(trajectory);
  EXPECT_EQ(wrong_states(trajectory, shift) + wrong_input(trajectory, shift), 0);
}

TEST(FullDisk, OlderCheckpointsStayAndTheSentenceSaysWhy) {
  const SmallDisk disk;
  if (!disk.reason().empty()) GTEST_SKIP() << disk.reason();
  const std::string path = disk.folder() / "c.h5";
  save(path, 1000, 0);
  EXPECT_ERROR(save(path, 4000, 1), "No space left on device");
  on_root([&] { EXPECT_EQ(names_in(disk.folder().path()), std::vector<std::string>{"c.h5"}); });
  expect_intact(path, 1000, 0);
}

/// The disk says no only when the data are written: a failure inside HDF5 and MPI-IO, on some
/// ranks.
TEST(FullDisk, ALimitIsTheSame) {
  const TemporaryFolder folder;
  const std::string path = folder / "c.h5";
  save(path, 1000, 0);
  {
    const FileSizeLimit limit(300 << 10);
    EXPECT_ERROR(save(path, 4000, 1), "File too large");
  }
  on_root([&] { EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"c.h5"}); });
  expect_intact(path, 1000, 0);
  // With room again the same name works.
  save(path, 4000, 2);
  expect_intact(path, 4000, 2);
  expect_intact(path + ".1", 1000, 0);
}

/// Layers of zeros, width 8, of which each rank writes its own: 576 bytes a step.
void write_layers(io::hdf5::File& file, Index num_steps) {
  io::WeightsShape shape;
  shape.num_steps = num_steps;
  shape.width = 8;
  const StepRange range = BlockLayout::balanced(num_steps, world().size()).range(world().rank());
  const std::array<Index, 2> sizes{range.size(), shape.parameters_per_step()};
  const std::vector<Real> zeros(static_cast<std::size_t>(sizes[0] * sizes[1]));
  io::write_layers(file, "", shape, range, {zeros.data(), sizes}, "weights");
}

template <typename Body>
void write_results(const std::string& path, Body&& body) {
  io::write_file(world(), path, file_format::kResults, example_provenance(world()), body);
}

TEST(FullDisk, ResultsLeaveNothingHalfDone) {
  const SmallDisk disk;
  if (!disk.reason().empty()) GTEST_SKIP() << disk.reason();
  const Trajectory trajectory(world(), BlockLayout::balanced(8, world().size()), 4, 8);
  write_results(disk.folder() / "small.h5",
                [&](io::hdf5::File& file) { io::write_last_state(file, trajectory); });
  EXPECT_ERROR(write_results(disk.folder() / "out.h5",
                             [](io::hdf5::File& file) { write_layers(file, 8000); }),
               "out.h5.tmp': No space left on device");
  on_root([&] { EXPECT_EQ(names_in(disk.folder().path()), std::vector<std::string>{"small.h5"}); });
}

TEST(FullDisk, ATraceKeepsWhatItHad) {
  const SmallDisk disk;
  if (!disk.reason().empty()) GTEST_SKIP() << disk.reason();
  const std::string path = disk.folder() / "run.h5";
  io::TraceHeader header;
  header.problem = {"mlp", 5, 2, 3, 0};
  header.layout = BlockLayout::balanced(5, 1);
  std::string error;
  {
    io::Trace trace(world(), path, header, 0.0);
    nonlinear::IterationRecord record;
    trace.append(record);
    on_root([&] {
      std::ofstream ballast(disk.folder() / "ballast", std::ios::binary);
      while (ballast) ballast << std::string(4096, 'x') << std::flush;
    });
    // Far more rows than fit into the pages that the file has already.
    error = error_of([&] {
      for (record.iteration = 1; record.iteration < 20000; ++record.iteration) trace.append(record);
    });
  }
  EXPECT_NE(error.find("No space left on device"), std::string::npos) << "got: " << error;
  const auto file = io::hdf5::File::open(path, io::hdf5::File::Access::read);
  EXPECT_GT(file.read<double>("/iterations/residual").size(), 0U);
}

TEST(FullDisk, ResultsAppearWholeOrNotAtAll) {
  const TemporaryFolder folder;
  const std::string path = folder / "out.h5";
  on_root([&] { write_file(path, "older"); });
  const auto write = [&] {
    write_results(path, [](io::hdf5::File& file) { write_layers(file, 4000); });
  };
  {
    const FileSizeLimit limit(300 << 10);
    EXPECT_ERROR(write(), "File too large");
  }
  on_root([&] { EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"out.h5"}); });
  on_root([&] { EXPECT_EQ(contents(path), "older"); });
}

}  // namespace
}  // namespace deeppcr::test
