#include "trace_path.hpp"

#include <filesystem>

#include "deeppcr/core/error.hpp"
#include "deeppcr/io/hdf5_file.hpp"
#include "deeppcr/io/provenance.hpp"

namespace deeppcr::io {

namespace fs = std::filesystem;

void check_replaceable(const std::string& path) {
  if (!fs::exists(path) || fs::is_directory(path) || fs::file_size(path) == 0) return;
  std::string found = "it is no HDF5 file";
  try {
    const auto old = hdf5::File::open(path, hdf5::File::Access::read);
    const std::string format = format_of(old);
    if (format == kTraceFormat.name) return;
    found =
        format.empty() ? "it has no 'format' attribute" : fmt::format("its format is '{}'", format);
  } catch (const Error& error) {
    found = error.what();
  }
  throw local_input_error(
      "'{}' exists and is not a trace ({}); it is left as it is: choose another name or remove it",
      path, found);
}

}  // namespace deeppcr::io
