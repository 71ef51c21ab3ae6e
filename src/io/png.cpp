#include "deeppcr/io/png.hpp"

#include <png.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <vector>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/files.hpp"
#include "deeppcr/io/provenance.hpp"
#include "io/replace_file.hpp"

namespace deeppcr::io {

namespace {

constexpr Index kGap = 2;                 ///< pixels between images
constexpr std::size_t kMostReason = 200;  ///< bytes of libpng's reason kept

unsigned char grey(Real value) {
  return static_cast<unsigned char>(std::lround(255 * std::clamp(value, Real{0}, Real{1})));
}

struct Grid {
  Index height = 0, width = 0;
  std::vector<unsigned char> pixels;
};

Grid grid_of(View<const Real, 3> images) {
  const Index count = images.extent(0), height = images.extent(1), width = images.extent(2);
  const auto columns = static_cast<Index>(std::ceil(std::sqrt(static_cast<double>(count))));
  const Index rows = columns == 0 ? 0 : (count + columns - 1) / columns;
  Grid grid{rows * (height + kGap) + kGap, columns * (width + kGap) + kGap, {}};
  grid.pixels.resize(static_cast<std::size_t>(grid.height * grid.width), 0);
  for (Index s = 0; s < count; ++s) {
    const Index top = s / columns * (height + kGap) + kGap,
                left = s % columns * (width + kGap) + kGap;
    for (Index y = 0; y < height; ++y)
      for (Index x = 0; x < width; ++x)
        grid.pixels[static_cast<std::size_t>((top + y) * grid.width + left + x)] =
            grey(images(s, y, x));
  }
  return grid;
}

/// libpng leaves through here on an error, back to the setjmp() of write_png().
[[noreturn]] void leave(png_structp png, png_const_charp message) {
  std::strncpy(static_cast<char*>(png_get_error_ptr(png)), message, kMostReason - 1);
  png_longjmp(png, 1);
}

/// Writes a grid with the mark of our pictures; false with libpng's reason where that fails. Has no
/// objects of its own, which longjmp() would leave behind.
bool write_png(std::FILE* file, const Grid& grid, std::string& key, std::string& mark,
               char* reason) {
  constexpr int kBits = 8;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, reason, leave, nullptr);
  png_infop info = png == nullptr ? nullptr : png_create_info_struct(png);
  if (info == nullptr || setjmp(png_jmpbuf(png)) != 0) {
    png_destroy_write_struct(&png, &info);
    return false;
  }
  png_init_io(png, file);
  png_set_IHDR(png, info, static_cast<png_uint_32>(grid.width),
               static_cast<png_uint_32>(grid.height), kBits, PNG_COLOR_TYPE_GRAY,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_text text{};
  text.compression = PNG_TEXT_COMPRESSION_NONE;
  text.key = key.data();
  text.text = mark.data();
  png_set_text(png, info, &text, 1);
  png_write_info(png, info);
  for (Index y = 0; y < grid.height; ++y) png_write_row(png, grid.pixels.data() + y * grid.width);
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return true;
}

}  // namespace

void write_image_grid(const std::string& path, View<const Real, 3> images) {
  StartedFile started(link_target(path));
  const Grid grid = grid_of(images);
  std::string key = "Software", mark = "deeppcr " + program_version();
  char reason[kMostReason] = "";
  errno = 0;
  std::FILE* file = std::fopen(started.name().c_str(), "wb");
  bool written = file != nullptr && write_png(file, grid, key, mark, reason);
  if (file != nullptr) written = std::fclose(file) == 0 && written;
  if (!written) {
    throw local_input_error("'{}' cannot be written as PNG: {}", path,
                            errno != 0 ? std::strerror(errno) : reason);
  }
  started.place();
}

}  // namespace deeppcr::io
