#include "deeppcr/core/files.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "deeppcr/core/error.hpp"

namespace deeppcr {
namespace {

namespace fs = std::filesystem;

class Files : public testing::Test {
 protected:
  Files() {
    std::string name = (fs::temp_directory_path() / "deeppcr-files-XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~Files() override { fs::remove_all(folder_); }

  fs::path folder_;
};

TEST_F(Files, LinksAreFollowedToTheirTarget) {
  fs::create_directory(folder_ / "store");
  std::ofstream(folder_ / "store/real.h5") << "x";
  fs::create_symlink("store/real.h5", folder_ / "relative");
  fs::create_symlink(folder_ / "relative", folder_ / "twice");
  fs::create_symlink("store/not yet", folder_ / "dangling");
  const std::string real = (folder_ / "store/real.h5").string();
  EXPECT_EQ(link_target(real), real);
  EXPECT_EQ(link_target(folder_ / "relative"), real);
  EXPECT_EQ(link_target(folder_ / "twice"), real);
  EXPECT_EQ(link_target(folder_ / "dangling"), folder_ / "store/not yet");
  EXPECT_EQ(link_target(folder_ / "absent"), folder_ / "absent");
  EXPECT_EQ(link_target("no folder at all"), "no folder at all");
}

TEST_F(Files, ACircleOfLinksEnds) {
  fs::create_symlink("b", folder_ / "a");
  fs::create_symlink("a", folder_ / "b");
  EXPECT_NE(link_target(folder_ / "a"), "");
}

TEST_F(Files, LongPathsBecomeShorterFromHere) {
  const fs::path deep = folder_ / std::string(120, 'd') / std::string(120, 'e');
  fs::create_directories(deep);
  const std::string file = deep / "run.h5";
  EXPECT_EQ(short_path("run.h5"), "run.h5");
  EXPECT_THROW(short_path(file), Error);
  const fs::path before = fs::current_path();
  fs::current_path(deep);
  EXPECT_EQ(short_path(file), "run.h5");
  fs::current_path(before);
  EXPECT_THROW(short_path(std::string(240, 'n') + ".h5"), Error) << "one long name";
}

}  // namespace
}  // namespace deeppcr
