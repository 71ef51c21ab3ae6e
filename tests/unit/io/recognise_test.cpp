#include "io/recognise.hpp"

#include "deeppcr/core/files.hpp"
#include "deeppcr/io/checkpoint.hpp"
#include "deeppcr/io/hdf5_file.hpp"
#include "deeppcr/io/networks.hpp"
#include "deeppcr/io/trace.hpp"
#include "deeppcr/io/weights.hpp"
#include "io_support.hpp"

namespace deeppcr::test {
namespace {

using io::recognise;
using io::Recognised;
using io::hdf5::File;

const std::string kSignature = "\x89PNG\r\n\x1a\n";

/// A chunk as PNG has them; its checksum does not matter to a mark.
std::string chunk(const std::string& type, const std::string& data) {
  std::string length(4, '\0');
  for (int i = 0; i < 4; ++i) length[3 - i] = static_cast<char>(data.size() >> (8 * i));
  return length + type + data + "crc!";
}

bool marked(const std::string& bytes) { return io::has_picture_mark(bytes); }

/// What rank 0 sees.
std::string format_at(const std::string& path) {
  std::string format;
  on_root([&] { format = recognise(path).format; });
  world().broadcast(format, 0);
  return format;
}

TEST(Recognise, WhatThisProgramWrites) {
  const TemporaryFolder folder;
  const std::vector<Real> pixels(4, 0.5);
  on_root([&] {
    io::write_image_grid(folder / "grid.png", {pixels.data(), {1, 1, 2, 2}});
    File bench = File::create(folder / "rows.h5");
    bench.set("/", "format", file_format::kBench);
    bench.close();
    write_file(folder / "rows.csv", "# deeppcr 0.1.0, deeppcr-bench\na,b\n");
    write_file(folder / "trained.pt", "PK\x03\x04 .. {\"steps\":3,\"written_by\":\"deeppcr\"} ..");
    write_file(folder / "nothing", "");
  });
  io::write_weights(world(), folder / "w.h5", example_provenance(world()), {});
  EXPECT_EQ(format_at(folder / "grid.png"), file_format::kPicture);
  EXPECT_EQ(format_at(folder / "rows.h5"), file_format::kBench);
  EXPECT_EQ(format_at(folder / "rows.csv"), file_format::kCsv);
  EXPECT_EQ(format_at(folder / "trained.pt"), file_format::kModule);
  EXPECT_EQ(format_at(folder / "w.h5"), file_format::kWeights);
  EXPECT_EQ(format_at(folder / "nothing"), file_format::kEmpty);
  const double number = 1;
  on_root([&] {
    File file = File::open(folder / "w.h5", File::Access::modify);
    file.write<double>("/inputs", {1, 1}, &number, {"", {}});
    file.close();
  });
  EXPECT_EQ(format_at(folder / "w.h5"), "") << "somebody's samples stand beside the weights";
}

TEST(Recognise, WhatOthersWrite) {
  const TemporaryFolder folder;
  on_root([&] {
    File::create(folder / "other.h5").close();
    write_file(folder / "text", "a text");
    write_file(folder / "theirs.pt", "PK\x03\x04 .. {\"steps\":3} ..");
    write_file(folder / "picture.png", kSignature + chunk("IHDR", std::string(13, '\0')) +
                                           chunk("tEXt", std::string("Software\0gimp", 13)));
    write_file(folder / "cut.h5", contents(folder / "other.h5").substr(0, 40));
    write_file(folder / "blank", std::string(200, '\0'));
    EXPECT_EQ(recognise(folder / "other.h5").format, "");
    EXPECT_FALSE(recognise(folder / "other.h5").damaged);
    EXPECT_EQ(recognise(folder / "text").format, "");
    EXPECT_EQ(recognise(folder / "theirs.pt").format, "");
    EXPECT_EQ(recognise(folder / "picture.png").format, "");
    EXPECT_TRUE(recognise(folder / "cut.h5").damaged) << "never finished";
    EXPECT_TRUE(recognise(folder / "blank").damaged) << "reserved, then killed";
    EXPECT_EQ(recognise(folder / "absent").format, "");
  });
}

TEST(Recognise, MarksOfPictures) {
  const std::string head = kSignature + chunk("IHDR", std::string(13, '\0'));
  const std::string mark = chunk("tEXt", std::string("Software\0deeppcr 0.1.0", 22));
  EXPECT_TRUE(marked(head + mark));
  EXPECT_TRUE(marked(head + mark + chunk("gAMA", "1234") + "whatever"));
  EXPECT_FALSE(marked(head + chunk("gAMA", "1234") + mark)) << "another program has changed it";
  EXPECT_FALSE(marked(head + chunk("IDAT", "") + mark));
  EXPECT_FALSE(marked(head + chunk("tEXt", std::string("Software\0deeppcr-plot", 21))));
  EXPECT_FALSE(marked(mark));
  EXPECT_FALSE(marked(kSignature));
  EXPECT_FALSE(marked(""));
  const std::size_t version = (head + mark).find("0.1.0");
  for (std::size_t cut = 0; cut < version; ++cut)
    EXPECT_FALSE(marked((head + mark).substr(0, cut))) << cut;
  EXPECT_FALSE(marked(head + std::string("\xff\xff\xff\xfftEXt", 8) + mark));
}

TEST(Links, StayLinks) {
  const TemporaryFolder folder;
  namespace fs = std::filesystem;
  on_root([&] {
    fs::create_directory(folder / "store");
    for (const char* name : {"w.h5", "t.h5", "p.png", "c.h5"})
      fs::create_symlink(std::string("store/") + name, folder / name);
  });
  io::write_weights(world(), folder / "w.h5", example_provenance(world()), {});
  io::TraceHeader header;
  header.provenance = example_provenance(world());
  header.layout = parallel::BlockLayout::balanced(3, world().size());
  io::Trace(world(), folder / "t.h5", header).close();
  const std::vector<Real> pixels(4, 0.5);
  on_root([&] { io::write_image_grid(folder / "p.png", {pixels.data(), {1, 1, 2, 2}}); });
  const double number = 1;
  io::CheckpointContent content;
  content.arrays.push_back({"/parameters/x", {1}, {}, {"", {}}});
  if (world().is_root()) content.arrays.back().pieces.push_back({0, 1, &number});
  for (int i = 0; i < 2; ++i)
    io::save_checkpoint(world(), folder / "c.h5", example_provenance(world()), content);
  on_root([&] {
    for (const char* name : {"w.h5", "t.h5", "p.png", "c.h5"}) {
      EXPECT_TRUE(fs::is_symlink(folder / name)) << name;
      EXPECT_TRUE(fs::is_regular_file(folder / "store" + ("/" + std::string(name)))) << name;
    }
    EXPECT_EQ(names_in(folder.path()),
              (std::vector<std::string>{"c.h5", "p.png", "store", "t.h5", "w.h5"}));
    EXPECT_EQ(names_in(folder / "store"),
              (std::vector<std::string>{"c.h5", "c.h5.1", "p.png", "t.h5", "w.h5"}));
  });
  const auto newest = io::find_newest_intact(world(), folder / "c.h5");
  ASSERT_TRUE(newest);
}

}  // namespace
}  // namespace deeppcr::test
