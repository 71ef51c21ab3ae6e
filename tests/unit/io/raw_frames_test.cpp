#include "deeppcr/io/raw_frames.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>

#include "deeppcr/core/error.hpp"
#include "io_support.hpp"

namespace deeppcr::test {
namespace {

using io::RawFrames;
using Next = RawFrames::Next;

/// The bytes of numbers; this machine is little-endian, as the format is.
template <typename T>
std::string bytes_of(std::initializer_list<T> numbers) {
  std::string bytes(numbers.size() * sizeof(T), ' ');
  std::memcpy(bytes.data(), numbers.begin(), bytes.size());
  return bytes;
}

/// A name that no other rank has.
std::string own(const TemporaryFolder& folder) { return folder / std::to_string(world().rank()); }

std::string file_of(const std::string& name, const std::string& bytes) {
  std::ofstream(name, std::ios::binary) << bytes;
  return name;
}

TEST(RawFrames, ReadsWholeFramesAndKnowsWhatIsLeft) {
  const TemporaryFolder folder;
  const std::string path = file_of(own(folder), bytes_of<float>({1, -2.5, 3, 4, 5}));
  RawFrames frames(path, 2, false);
  EXPECT_FALSE(frames.is_live());
  Real numbers[2] = {};
  int label = 7;
  ASSERT_EQ(frames.next(0, numbers, label), Next::frame);
  EXPECT_EQ(numbers[0], 1);
  EXPECT_EQ(numbers[1], -2.5);
  EXPECT_EQ(label, -1);
  ASSERT_EQ(frames.next(0, numbers, label), Next::frame);
  EXPECT_EQ(numbers[1], 4);
  EXPECT_EQ(frames.next(0, numbers, label), Next::end);
  EXPECT_EQ(frames.next(0, numbers, label), Next::end);
  EXPECT_EQ(frames.bytes_left(), 4);
  EXPECT_EQ(frames.bytes_a_frame(), 8);
}

TEST(RawFrames, SkipsWhatIsThere) {
  const TemporaryFolder folder;
  const std::string path = file_of(own(folder), bytes_of<float>({1, 2, 3, 4, 5, 6, 7}));
  RawFrames frames(path, 2, false);
  Real numbers[2] = {};
  int label = 0;
  ASSERT_EQ(frames.next(0, numbers, label), Next::frame);
  EXPECT_EQ(frames.skip(1), 1);
  ASSERT_EQ(frames.next(0, numbers, label), Next::frame);
  EXPECT_EQ(numbers[0], 5);
  EXPECT_EQ(frames.skip(1'000'000'000'000), 0);
  EXPECT_EQ(frames.next(0, numbers, label), Next::end);
  EXPECT_EQ(frames.bytes_left(), 4);
  RawFrames device("/dev/zero", 2, false);
  EXPECT_EQ(device.skip(3), 0);
}

TEST(RawFrames, ReadsLabels) {
  const TemporaryFolder folder;
  const std::string one = bytes_of<std::int32_t>({9}) + bytes_of<float>({0.5});
  const std::string other = bytes_of<std::int32_t>({-3}) + bytes_of<float>({1.5});
  RawFrames frames(file_of(own(folder), one + other), 1, true);
  Real number = 0;
  int label = 0;
  ASSERT_EQ(frames.next(0, &number, label), Next::frame);
  EXPECT_EQ(number, 0.5);
  EXPECT_EQ(label, 9);
  ASSERT_EQ(frames.next(0, &number, label), Next::frame);
  EXPECT_EQ(label, -3);
  EXPECT_EQ(frames.next(0, &number, label), Next::end);
  EXPECT_EQ(frames.bytes_left(), 0);
}

TEST(RawFrames, WaitsForAWriterAndForTheRestOfAFrame) {
  const TemporaryFolder folder;
  const std::string path = own(folder);
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  RawFrames frames(path, 2, false);
  EXPECT_TRUE(frames.is_live());
  Real numbers[2] = {};
  int label = 0;
  EXPECT_EQ(frames.next(0.01, numbers, label), Next::none);
  const int writer = ::open(path.c_str(), O_WRONLY);
  ASSERT_GE(writer, 0);
  const std::string bytes = bytes_of<float>({1, 2});
  ASSERT_EQ(::write(writer, bytes.data(), 3), 3);
  EXPECT_EQ(frames.next(0.01, numbers, label), Next::none);
  ASSERT_EQ(::write(writer, bytes.data() + 3, 5), 5);
  ASSERT_EQ(frames.next(0.01, numbers, label), Next::frame);
  EXPECT_EQ(numbers[1], 2);
  ::close(writer);
  EXPECT_EQ(frames.next(0.01, numbers, label), Next::end);
}

TEST(RawFrames, RefusesWhatCannotBeRead) {
  const TemporaryFolder folder;
  EXPECT_THROW(RawFrames(own(folder), 1, false), Error);
  EXPECT_THROW(RawFrames(folder.path(), 1, false), Error);
}

}  // namespace
}  // namespace deeppcr::test
