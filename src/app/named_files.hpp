#pragma once

#include <string>
#include <vector>

#include "deeppcr/cli/options.hpp"
#include "deeppcr/io/written_files.hpp"
#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::app {

/// Holds all files that options name, and those that come with them, to the rule of
/// io::check_written_files(). Returns those that the run may write. Collective.
/// @throws Error with one sentence for the first that is not allowed
std::vector<io::WrittenFile> check_written_files(const cli::Options& known,
                                                 const OptionValues& values,
                                                 const parallel::Communicator& comm);

/// Files of images in a folder; none where there is no such folder.
std::vector<std::string> image_files(const std::string& folder);

}  // namespace deeppcr::app
