// Recordings (WAV) and tables (CSV) as sequences.
#include <cmath>
#include <cstring>

#include "deeppcr/io/signals.hpp"
#include "io_support.hpp"

namespace deeppcr::test {
namespace {

using io::Signals;

std::vector<Real> values_of(const Buffer<Real>& buffer) { return {buffer.begin(), buffer.end()}; }

/// Little-endian bytes of a number.
std::string bytes_of(std::uint32_t value, int count) {
  std::string bytes;
  for (int i = 0; i < count; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xff);
  return bytes;
}

/// A WAV file: encoding 1 is PCM, 3 floating point, 7 mu-law.
std::string wav(int encoding, int channels, int bits, const std::string& data) {
  const auto block = static_cast<std::uint32_t>(channels * bits / 8);
  const std::string format = bytes_of(static_cast<std::uint32_t>(encoding), 2) +
                             bytes_of(static_cast<std::uint32_t>(channels), 2) + bytes_of(8000, 4) +
                             bytes_of(8000 * block, 4) + bytes_of(block, 2) +
                             bytes_of(static_cast<std::uint32_t>(bits), 2);
  const auto size = static_cast<std::uint32_t>(data.size());
  const std::string body = "WAVEfmt " + bytes_of(16, 4) + format + "data" + bytes_of(size, 4) +
                           data + (size % 2 == 0 ? "" : std::string(1, '\0'));
  return "RIFF" + bytes_of(static_cast<std::uint32_t>(body.size()), 4) + body;
}

template <typename T>
std::string floats(std::initializer_list<T> values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), values.begin(), bytes.size());
  return bytes;
}

/// A file with these bytes.
class ByteFile {
 public:
  Signals read(const std::string& bytes, Index frame = 1) const {
    on_root([&] { write_file(path(), bytes); });
    return io::read_signals(world(), path(), {frame});
  }
  std::string path() const { return folder_ / "in"; }

 private:
  TemporaryFolder folder_;
};

#ifdef DEEPPCR_TEST_WAV

TEST(Recordings, PcmAndFloats) {
  const ByteFile file;
  using Values = std::vector<Real>;
  EXPECT_EQ(values_of(file.read(wav(1, 1, 8, std::string("\x80\x00\xc0", 3))).inputs),
            (Values{0, -1, 0.5}));
  EXPECT_EQ(values_of(file.read(wav(1, 1, 16, std::string("\x00\x40\x00\x80", 4))).inputs),
            (Values{0.5, -1}));
  EXPECT_EQ(values_of(file.read(wav(1, 1, 24, std::string("\x00\x00\x20", 3))).inputs),
            (Values{0.25}));
  EXPECT_EQ(values_of(file.read(wav(1, 1, 32, bytes_of(0xc0000000U, 4))).inputs), (Values{-0.5}));
  EXPECT_EQ(values_of(file.read(wav(3, 1, 32, floats<float>({1.5F, -2.F}))).inputs),
            (Values{1.5, -2}));
  EXPECT_EQ(values_of(file.read(wav(3, 1, 64, floats<double>({0.1}))).inputs), (Values{0.1}));
}

TEST(Recordings, FramesOfAllChannels) {
  const ByteFile file;
  const std::string stereo = wav(3, 2, 32, floats<float>({1, 2, 3, 4, 5, 6}));
  const Signals each = file.read(stereo);
  EXPECT_EQ(each.samples, 1);
  EXPECT_EQ(each.steps, 3);
  EXPECT_EQ(each.features, 2);
  const Signals pairs = file.read(stereo, 2);
  EXPECT_EQ(pairs.steps, 2);
  EXPECT_EQ(pairs.features, 4);
  EXPECT_EQ(values_of(pairs.inputs), (std::vector<Real>{1, 2, 3, 4, 5, 6, 0, 0}));
  EXPECT_EQ(file.read(stereo, 3).steps, 1);
  EXPECT_ERROR(file.read(stereo, 4), "--frame 4: '" + file.path() + "' has 3 samples");
}

TEST(Recordings, OddOnesAreNamed) {
  const ByteFile file;
  const std::string whole = wav(1, 1, 16, std::string(100, '\1'));
  for (const std::size_t size : {20, 44, 60, 143})
    EXPECT_ERROR(file.read(whole.substr(0, size)), file.path());
  EXPECT_ERROR(file.read(whole.substr(0, 60)), "is truncated");
  EXPECT_ERROR(file.read(wav(1, 1, 16, "")), "holds no sample");
  EXPECT_ERROR(file.read(wav(7, 1, 8, "abc")), "convert it");
  EXPECT_ERROR(file.read(wav(3, 2, 32, floats<float>({1, 2, 3, std::nanf("")}))),
               "has nan in sample 1, channel 1");
}

#else

TEST(Recordings, AreRefusedInASentence) {
  const ByteFile file;
  EXPECT_ERROR(file.read(wav(1, 1, 8, "abc")), "built without libsndfile; install it");
}

#endif

TEST(Tables, ColumnsAreFeatures) {
  const ByteFile file;
  const Signals signals = file.read("time, \"current, A\"\n1,2.5\n-3e-1 ,+4\r\n\n");
  EXPECT_EQ(signals.samples, 1);
  EXPECT_EQ(signals.steps, 2);
  EXPECT_EQ(signals.features, 2);
  EXPECT_EQ(values_of(signals.inputs), (std::vector<Real>{1, 2.5, -0.3, 4}));
  EXPECT_EQ(file.read("\xef\xbb\xbfx\r\n1e-400\r\n").inputs[0], 0);
}

TEST(Tables, OddOnesAreNamed) {
  const ByteFile file;
  EXPECT_ERROR(file.read("1,2\n3,4\n"), "must name the columns, but column 1 has 1, which");
  EXPECT_ERROR(file.read("a,nan\n3,4\n"), "call the column otherwise");
  for (const char* text : {"a;b\n1;2\n", "a;b\n1,5;2,5\n", "a\tb\n1\t2\n"})
    EXPECT_ERROR(file.read(text), "columns are separated by commas");
  EXPECT_ERROR(file.read("a\n+-1\n"), "has '+-1' in column 1; finite numbers are needed");
  EXPECT_ERROR(file.read(",a\n0,4\n"), "column 1 in '" + file.path() + "' has no name");
  EXPECT_ERROR(file.read("a,b\n1,2\n3\n"), "line 3 of '" + file.path() + "' has 1 columns");
  EXPECT_ERROR(file.read("a,b\n1,x\n"), "has 'x' in column 2");
  EXPECT_ERROR(file.read("a;b\n1;2\n"), "has '1;2' in column 1");
  EXPECT_ERROR(file.read("a\n1\n\n2\n"), "line 3 of '" + file.path() + "' is empty");
  for (const char* odd : {"nan", "inf", "1e400", "", "0x1", "\"1\""})
    EXPECT_ERROR(file.read(fmt::format("a,b\n1,{}\n", odd)), "finite numbers are needed");
  EXPECT_ERROR(file.read("a,b\n"), "no line of numbers");
  EXPECT_ERROR(file.read("a\n1\n", 5), "--frame 5 is for recordings");
}

TEST(Tables, WhatIsNoInputIsNamed) {
  const ByteFile file;
  EXPECT_ERROR(file.read(""), "is empty");
  EXPECT_ERROR(file.read(std::string("a\0\1", 3)), "neither HDF5 nor WAV");
  EXPECT_ERROR(file.read("\x1f\x8b\x08"), "gunzip it");
  EXPECT_ERROR(io::read_signals(world(), "/dev/zero"), "a device, a pipe or a socket");
  EXPECT_ERROR(io::read_signals(world(), "/tmp"), "a directory");
}

}  // namespace
}  // namespace deeppcr::test
