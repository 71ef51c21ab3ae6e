#include <zlib.h>

#include "deeppcr/io/batch.hpp"
#include "io_support.hpp"

namespace deeppcr::test {
namespace {

using io::ImageSelection;

constexpr Index kImages = 20;
constexpr Index kRows = 2;
constexpr Index kColumns = 3;

std::string big_endian(Index size) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(size >> shift & 0xff);
  return bytes;
}

std::string header(const std::vector<Index>& sizes, char type = 0x08) {
  std::string bytes{'\0', '\0', type, static_cast<char>(sizes.size())};
  for (const Index size : sizes) bytes += big_endian(size);
  return bytes;
}

/// Pixel k of image i is 10 i + k; its label is i mod 4.
std::string image_file() {
  std::string bytes = header({kImages, kRows, kColumns});
  for (Index i = 0; i < kImages; ++i) {
    for (Index k = 0; k < kRows * kColumns; ++k) bytes += static_cast<char>(10 * i + k);
  }
  return bytes;
}

std::string label_file() {
  std::string bytes = header({kImages});
  for (Index i = 0; i < kImages; ++i) bytes += static_cast<char>(i % 4);
  return bytes;
}

void write_gzip(const std::string& path, const std::string& bytes) {
  const gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(file);
}

struct Images {
  TemporaryFolder folder;
  std::string image_path = folder / "train-images-idx3-ubyte";
  std::string label_path = folder / "train-labels-idx1-ubyte";

  Images() {
    on_root([&] {
      write_file(image_path, image_file());
      write_file(label_path, label_file());
    });
  }
  io::Batch read(const ImageSelection& selection) const {
    return io::read_images(world(), folder.path(), selection);
  }
  ImageSelection first(Index samples, Index from = 0) const {
    ImageSelection selection;
    selection.samples = samples;
    selection.first = from;
    return selection;
  }
};

TEST(Idx, EveryRankGetsTheSelectedImages) {
  const Images images;
  const io::Batch batch = images.read(images.first(3, 5));
  EXPECT_EQ(batch.samples, 3);
  EXPECT_EQ(batch.features, kRows * kColumns);
  EXPECT_EQ(batch.labels, (std::vector<Index>{1, 2, 3}));
  for (Index i = 0; i < 3; ++i) {
    for (Index k = 0; k < 6; ++k) {
      EXPECT_EQ(batch.inputs[static_cast<std::size_t>(6 * i + k)],
                static_cast<double>(10 * (5 + i) + k) / 255.0);
    }
  }
}

TEST(Idx, GzippedIsTheSame) {
  const Images plain;
  const Images gzipped;
  on_root([&] {
    for (const std::string& path : {gzipped.image_path, gzipped.label_path}) {
      write_gzip(path + ".gz", contents(path));
      std::filesystem::remove(path);
    }
  });
  EXPECT_EQ(gzipped.read(gzipped.first(7)).inputs, plain.read(plain.first(7)).inputs);
  EXPECT_EQ(gzipped.read(gzipped.first(7)).labels, plain.read(plain.first(7)).labels);
}

/// As the files are called by many who pass them on; a folder of a file's name is none.
TEST(Idx, ADotMayStandForTheDash) {
  const Images plain;
  const Images dotted;
  on_root([&] {
    std::filesystem::rename(dotted.image_path, dotted.folder / "train-images.idx3-ubyte");
    std::filesystem::create_directory(dotted.image_path);
    write_gzip(dotted.folder / "train-labels.idx1-ubyte.gz", contents(dotted.label_path));
    std::filesystem::remove(dotted.label_path);
  });
  EXPECT_EQ(dotted.read(dotted.first(7)).inputs, plain.read(plain.first(7)).inputs);
  EXPECT_EQ(dotted.read(dotted.first(7)).labels, plain.read(plain.first(7)).labels);
}

TEST(Idx, DamagedFilesAreRefused) {
  const Images images;
  const std::string good = image_file();
  const auto with = [&](const std::string& bytes) {
    on_root([&] { write_file(images.image_path, bytes); });
    return error_of([&] { images.read(images.first(2)); });
  };
  const auto says = [&](const std::string& bytes, const char* text) {
    const std::string error = with(bytes);
    EXPECT_NE(error.find(text), std::string::npos) << "got: " << error;
    EXPECT_NE(error.find("train-images"), std::string::npos) << "got: " << error;
  };
  says("", "is truncated: it has no IDX header");
  says(good.substr(0, 9), "its IDX header is not whole");
  says(good.substr(0, good.size() - 1),
       "is truncated: 20 rows of 6 bytes were promised, row 19 has 5");
  says(good.substr(0, 40), "is truncated: 20 rows of 6 bytes were promised, row 4 has 0");
  says(good + "x", "is oversized");
  says("PNG" + good, "is not an IDX file");
  says(header({kImages, kRows, kColumns}, 0x0d), "IDX type 0d");
  says(header({kImages, kRows}), "with 2 axes");
  says(header({kImages, 1 << 20, 1 << 20}), "is malformed");
  says(header({kImages, 0, 5}), "is malformed");
  says(header({Index{1} << 31, kRows, kColumns}), "2147483648 images, but");
  says(header({0, 1 << 14, 1 << 14}), "0 images, but");
  says(header({kImages, 1 << 14, 1 << 14}), "20 rows of 268435456 bytes were promised");
  says(header({kImages + 1, kRows, kColumns}) + std::string(126, 'x'), "21 images, but");
  EXPECT_EQ(with(good), "");
}

TEST(Idx, ADamagedGzipFileIsRefused) {
  const Images images;
  on_root([&] {
    write_gzip(images.image_path + ".gz", image_file());
    std::filesystem::remove(images.image_path);
    const std::string bytes = contents(images.image_path + ".gz");
    write_file(images.image_path + ".gz", bytes.substr(0, bytes.size() / 2));
  });
  EXPECT_ERROR(images.read(images.first(2)), "is truncated");
  on_root([&] {
    write_gzip(images.image_path + ".gz", image_file());
    std::string bytes = contents(images.image_path + ".gz");
    bytes[bytes.size() - 6] = static_cast<char>(bytes[bytes.size() - 6] ^ 1);  // its checksum
    write_file(images.image_path + ".gz", bytes);
  });
  EXPECT_ERROR(images.read(images.first(2)), "is damaged");
}

TEST(Idx, WrongRequestsAreRefused) {
  const Images images;
  EXPECT_ERROR(images.read(images.first(kImages + 1)), "has 20 samples; 21 from sample 0 on");
  EXPECT_ERROR(images.read(images.first(1, kImages)), "has 20 samples; 1 from sample 20 on");
  EXPECT_ERROR(images.read(images.first(0)), "0 from sample 0 on");
  ImageSelection test_set = images.first(1);
  test_set.training_set = false;
  EXPECT_ERROR(images.read(test_set),
               "has none of the files t10k-images-idx3-ubyte, t10k-images-idx3-ubyte.gz, "
               "t10k-images.idx3-ubyte, t10k-images.idx3-ubyte.gz");
  EXPECT_ERROR(io::read_images(world(), "no-such-set", images.first(1)),
               "no image data 'no-such-set'");
  EXPECT_ERROR(io::read_images(world(), "/no/such/folder", images.first(1)),
               "'/no/such/folder': there is no such folder");
}

TEST(Idx, TheEnvironmentNamesAFolder) {
  const TemporaryFolder folder;
  on_root([&] { std::filesystem::create_directory(folder / "my-set"); });
  setenv("DEEPPCR_DATA", folder.path().c_str(), 1);
  EXPECT_EQ(io::find_image_folder("my-set"), folder / "my-set");
  setenv("DEEPPCR_DATA", (folder / "my-set").c_str(), 1);
  EXPECT_EQ(io::find_image_folder("my-set"), folder / "my-set");
  unsetenv("DEEPPCR_DATA");
}

/// Debian's package; its first training images are an ankle boot (9), then two T-shirts (0, 0).
TEST(Idx, FashionMnist) {
  if (!std::filesystem::is_directory("/usr/share/datasets/fashion-mnist")) {
    GTEST_SKIP() << "dataset-fashion-mnist is not installed";
  }
  ImageSelection selection;
  selection.samples = 3;
  const io::Batch batch = io::read_images(world(), "fashion-mnist", selection);
  EXPECT_EQ(batch.features, 28 * 28);
  EXPECT_EQ(batch.labels, (std::vector<Index>{9, 0, 0}));
}

}  // namespace
}  // namespace deeppcr::test
