#pragma once

#include <boost/program_options.hpp>
#include <string>
#include <vector>

#include "deeppcr/core/options.hpp"
#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::app {

/// A file that a run is to write.
struct WrittenFile {
  std::string option;  ///< empty: it comes with another one, or is the default checkpoint
  std::string path;
  std::string format;  ///< one of core's file_format

  std::string named() const;  ///< "--output r.h5", for sentences
};

/// --force, for commands that write files.
OptionSpec force_option();

/// The rule of what a run may write, for all options declared by written_file(): a file that is not
/// there, or one of the same kind that this program wrote, through symbolic links. Never what the
/// run itself reads, nor a folder, a device or a pipe, nor one file by two options; anything else
/// with --force alone. Each folder is tried, so that hours of work do not end at a missing one.
/// Returns them all. Collective. @throws Error with one sentence for the first that is
/// not allowed
std::vector<WrittenFile> check_written_files(
    const boost::program_options::options_description& known,
    const boost::program_options::variables_map& values, const parallel::Communicator& comm);

}  // namespace deeppcr::app
