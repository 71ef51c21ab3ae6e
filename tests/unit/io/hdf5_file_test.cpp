#include "deeppcr/io/hdf5_file.hpp"

#include "deeppcr/parallel/block_layout.hpp"
#include "io_support.hpp"

namespace deeppcr::test {
namespace {

using io::hdf5::File;
using io::hdf5::Rows;
using io::hdf5::Shape;

TEST(Hdf5File, AttributesComeBackAsWritten) {
  const TemporaryFolder folder;
  const std::string path = folder / "a.h5";
  const std::string long_text(200000, 'x');
  {
    File file = File::create(path, &world());
    file.create_group("/deep/er");
    file.set("/deep/er", "text", std::string("two\nlines, \xc3\xa9"));
    file.set("/deep/er", "empty", std::string());
    file.set("/deep/er", "long", long_text);
    file.set("/deep/er", "number", 0.1);
    file.set("/deep/er", "integer", Index{1} << 40);
    file.set("/deep/er", "texts", std::vector<std::string>{"a", "", "ccc"});
    file.set("/deep/er", "no_texts", std::vector<std::string>{});
    file.set("/deep/er", "text", std::string("replaced"));
    file.close();
  }
  const File file = File::open(path, File::Access::read, &world());
  EXPECT_EQ(file.text("/deep/er", "text"), "replaced");
  EXPECT_EQ(file.text("/deep/er", "empty"), "");
  EXPECT_EQ(file.text("/deep/er", "long"), long_text);
  EXPECT_EQ(file.number("/deep/er", "number"), 0.1);
  EXPECT_EQ(file.integer("/deep/er", "integer"), Index{1} << 40);
  EXPECT_EQ(file.texts("/deep/er", "texts"), (std::vector<std::string>{"a", "", "ccc"}));
  EXPECT_TRUE(file.texts("/deep/er", "no_texts").empty());
  EXPECT_EQ(file.attributes("/deep/er").size(), 7U);
  EXPECT_ERROR(file.text("/deep/er", "number"), "is not text");
  EXPECT_ERROR(file.number("/deep/er", "text"), "is not a number");
  EXPECT_ERROR(file.number("/deep/er", "absent"), "has no attribute 'absent'");
}

/// Attributes that differ between ranks (a rank's own clock) end as rank 0's everywhere.
TEST(Hdf5File, RankZeroDecidesAnAttribute) {
  const TemporaryFolder folder;
  const std::string path = folder / "a.h5";
  File file = File::create(path, &world());
  file.set("/", "number", 1.0 + world().rank());
  file.set("/", "text", std::string(static_cast<std::size_t>(1 + world().rank()), 'r'));
  file.close();
  const File again = File::open(path, File::Access::read, &world());
  EXPECT_EQ(again.number("/", "number"), 1.0);
  EXPECT_EQ(again.text("/", "text"), "r");
}

class RowsOfDatasets : public testing::TestWithParam<Index> {};

/// Each rank writes its rows of a layout, reads those of another one, and the whole.
TEST_P(RowsOfDatasets, ReadOnAnotherLayout) {
  const Index rows = GetParam();
  const TemporaryFolder folder;
  const std::string path = folder / "a.h5";
  const auto layout = parallel::BlockLayout::balanced(rows, world().size());
  std::vector<double> share(static_cast<std::size_t>(world().size()), 1.0);
  share[0] = 5.0;
  const auto other = parallel::BlockLayout::by_share(rows, share);
  const auto value = [](Index row, Index column) { return static_cast<double>(3 * row + column); };
  {
    const StepRange mine = layout.range(world().rank());
    std::vector<double> data;
    for (Index r = mine.first; r < mine.last; ++r) {
      for (Index c = 0; c < 3; ++c) data.push_back(value(r, c));
    }
    File file = File::create(path, &world());
    file.write_rows<double>("/group/x", {rows, 3}, {{mine.first, mine.size(), data.data()}},
                            {"example", {"row", "column"}, "m"});
    file.close();
  }
  const File file = File::open(path, File::Access::read, &world());
  EXPECT_EQ(file.shape("/group/x"), (Shape{rows, 3}));
  EXPECT_EQ(file.kind("/group/x"), File::Kind::real);
  EXPECT_EQ(file.text("/group/x", "long_name"), "example");
  EXPECT_EQ(file.text("/group/x", "units"), "m");
  EXPECT_EQ(file.texts("/group/x", "dimensions"), (std::vector<std::string>{"row", "column"}));
  const StepRange mine = other.range(world().rank());
  std::vector<float> part(static_cast<std::size_t>(3 * mine.size()), -1.0F);
  file.read_rows<float>("/group/x", {{mine.first, mine.size(), part.data()}});
  for (Index k = 0; k < 3 * mine.size(); ++k) {
    EXPECT_EQ(part[static_cast<std::size_t>(k)], value(mine.first + k / 3, k % 3));
  }
  const auto whole = file.read<double>("/group/x");
  ASSERT_EQ(whole.size(), static_cast<std::size_t>(3 * rows));
  for (Index k = 0; k < 3 * rows; ++k) {
    EXPECT_EQ(whole[static_cast<std::size_t>(k)], value(k / 3, k % 3));
  }
}

// No rows, one, fewer than ranks, uneven.
INSTANTIATE_TEST_SUITE_P(Sizes, RowsOfDatasets, testing::Values(0, 1, 3, 17));

TEST(Hdf5File, ScalarAndUnevenPieces) {
  const TemporaryFolder folder;
  const std::string path = folder / "a.h5";
  const double loss = 0.25;
  // Rank p has p + 1 pieces of one row each: every rank takes part in all collective rounds.
  const Index size = world().size();
  const Index first = Index{world().rank()} * (world().rank() + 1) / 2;
  std::vector<Index> values;
  for (Index k = 0; k <= world().rank(); ++k) values.push_back(first + k);
  std::vector<Rows<const Index>> pieces;
  for (Index k = 0; k <= world().rank(); ++k)
    pieces.push_back({first + k, 1, &values[static_cast<std::size_t>(k)]});
  File file = File::create(path, &world());
  file.write<double>("/loss", {}, &loss, {"loss", {}});
  file.write_rows<Index>("/x", {size * (size + 1) / 2}, pieces, {"x", {"row"}});
  file.close();
  const File again = File::open(path, File::Access::read);
  EXPECT_EQ(again.read<double>("/loss"), std::vector<double>{0.25});
  const auto x = again.read<Index>("/x");
  for (std::size_t k = 0; k < x.size(); ++k) EXPECT_EQ(x[k], static_cast<Index>(k));
}

TEST(Hdf5File, ExtendibleGrowsAlongBothAxes) {
  const TemporaryFolder folder;
  const std::string path = folder / "a.h5";
  on_root([&] {
    File file = File::create(path);
    file.create_extendible("/x", File::Kind::whole, {0}, {"x", {"row", "column"}});
    const std::vector<double> one{1, 2};
    const std::vector<double> two{3, 4, 5, 6, 7, 8};
    file.append("/x", 1, {2}, one.data());
    file.append("/x", 2, {3}, two.data());
    EXPECT_ERROR(file.append("/x", 1, {2}, one.data()), "cannot become [4, 2]");
    EXPECT_EQ(file.shape("/x"), (Shape{3, 3}));
    EXPECT_EQ(file.read<Index>("/x"), (std::vector<Index>{1, 2, 0, 3, 4, 5, 6, 7, 8}));
  });
}

TEST(Hdf5File, RefusalsAreOneSentence) {
  const TemporaryFolder folder;
  const std::string text = folder / "text.h5";
  const std::string good = folder / "good.h5";
  const std::string short_file = folder / "short.h5";
  const std::string empty = folder / "empty.h5";
  on_root([&] {
    write_file(text, "this is no HDF5 file");
    write_file(empty, "");
    File file = File::create(good);
    const std::vector<double> x(1000, 1.0);
    file.write<double>("/x", {1000}, x.data(), {"x", {"row"}});
    file.close();
    const std::string bytes = contents(good);
    write_file(short_file, bytes.substr(0, bytes.size() / 2));
  });
  const auto open = [&](const std::string& path) {
    File::open(path, File::Access::read, &world());
  };
  EXPECT_ERROR(open(folder / "absent.h5"), "absent.h5': No such file or directory");
  EXPECT_ERROR(open(text), "text.h5' is not an HDF5 file");
  EXPECT_ERROR(open(empty), "empty.h5' is not an HDF5 file");
  EXPECT_ERROR(open(short_file), "short.h5' is truncated");
  EXPECT_ERROR(open(folder.path()), "it is a directory");
  // Root may write anywhere, but nobody can put a file below a file.
  EXPECT_ERROR(File::create(text + "/x.h5", &world()), "cannot write");
  EXPECT_ERROR(File::create(text + "/x.h5", &world()), "Not a directory");
  EXPECT_ERROR(File::create(folder / "no/such/folder.h5", &world()), "No such file or directory");
  const File file = File::open(good, File::Access::read, &world());
  EXPECT_ERROR(file.read<double>("/y"), "has no dataset /y");
  EXPECT_FALSE(file.has("/y/z"));
  EXPECT_TRUE(file.has("/x"));
}

/// An error that one rank alone meets is thrown on all.
TEST(Hdf5File, OneRanksErrorIsEverybodys) {
  const TemporaryFolder folder;
  File file = File::create(folder / "a.h5", &world());
  const double value = 1;
  const bool wrong = world().rank() == world().size() - 1;
  EXPECT_ERROR(
      file.write_rows<double>("/x", {1}, {{wrong ? 5 : 0, wrong ? 1 : 0, &value}}, {"x", {"row"}}),
      "rows 5 + 1 of 1");
}

}  // namespace
}  // namespace deeppcr::test
