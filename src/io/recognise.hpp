#pragma once

#include <string>
#include <string_view>

namespace deeppcr::io {

/// What is in a file.
struct Recognised {
  std::string format;    ///< one of core's file_format; empty: not ours
  std::string is;        ///< for a sentence, such as "a PNG picture of another program"
  bool damaged = false;  ///< HDF5 that cannot be opened, such as a file that was never finished
};

/// Looks at the marks by which our own files are known. Never throws for what a file holds. This
/// rank alone.
Recognised recognise(const std::string& path);

/// By this a PNG of ours is known, right behind its header: a text chunk that says Software
/// "deeppcr VERSION". Plots say "deeppcr-plot" and are of another kind.
inline constexpr std::string_view kPictureMark{"tEXtSoftware\0deeppcr ", 21};
inline constexpr std::size_t kPictureMarkAt = 37;

/// Whether the PNG in `bytes` (its beginning is enough) has it.
bool has_picture_mark(std::string_view bytes);

}  // namespace deeppcr::io
