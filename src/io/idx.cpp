#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>

#include "deeppcr/core/error.hpp"
#include "deeppcr/io/batch.hpp"

namespace deeppcr::io {

namespace fs = std::filesystem;

namespace {

constexpr unsigned char kUnsignedByte = 0x08;
/// Larger rows than this are no images.
constexpr Index kMaxRowBytes = Index{1} << 28;
constexpr Index kPieceBytes = Index{1} << 20;

/// A plain or gzipped file, read from the start to the end.
class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path), file_(nullptr, &gzclose) {
    if (fs::is_directory(path))
      throw local_input_error("cannot read '{}': it is a directory", path);
    errno = 0;
    file_.reset(gzopen(path.c_str(), "rb"));
    if (!file_) {
      throw local_input_error("cannot read '{}': {}", path, std::strerror(errno));
    }
    gzbuffer(file_.get(), 1U << 17);
  }

  /// Reads up to `count` bytes; fewer only at the end of the file.
  Index read(unsigned char* out, Index count) {
    const int got = gzread(file_.get(), out, static_cast<unsigned>(count));
    int code = Z_OK;
    const char* text = gzerror(file_.get(), &code);
    if (got == count || code == Z_OK || code == Z_STREAM_END) return got;
    if (code == Z_BUF_ERROR)
      throw local_input_error("'{}' is truncated: its compressed data end too early", path_);
    throw local_input_error("'{}' is damaged: {}", path_,
                            code == Z_ERRNO ? std::strerror(errno) : text);
  }

 private:
  std::string path_;
  std::unique_ptr<gzFile_s, int (*)(gzFile)> file_;
};

/// Bytes of one row. @throws Error when the sizes cannot be an image's
Index row_bytes(const std::vector<Index>& sizes, const std::string& path) {
  Index bytes = 1;
  for (std::size_t a = 1; a < sizes.size(); ++a) {
    if (sizes[a] == 0 || sizes[a] > kMaxRowBytes / bytes) {
      throw local_input_error("'{}' is malformed: its header gives rows of sizes {}", path,
                              fmt::join(sizes.begin() + 1, sizes.end(), " x "));
    }
    bytes *= sizes[a];
  }
  return bytes;
}

/// Magic number 0, 0, type, axes; then the size of each axis, big-endian.
std::vector<Index> read_sizes(Reader& reader, const std::string& path, int axes) {
  std::array<unsigned char, 4> magic{};
  if (reader.read(magic.data(), 4) < 4) {
    throw local_input_error("'{}' is truncated: it has no IDX header", path);
  }
  if (magic[0] != 0 || magic[1] != 0) {
    throw local_input_error(
        "'{}' is not an IDX file: it starts with bytes {:02x} {:02x}, not 00 00", path, magic[0],
        magic[1]);
  }
  if (magic[2] != kUnsignedByte || magic[3] != axes) {
    throw local_input_error(
        "'{}' has IDX type {:02x} with {} axes, but unsigned bytes (08) with {} were expected",
        path, magic[2], magic[3], axes);
  }
  std::vector<Index> sizes;
  for (int a = 0; a < axes; ++a) {
    std::array<unsigned char, 4> size{};
    if (reader.read(size.data(), 4) < 4) {
      throw local_input_error("'{}' is truncated: its IDX header is not whole", path);
    }
    sizes.push_back(Index{size[0]} << 24 | Index{size[1]} << 16 | Index{size[2]} << 8 |
                    Index{size[3]});
  }
  return sizes;
}

/// The file of a set in a folder: "train-images" and "idx3-ubyte" with a dash or a dot between
/// them, plain or gzipped.
std::string file_of_set(const fs::path& folder, const std::string& what, const char* kind) {
  std::vector<std::string> names;
  for (const char* between : {"-", "."}) {
    for (const char* ending : {"", ".gz"}) {
      names.push_back(what + between + kind + ending);
      if (fs::is_regular_file(folder / names.back())) return (folder / names.back()).string();
    }
  }
  throw local_input_error("'{}' has none of the files {}", folder.string(), fmt::join(names, ", "));
}

/// What a file's header says.
Index samples_of(const std::string& path, int axes) {
  Reader reader(path);
  return read_sizes(reader, path, axes)[0];
}

/// Rows first .. first + count - 1 of a file.
std::vector<unsigned char> selected(const IdxFile& file, Index first, Index count) {
  const Index bytes = static_cast<Index>(file.elements.size()) / file.sizes[0];
  const auto begin = file.elements.begin() + first * bytes;
  return {begin, begin + count * bytes};
}

}  // namespace

std::string find_image_folder(const std::string& name) {
  if (fs::is_directory(name)) return name;
  if (fs::path(name).is_absolute())
    throw local_input_error(
        "no image data '{}': there is no such folder. Give one of IDX files, or the name of an "
        "installed set, such as fashion-mnist (Debian: dataset-fashion-mnist)",
        name);
  std::vector<fs::path> folders;
  if (const char* data = std::getenv("DEEPPCR_DATA")) {
    // The variable may name the folder of one set or of all sets.
    if (fs::path(data).filename() == name && fs::is_directory(data)) return data;
    folders.emplace_back(data);
  }
  folders.insert(folders.end(), {"/usr/share/datasets", "/usr/local/share/datasets"});
  for (const fs::path& folder : folders) {
    if (fs::is_directory(folder / name)) return (folder / name).string();
  }
  std::string looked;
  for (const fs::path& folder : folders) looked += ", '" + (folder / name).string() + "'";
  throw local_input_error(
      "no image data '{}': looked for the folders '{}'{}. Give a folder of IDX files, set "
      "DEEPPCR_DATA, or install them (Debian: dataset-fashion-mnist)",
      name, name, looked);
}

IdxFile read_idx(const std::string& path, int axes) {
  Reader reader(path);
  IdxFile file;
  file.sizes = read_sizes(reader, path, axes);
  const Index rows = file.sizes[0], bytes = row_bytes(file.sizes, path);
  // Piece by piece: a header may promise more than there is.
  for (Index held = 0; held < rows * bytes;) {
    const Index piece = std::min(kPieceBytes, rows * bytes - held);
    file.elements.resize(static_cast<std::size_t>(held + piece));
    const Index got = reader.read(file.elements.data() + held, piece);
    held += got;
    if (got == piece) continue;
    throw local_input_error("'{}' is truncated: {} rows of {} bytes were promised, row {} has {}",
                            path, rows, bytes, held / bytes, held % bytes);
  }
  if (unsigned char more = 0; reader.read(&more, 1) != 0) {
    throw local_input_error("'{}' is oversized: there are bytes behind its {} rows of {} bytes",
                            path, rows, bytes);
  }
  return file;
}

ImageSet read_image_set(const std::string& name, const ImageSelection& selection) {
  const fs::path folder = find_image_folder(name);
  const std::string set = selection.training_set ? "train" : "t10k";
  const std::string image_path = file_of_set(folder, set + "-images", "idx3-ubyte");
  const std::string label_path = file_of_set(folder, set + "-labels", "idx1-ubyte");
  const Index total = samples_of(image_path, 3), labelled = samples_of(label_path, 1);
  if (labelled != total) {
    throw local_input_error("'{}' has {} images, but '{}' has {} labels", image_path, total,
                            label_path, labelled);
  }
  const IdxFile images = read_idx(image_path, 3), labels = read_idx(label_path, 1);
  const Index first = selection.first, count = selection.samples.value_or(total);
  if (count < 1 || first < 0 || first > total - count) {
    throw local_input_error("'{}' has {} samples; {} from sample {} on were asked for", image_path,
                            total, count, first);
  }
  return {images.sizes[1], images.sizes[2], selected(images, first, count),
          selected(labels, first, count)};
}

}  // namespace deeppcr::io
