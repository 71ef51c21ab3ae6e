#include "deeppcr/core/files.hpp"

#include <filesystem>

#include "deeppcr/core/error.hpp"

namespace deeppcr {

std::string link_target(const std::string& path) {
  constexpr int kMostLinks = 40;  // Linux's own limit; a circle of links ends here
  std::filesystem::path at(path);
  std::error_code failed;
  for (int links = 0; links < kMostLinks; ++links) {
    if (!std::filesystem::is_symlink(at, failed)) break;
    const std::filesystem::path next = std::filesystem::read_symlink(at, failed);
    if (failed) break;
    at = next.is_absolute() ? next : at.parent_path() / next;
  }
  return at.string();
}

std::string short_path(const std::string& path) {
  // OpenMPI 4.1 ends the program at 249 bytes, and makes names of its own from the last part.
  constexpr std::size_t kMost = 230;
  std::error_code failed;
  const std::string from_here = std::filesystem::proximate(path, failed).string();
  const std::string& shorter = !failed && from_here.size() < path.size() ? from_here : path;
  if (shorter.size() <= kMost) return shorter;
  throw local_input_error(
      "'{}': a path of {} bytes, and files that the ranks write or read together have at most {}; "
      "start the run in a folder nearer to it, or use shorter names",
      path, path.size(), kMost);
}

}  // namespace deeppcr
