#include <png.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <vector>

#include "deeppcr/core/error.hpp"
#include "deeppcr/io/networks.hpp"
#include "deeppcr/io/provenance.hpp"
#include "io/recognise.hpp"
#include "io/replace_file.hpp"

namespace deeppcr::io {

namespace {

constexpr Index kGap = 2;  ///< pixels between images

unsigned char shade(Real value) {
  return static_cast<unsigned char>(std::lround(255 * std::clamp(value, Real{0}, Real{1})));
}

struct Grid {
  Index height = 0, width = 0, channels = 1;
  std::vector<unsigned char> pixels;
};

Grid grid_of(const Images& images) {
  const Index count = images.extent(0), channels = images.extent(1), height = images.extent(2),
              width = images.extent(3);
  const auto columns = static_cast<Index>(std::ceil(std::sqrt(static_cast<double>(count))));
  const Index rows = columns == 0 ? 0 : (count + columns - 1) / columns;
  Grid grid{rows * (height + kGap) + kGap, columns * (width + kGap) + kGap, channels, {}};
  grid.pixels.resize(static_cast<std::size_t>(grid.height * grid.width * channels), 0);
  for (Index s = 0; s < count; ++s) {
    const Index top = s / columns * (height + kGap) + kGap,
                left = s % columns * (width + kGap) + kGap;
    for (Index y = 0; y < height; ++y)
      for (Index x = 0; x < width; ++x)
        for (Index c = 0; c < channels; ++c)
          grid.pixels[static_cast<std::size_t>(((top + y) * grid.width + left + x) * channels +
                                               c)] = shade(images(s, c, y, x));
  }
  return grid;
}

std::string big_endian(std::size_t number) {
  std::string bytes;
  for (const int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<char>(number >> shift));
  return bytes;
}

/// The chunk by which recognise() knows our pictures: length, type, text, checksum.
std::string mark() {
  const std::string text = std::string(kPictureMark) + program_version();
  const auto* bytes = reinterpret_cast<const Bytef*>(text.data());
  constexpr std::size_t kTypeBytes = 4;
  return big_endian(text.size() - kTypeBytes) + text +
         big_endian(crc32(0, bytes, static_cast<uInt>(text.size())));
}

std::string encoded(const Grid& grid, const std::string& path) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(grid.width);
  image.height = static_cast<png_uint_32>(grid.height);
  image.format = grid.channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::string bytes(size, '\0');
  if (png_image_write_to_memory(&image, bytes.data(), &size, 0, grid.pixels.data(), 0, nullptr) ==
      0) {
    throw local_input_error("'{}' cannot be written as PNG: {}", path, image.message);
  }
  bytes.resize(size);
  return bytes.insert(kPictureMarkAt - sizeof(png_uint_32), mark());
}

}  // namespace

void write_image_grid(const std::string& path, const Images& images) {
  const std::string bytes = encoded(grid_of(images), path);
  begin_file(path, [&](const std::string& temporary) {
    errno = 0;
    std::ofstream file(temporary, std::ios::binary);
    file << bytes;
    file.close();
    if (!file)
      throw local_input_error("'{}' cannot be written as PNG: {}", path, std::strerror(errno));
  });
}

}  // namespace deeppcr::io
