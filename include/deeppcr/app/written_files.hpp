#pragma once

#include <boost/program_options.hpp>

#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::app {

/// --force, for commands that write files.
void add_force_option(boost::program_options::options_description& options);

/// The rule of what a run may write, for all options declared by written_file(): a file that is not
/// there, or one of the same kind that this program wrote, through symbolic links. Never what the
/// run itself reads, nor a folder, a device or a pipe, nor one file by two options; anything else
/// with --force alone. Each folder is tried, so that hours of work do not end at a missing one.
/// Collective. @throws Error with one sentence for the first that is not allowed
void check_written_files(const boost::program_options::options_description& known,
                         const boost::program_options::variables_map& values,
                         const parallel::Communicator& comm);

}  // namespace deeppcr::app
