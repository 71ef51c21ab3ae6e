#pragma once

#include <string>
#include <vector>

#include "deeppcr/core/view.hpp"

namespace deeppcr::io {

/// Grey images in a grid as a PNG file, the first at the top left, rows as long as columns or by
/// one longer. Shape: images [S, height, width], 0 black and 1 white; what lies outside is cut off.
/// This rank alone writes. @throws Error that names the path and the reason
void write_image_grid(const std::string& path, View<const Real, 3> images);

}  // namespace deeppcr::io
