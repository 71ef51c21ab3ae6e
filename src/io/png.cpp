#include "deeppcr/io/png.hpp"

#include <png.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "deeppcr/core/error.hpp"

namespace deeppcr::io {

namespace {

constexpr Index kGap = 2;  ///< pixels between images

unsigned char grey(Real value) {
  return static_cast<unsigned char>(std::lround(255 * std::clamp(value, Real{0}, Real{1})));
}

}  // namespace

void write_image_grid(const std::string& path, View<const Real, 3> images) {
  const Index count = images.extent(0), height = images.extent(1), width = images.extent(2);
  const auto columns = static_cast<Index>(std::ceil(std::sqrt(static_cast<double>(count))));
  const Index rows = columns == 0 ? 0 : (count + columns - 1) / columns;
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.format = PNG_FORMAT_GRAY;
  png.width = static_cast<png_uint_32>(columns * (width + kGap) + kGap);
  png.height = static_cast<png_uint_32>(rows * (height + kGap) + kGap);
  std::vector<unsigned char> pixels(std::size_t{png.width} * png.height, 0);
  for (Index s = 0; s < count; ++s) {
    const Index top = s / columns * (height + kGap) + kGap,
                left = s % columns * (width + kGap) + kGap;
    for (Index y = 0; y < height; ++y)
      for (Index x = 0; x < width; ++x)
        pixels[static_cast<std::size_t>((top + y) * png.width + left + x)] = grey(images(s, y, x));
  }
  errno = 0;
  if (png_image_write_to_file(&png, path.c_str(), 0, pixels.data(), 0, nullptr) == 0) {
    throw local_input_error("'{}' cannot be written as PNG: {}", path,
                            errno != 0 ? std::strerror(errno) : png.message);
  }
}

}  // namespace deeppcr::io
