#include "deeppcr/io/batch.hpp"

#include <limits>

#include "deeppcr/io/hdf5_file.hpp"
#include "io_support.hpp"

namespace deeppcr::test {
namespace {

using io::hdf5::File;

/// A file that each test fills anew.
struct SampleFile {
  TemporaryFolder folder;
  std::string path = folder / "in.h5";

  template <typename X>
  void write(const std::vector<X>& x, const io::hdf5::Shape& shape) const {
    on_root([&] {
      File file = File::create(path);
      file.write<X>("/inputs", shape, x.data(), {"", {}});
      file.close();
    });
  }
  template <typename Label>
  void write_labels(const std::vector<Label>& labels, const io::hdf5::Shape& shape) const {
    on_root([&] {
      const std::vector<float> x{0, 1, 2, 3, 4, 5};
      File file = File::create(path);
      file.write<float>("/inputs", {2, 3}, x.data(), {"", {}});
      file.write<Label>("/labels", shape, labels.data(), {"", {}});
      file.close();
    });
  }
  io::Batch read() const { return io::read_batch(world(), path); }
};

TEST(Batch, EveryRankGetsInputsAndLabels) {
  const SampleFile file;
  constexpr int kLargest = std::numeric_limits<int>::max() - 1;
  file.write_labels<int>({kLargest, 0}, {2});
  const io::Batch batch = file.read();
  EXPECT_EQ(batch.samples, 2);
  EXPECT_EQ(batch.features, 3);
  EXPECT_EQ(batch.inputs, (std::vector<Real>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(batch.labels, (std::vector<Index>{kLargest, 0}));
  file.write<float>({0, 1, 2, 3, 4, 5}, {3, 2});
  EXPECT_TRUE(file.read().labels.empty());
}

TEST(Batch, LabelsThatAreNoClassesAreNamed) {
  const SampleFile file;
  file.write_labels<int>({1}, {1});
  EXPECT_ERROR(file.read(), "must be 2 whole numbers, one a sample; its sizes are [1]");
  file.write_labels<int>({1, 0}, {2, 1});
  EXPECT_ERROR(file.read(), "its sizes are [2, 1]");
  file.write_labels<double>({1, 0}, {2});
  EXPECT_ERROR(file.read(), "must be 2 whole numbers");
  file.write_labels<int>({1, -3}, {2});
  EXPECT_ERROR(file.read(), "has -3 in row 1");
  for (const Index label : {Index{1} << 31, (Index{1} << 32) + 5, (Index{1} << 31) - 1}) {
    file.write_labels<Index>({label, 0}, {2});
    EXPECT_ERROR(file.read(), fmt::format("has {} in row 0", label));
  }
}

TEST(Batch, InputsThatAreNoSamplesAreNamed) {
  const SampleFile file;
  file.write<float>({}, {0, 4});
  EXPECT_ERROR(file.read(), "has sizes [0, 4]; one sample");
  file.write<float>({}, {4, 0});
  EXPECT_ERROR(file.read(), "has sizes [4, 0]; one sample");
  file.write<float>({1, 2}, {2});
  EXPECT_ERROR(file.read(), "must be [B, features]");
  file.write<int>({1, 2}, {2, 1});
  EXPECT_ERROR(file.read(), "float32 or float64");
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), -std::numeric_limits<double>::infinity()}) {
    file.write<double>({0, 1, 2, 3, bad, 5}, {2, 3});
    EXPECT_ERROR(file.read(), fmt::format("has {} in row 1, column 1", bad));
  }
  EXPECT_ERROR(io::read_batch(world(), file.folder / "absent.h5"), "No such file");
}

}  // namespace
}  // namespace deeppcr::test
