#pragma once

#include <string>

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

/// Whether the PNG in `bytes` (its beginning is enough) says that this program wrote it: Software
/// "deeppcr VERSION". Plots say "deeppcr-plot" and are of another kind.
bool has_picture_mark(const unsigned char* bytes, std::size_t count);

}  // namespace deeppcr::io
