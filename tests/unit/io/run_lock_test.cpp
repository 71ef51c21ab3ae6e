#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include "deeppcr/io/written_files.hpp"
#include "support/environment.hpp"
#include "support/refusal.hpp"

namespace deeppcr::io {
namespace {

namespace fs = std::filesystem;
using test::world;

class Lock : public testing::Test {
 protected:
  Lock() {
    if (world().is_root()) {
      std::string name = (fs::temp_directory_path() / "deeppcr-lock-XXXXXX").string();
      folder = mkdtemp(name.data());
    }
    world().broadcast(folder, 0);
    file = folder + "/c.h5";
  }
  ~Lock() override {
    world().barrier();
    if (world().is_root()) fs::remove_all(folder);
  }
  std::string refused(const std::string& path) {
    return test::refusal([&] { const RunLock second(world(), "checkpoint", path); });
  }

  std::string folder, file;
};

TEST_F(Lock, KeepsASecondRunAway) {
  const RunLock first(world(), "checkpoint", file);
  const std::string said = refused(file);
  EXPECT_EQ(said.rfind("--checkpoint " + file + ": is being written by another run (process ", 0),
            0U)
      << said;
  EXPECT_EQ(refused(folder + "/other.h5"), "");
}

TEST_F(Lock, IsGoneAfterwards) {
  std::optional<RunLock> first(std::in_place, world(), "checkpoint", file);
  if (world().is_root()) {
    EXPECT_TRUE(fs::exists(file + ".lock"));
  }
  first.reset();
  if (world().is_root()) {
    EXPECT_TRUE(fs::is_empty(folder));
  }
  EXPECT_EQ(refused(file), "");
}

TEST_F(Lock, IsOneForAllNamesOfAFile) {
  if (world().is_root()) {
    std::ofstream(file) << "there";
    fs::create_symlink(file, folder + "/link.h5");
  }
  world().barrier();
  const RunLock first(world(), "checkpoint", folder + "/link.h5");
  EXPECT_NE(refused(file), "");
}

TEST_F(Lock, OfAKilledRunIsTakenOver) {
  if (world().is_root()) std::ofstream(file + ".lock") << "process 1 on nowhere";
  EXPECT_EQ(refused(file), "");
}

TEST_F(Lock, NeedsAFile) { EXPECT_EQ(refused(""), ""); }

}  // namespace
}  // namespace deeppcr::io
