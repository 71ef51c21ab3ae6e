#include "deeppcr/io/idx.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <numeric>

#include "deeppcr/core/error.hpp"

namespace deeppcr::io {

namespace fs = std::filesystem;

namespace {

constexpr unsigned char kUnsignedByte = 0x08;
/// Larger rows than this are no images.
constexpr Index kMaxRowBytes = Index{1} << 28;

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

  /// What can follow a header at most.
  Index most_bytes() const {
    constexpr Index kMostDeflated = 1032;  // bytes that zlib makes of one
    std::error_code failed;
    const auto held = static_cast<Index>(fs::file_size(path_, failed));
    if (failed) return std::numeric_limits<Index>::max();
    return gzdirect(file_.get()) != 0 ? held : held * kMostDeflated;
  }

  /// Reads up to `count` bytes; fewer only at the end of the file.
  Index read(unsigned char* out, Index count) {
    const int got = gzread(file_.get(), out, static_cast<unsigned>(count));
    if (got < count) check_state();
    return got;
  }

 private:
  void check_state() {
    int code = Z_OK;
    const char* text = gzerror(file_.get(), &code);
    if (code == Z_OK || code == Z_STREAM_END) return;
    if (code == Z_BUF_ERROR) {
      throw local_input_error("'{}' is truncated: its compressed data end too early", path_);
    }
    throw local_input_error("'{}' is damaged: {}", path_,
                            code == Z_ERRNO ? std::strerror(errno) : text);
  }

  std::string path_;
  std::unique_ptr<gzFile_s, int (*)(gzFile)> file_;
};

/// Bytes of one row. @throws Error when the sizes cannot be an image's
Index row_bytes(const IdxHeader& header, const std::string& path) {
  Index bytes = 1;
  for (std::size_t a = 1; a < header.sizes.size(); ++a) {
    if (header.sizes[a] == 0 || header.sizes[a] > kMaxRowBytes / bytes) {
      throw local_input_error("'{}' is malformed: its header gives rows of sizes {}", path,
                              fmt::join(header.sizes.begin() + 1, header.sizes.end(), " x "));
    }
    bytes *= header.sizes[a];
  }
  return bytes;
}

/// Refuses a header that promises more than its file can hold, before anything takes that room.
void require_held(const Reader& reader, const IdxHeader& header, const std::string& path) {
  const Index rows = header.sizes[0], bytes = row_bytes(header, path);
  const double promised = static_cast<double>(rows) * static_cast<double>(bytes);
  if (promised <= static_cast<double>(reader.most_bytes())) return;
  throw local_input_error(
      "'{}' is truncated: {} rows of {} bytes were promised, and it has at most {} bytes", path,
      rows, bytes, reader.most_bytes());
}

/// Magic number 0, 0, type, axes; then the size of each axis, big-endian.
IdxHeader read_header(Reader& reader, const std::string& path, int axes) {
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
  IdxHeader header;
  for (int a = 0; a < axes; ++a) {
    std::array<unsigned char, 4> size{};
    if (reader.read(size.data(), 4) < 4) {
      throw local_input_error("'{}' is truncated: its IDX header is not whole", path);
    }
    header.sizes.push_back(Index{size[0]} << 24 | Index{size[1]} << 16 | Index{size[2]} << 8 |
                           Index{size[3]});
  }
  require_held(reader, header, path);
  return header;
}

void require_rows(const std::vector<Index>& wanted, Index rows, const std::string& path) {
  for (const Index row : wanted) {
    if (row < 0 || row >= rows) {
      throw local_input_error("'{}' has {} samples; sample {} was asked for", path, rows, row);
    }
  }
}

/// Names that a file of a set goes by: "train-images" and "idx3-ubyte" with a dash or a dot between
/// them, plain or gzipped.
std::vector<std::string> names_of(const std::string& what, const char* kind) {
  std::vector<std::string> names;
  for (const char* between : {"-", "."})
    for (const char* ending : {"", ".gz"}) names.push_back(what + between + kind + ending);
  return names;
}

/// The first of these names that is a file in a folder.
std::string existing(const fs::path& folder, const std::vector<std::string>& names) {
  for (const std::string& name : names)
    if (fs::is_regular_file(folder / name)) return (folder / name).string();
  throw local_input_error("'{}' has none of the files {}", folder.string(), fmt::join(names, ", "));
}

/// Positions of the selected samples among `total`.
std::vector<Index> positions(const ImageSelection& selection, Index total,
                             const std::string& path) {
  if (selection.samples < 1 || selection.first < 0 || selection.first > total - selection.samples) {
    throw local_input_error("'{}' has {} samples; {} from sample {} on were asked for", path, total,
                            selection.samples, selection.first);
  }
  std::vector<Index> wanted(static_cast<std::size_t>(selection.samples));
  std::iota(wanted.begin(), wanted.end(), selection.first);
  return wanted;
}

/// The files of a set, which must agree on the number of samples.
struct SetFiles {
  std::string images;
  std::string labels;
  Index samples = 0;
};

SetFiles files_of(const std::string& name, bool training_set) {
  const fs::path folder = find_image_folder(name);
  const std::string set = training_set ? "train" : "t10k";
  SetFiles files;
  files.images = existing(folder, names_of(set + "-images", "idx3-ubyte"));
  files.labels = existing(folder, names_of(set + "-labels", "idx1-ubyte"));
  files.samples = read_idx_header(files.images, 3).sizes[0];
  const Index labelled = read_idx_header(files.labels, 1).sizes[0];
  if (labelled == files.samples) return files;
  throw local_input_error("'{}' has {} images, but '{}' has {} labels", files.images, files.samples,
                          files.labels, labelled);
}

ImageSet read_selected(const SetFiles& files, const ImageSelection& selection) {
  const auto wanted = positions(selection, files.samples, files.images);
  IdxHeader header;
  ImageSet set;
  set.pixels = read_idx(files.images, 3, wanted, header);
  set.height = header.sizes[1];
  set.width = header.sizes[2];
  set.labels = read_idx(files.labels, 1, wanted, header);
  return set;
}

Batch to_batch(const ImageSet& set) {
  Batch batch;
  batch.samples = static_cast<Index>(set.labels.size());
  batch.features = set.height * set.width;
  batch.inputs.reserve(set.pixels.size());
  for (const unsigned char pixel : set.pixels) batch.inputs.push_back(pixel / 255.0);
  batch.labels.assign(set.labels.begin(), set.labels.end());
  return batch;
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

IdxHeader read_idx_header(const std::string& path, int axes) {
  Reader reader(path);
  return read_header(reader, path, axes);
}

std::vector<unsigned char> read_idx(const std::string& path, int axes,
                                    const std::vector<Index>& wanted, IdxHeader& header) {
  Reader reader(path);
  header = read_header(reader, path, axes);
  const Index rows = header.sizes[0];
  const Index bytes = row_bytes(header, path);
  require_rows(wanted, rows, path);
  // Wanted rows in the order in which the file has them.
  std::vector<std::size_t> order(wanted.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return wanted[a] < wanted[b]; });
  std::vector<unsigned char> out(wanted.size() * static_cast<std::size_t>(bytes));
  std::vector<unsigned char> row(rows > 0 ? static_cast<std::size_t>(bytes) : 0);
  auto next = order.begin();
  for (Index r = 0; r < rows; ++r) {
    const Index got = reader.read(row.data(), bytes);
    if (got < bytes) {
      throw local_input_error("'{}' is truncated: {} rows of {} bytes were promised, row {} has {}",
                              path, rows, bytes, r, got);
    }
    for (; next != order.end() && wanted[*next] == r; ++next) {
      std::copy(row.begin(), row.end(),
                out.begin() + static_cast<std::ptrdiff_t>(*next * row.size()));
    }
  }
  if (unsigned char more = 0; reader.read(&more, 1) != 0) {
    throw local_input_error("'{}' is oversized: there are bytes behind its {} rows of {} bytes",
                            path, rows, bytes);
  }
  return out;
}

Batch read_images(const parallel::Communicator& comm, const std::string& name,
                  const ImageSelection& selection) {
  Batch batch;
  parallel::agree(comm, [&] {
    if (!comm.is_root()) return;
    batch = to_batch(read_selected(files_of(name, selection.training_set), selection));
  });
  broadcast(comm, batch);
  return batch;
}

ImageSet read_image_set(const std::string& name, bool training_set, Index samples) {
  const SetFiles files = files_of(name, training_set);
  return read_selected(files, {training_set, samples > 0 ? samples : files.samples, 0});
}

}  // namespace deeppcr::io
