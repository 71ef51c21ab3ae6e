#include "deeppcr/io/signals.hpp"

#include <cmath>
#include <limits>

#include "deeppcr/io/hdf5_file.hpp"
#include "io_support.hpp"

namespace deeppcr::test {
namespace {

using io::Signals;
using io::hdf5::File;
using io::hdf5::Shape;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// A file that each test fills anew.
class SignalFile {
 public:
  /// Starts anew with /inputs 0, 1, 2, ..
  const SignalFile& inputs(const Shape& shape) const { return inputs<float>(shape, {}); }
  template <typename T>
  const SignalFile& inputs(const Shape& shape, std::vector<T> values) const {
    on_root([&] {
      File file = File::create(path());
      file.close();
    });
    return add<T>("/inputs", shape, std::move(values));
  }
  /// Missing values count on from 0.
  template <typename T>
  const SignalFile& add(const std::string& name, const Shape& shape,
                        std::vector<T> values = {}) const {
    Index entries = 1;
    for (const Index size : shape) entries *= size;
    for (auto i = static_cast<Index>(values.size()); i < entries; ++i)
      values.push_back(static_cast<T>(i));
    on_root([&] {
      File file = File::open(path(), File::Access::modify);
      file.write<T>(name, shape, values.data(), {"", {}});
      file.close();
    });
    return *this;
  }
  const SignalFile& set(const std::string& object, const std::string& name,
                        const io::hdf5::Value& value) const {
    on_root([&] {
      File file = File::open(path(), File::Access::modify);
      file.set(object, name, value);
      file.close();
    });
    return *this;
  }
  Signals read() const { return io::read_signals(world(), path()); }
  std::string path() const { return folder_ / "in.h5"; }

 private:
  TemporaryFolder folder_;
};

std::vector<Real> values_of(const Buffer<Real>& buffer) { return {buffer.begin(), buffer.end()}; }

TEST(Signals, EveryRankGetsThemTimeFirst) {
  const SignalFile file;
  file.inputs({2, 3, 2}).add<int>("/labels", {2}, {7, 5}).add<double>("/targets", {2, 3, 1});
  const Signals signals = file.read();
  EXPECT_EQ(signals.samples, 2);
  EXPECT_EQ(signals.steps, 3);
  EXPECT_EQ(signals.features, 2);
  EXPECT_EQ(values_of(signals.inputs), (std::vector<Real>{0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11}));
  EXPECT_TRUE(signals.lengths.empty());
  EXPECT_EQ(signals.labels, (std::vector<Index>{7, 5}));
  EXPECT_FALSE(signals.labels_each);
  EXPECT_EQ(signals.target_width, 1);
  EXPECT_EQ(values_of(signals.targets), (std::vector<Real>{0, 3, 1, 4, 2, 5}));
}

TEST(Signals, OneSequenceNeedsNoAxisOfSamples) {
  const SignalFile file;
  file.inputs({3, 2}).add<Index>("/labels", {3}).add<float>("/targets", {3, 2});
  const Signals signals = file.read();
  EXPECT_EQ(signals.samples, 1);
  EXPECT_EQ(signals.steps, 3);
  EXPECT_EQ(values_of(signals.inputs), (std::vector<Real>{0, 1, 2, 3, 4, 5}));
  EXPECT_TRUE(signals.labels_each);
  EXPECT_EQ(signals.labels, (std::vector<Index>{0, 1, 2}));
  EXPECT_EQ(signals.target_width, 2);
  EXPECT_FALSE(file.inputs({3, 2}).add<int>("/labels", {1}, {4}).read().labels_each);
  EXPECT_FALSE(file.inputs({1, 2}).add<int>("/labels", {1}, {4}).read().labels_each);
  EXPECT_TRUE(file.inputs({1, 3, 2}).add<int>("/labels", {1, 3}).read().labels_each);
  EXPECT_TRUE(file.inputs({2, 1, 2}).add<int>("/labels", {2, 1}).read().labels_each);
}

TEST(Signals, BehindASamplesEndIsNothing) {
  const SignalFile file;
  file.inputs<double>({3, 2, 1}, {1, kNan, 3, 4, kNan, kNan})
      .add<int>("/lengths", {3}, {1, 2, 0})
      .add<int>("/labels", {3, 2}, {1, -1, 3, 4, -1, -1})
      .add<double>("/targets", {3, 2, 1}, {5, kNan, 6, 7, kNan, kNan});
  const Signals signals = file.read();
  EXPECT_EQ(signals.lengths, (std::vector<Index>{1, 2, 0}));
  EXPECT_EQ(values_of(signals.inputs), (std::vector<Real>{1, 3, 0, 0, 4, 0}));
  EXPECT_EQ(signals.labels, (std::vector<Index>{1, 3, 0, 0, 4, 0}));
  EXPECT_EQ(values_of(signals.targets), (std::vector<Real>{5, 6, 0, 0, 7, 0}));
  // One sequence alone.
  file.inputs<double>({2, 1}, {1, kNan}).add<int>("/lengths", {1}, {1});
  EXPECT_EQ(values_of(file.read().inputs), (std::vector<Real>{1, 0}));
  // Lengths that say nothing are none.
  EXPECT_TRUE(file.inputs({2, 3, 1}).add<int>("/lengths", {2}, {3, 3}).read().lengths.empty());
}

TEST(Signals, MoreSamplesThanAreReadAtOnce) {
  const SignalFile file;
  const Index B = 3, T = 1000, d = 3000;  // 24 MB a sample
  file.inputs({B, T, d});
  const Signals signals = file.read();
  Index wrong = 0;
  for (Index t = 0; t < T; t += 7)
    for (Index b = 0; b < B; ++b)
      for (Index i = 0; i < d; i += 11)
        wrong += signals.inputs[(t * B + b) * d + i] !=
                 static_cast<Real>(static_cast<float>((b * T + t) * d + i));
  EXPECT_EQ(wrong, 0);
}

TEST(Signals, WeightsMayStandBeside) {
  const SignalFile file;
  file.inputs({3, 2}).add<float>("/weight_ih", {8, 2}).add<float>("/weight_hh", {8, 2});
  EXPECT_EQ(file.add<float>("/bias", {8}).read().steps, 3);
  EXPECT_EQ(file.inputs({3, 2}).add<float>("/layers/weight", {2, 2, 2}).read().steps, 3);
  file.inputs({3, 2}).add<float>("/lenghts", {1});
  EXPECT_ERROR(file.read(), "has /lenghts, which nothing here reads");
}

TEST(Signals, OddInputsAreNamed) {
  const SignalFile file;
  EXPECT_ERROR(file.inputs({4}).read(), "has sizes [4]; sequences are [B, T, features]");
  EXPECT_ERROR(file.inputs({1, 2, 2, 1}).read(), "has sizes [1, 2, 2, 1]");
  for (const Shape& shape : {Shape{0, 2, 1}, Shape{2, 0, 1}, Shape{2, 2, 0}, Shape{0, 3}})
    EXPECT_ERROR(file.inputs(shape).read(), "is needed at least");
  EXPECT_ERROR(file.inputs<int>({2, 2}, {}).read(), "float32 or float64");
  EXPECT_ERROR(file.inputs<double>({2, 2, 2}, {0, 1, 2, 3, 4, 5, kNan}).read(),
               "has nan in sample 1, step 1, column 0");
  EXPECT_ERROR(file.inputs<double>({2, 2}, {0, 1, 2, HUGE_VAL}).read(),
               "has inf in step 1, column 1");
  on_root([&] { File::create(file.path()).close(); });
  EXPECT_ERROR(file.read(), "has no dataset /inputs");
  EXPECT_ERROR(io::read_signals(world(), file.path() + ".no"), "No such file");
  EXPECT_ERROR(io::read_signals(world(), file.path(), {0}), "--frame 0");
}

TEST(Signals, AxesInAnotherOrderAreRefused) {
  const SignalFile file;
  const auto said = [&](const std::string& name, const std::vector<std::string>& axes) {
    file.inputs({2, 3, 1}).add<int>("/labels", {2, 3}).add<float>("/targets", {2, 3, 1});
    file.set(name, "dimensions", axes);
    return error_of([&] { file.read(); });
  };
  EXPECT_EQ(said("/inputs", {"sample", "step", "feature"}), "");
  EXPECT_NE(said("/inputs", {"time", "batch", "feature"}).find("[time, batch, feature]; samples"),
            std::string::npos);
  EXPECT_NE(said("/labels", {"step", "sample"}).find("/labels in"), std::string::npos);
  EXPECT_NE(said("/targets", {"step", "sample", "feature"}).find("swap the first two"),
            std::string::npos);
  file.inputs({3, 2}).set("/inputs", "dimensions", std::vector<std::string>{"step", "feature"});
  EXPECT_EQ(file.read().steps, 3);
}

TEST(Signals, AttributesThatNobodyReadsAreNamed) {
  const SignalFile file;
  file.inputs({2, 3, 1}).add<int>("/labels", {2}).set("/", "normalised", "yes");
  file.set("/inputs", "batch_first", Index{0}).set("/inputs", "units", "mV");
  file.set("/labels", "offset", Index{1});
  EXPECT_EQ(
      file.read().unknown_attributes,
      (std::vector<std::string>{"normalised", "batch_first of /inputs", "offset of /labels"}));
  file.inputs({3, 2}).add<float>("/weight_ih", {8, 2}).set("/", "cell", "lstm");
  EXPECT_TRUE(file.read().unknown_attributes.empty());
}

TEST(Signals, OddLengthsLabelsAndTargetsAreNamed) {
  const SignalFile file;
  const auto with = [&](const std::string& name, const Shape& shape, std::vector<int> values) {
    file.inputs({2, 3, 1}).add<int>(name, shape, std::move(values));
    return error_of([&] { file.read(); });
  };
  const auto expect = [](const std::string& error, const std::string& text) {
    EXPECT_NE(error.find(text), std::string::npos) << "got: " << error;
  };
  expect(with("/lengths", {2}, {3, 4}), "/lengths in '" + file.path() + "' has 4 in row 1");
  expect(with("/lengths", {2}, {-1, 3}), "has -1 in row 0");
  expect(with("/lengths", {3}, {}), "must be 2 whole numbers, one a sample; its sizes are [3]");
  expect(with("/labels", {3}, {}), "[2] (one a sample) or [2, 3] (one a step); its sizes are [3]");
  expect(with("/labels", {2, 3}, {0, 0, 0, 0, -1, 0}), "has -1 in sample 1, step 1");
  expect(with("/labels", {2}, {0, -2}), "has -2 in sample 1");
  expect(with("/targets", {2, 3, 1}, {}), "float32 or float64");
  for (const Shape& shape : {Shape{2, 3}, Shape{2, 2, 1}, Shape{2, 3, 0}, Shape{3, 1}})
    EXPECT_ERROR(file.inputs({2, 3, 1}).add<float>("/targets", shape).read(), "need [2, 3, k]");
  EXPECT_ERROR(file.inputs({2, 1}).add<double>("/targets", {2, 2}, {0, 1, kNan}).read(),
               "/targets in '" + file.path() + "' has nan in step 1, column 0");
}

}  // namespace
}  // namespace deeppcr::test
