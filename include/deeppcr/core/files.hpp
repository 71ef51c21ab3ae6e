#pragma once

#include <string>

namespace deeppcr {

/// What the files are called that this program writes: the `format` of HDF5 files, and of others
/// what io::recognise() knows them by.
namespace file_format {
inline constexpr const char* kTrace = "deeppcr-trace";
inline constexpr const char* kStates = "deeppcr-states";
inline constexpr const char* kCheckpoint = "deeppcr-checkpoint";
inline constexpr const char* kWeights = "deeppcr-weights";
inline constexpr const char* kResults = "deeppcr-results";
inline constexpr const char* kBench = "deeppcr-bench";
inline constexpr const char* kPicture = "deeppcr-picture";  ///< PNG: Software "deeppcr VERSION"
inline constexpr const char* kCsv = "deeppcr-csv";          ///< begins with "# deeppcr"
inline constexpr const char* kModule = "deeppcr-module";    ///< TorchScript: written_by deeppcr
inline constexpr const char* kEmpty = "empty";              ///< anybody's, without content
}  // namespace file_format

/// The file that a path stands for, through symbolic links in its last part; of a link to nothing
/// what it points to. Whoever replaces a file by renaming another one renames it to this name, so
/// that a link stays a link. This rank alone.
std::string link_target(const std::string& path);

/// A name of the same file for libraries that keep names in short buffers, as OpenMPI's file
/// functions do and crash: `path`, or where that is too long the way there from the current folder.
/// @throws Error (this rank) where both are too long
std::string short_path(const std::string& path);

}  // namespace deeppcr
