#pragma once

#include <boost/program_options.hpp>
#include <string>
#include <vector>

#include "app/config_text.hpp"
#include "deeppcr/app/command.hpp"

namespace deeppcr::app {

/// A command line cut at its first `--`.
struct Words {
  std::vector<std::string> own;    ///< the command and its options
  std::vector<std::string> petsc;  ///< what follows `--`
};
Words cut(int argc, char** argv);

/// The command of that name. @throws Error with the nearest known names
const Command& find_command(const std::string& name);

/// All options of a command, those that every command has included.
boost::program_options::options_description options_of(const Command& command);

/// Reads the options: command line over file (--config, read by rank 0) over defaults. `words`:
/// without the command's name. Collective.
/// @throws Error for unknown words (with the nearest known ones), wrong values, and options of
/// another entry than the one chosen (select_entries())
boost::program_options::variables_map parse(const Command& command,
                                            const std::vector<std::string>& words,
                                            const parallel::Communicator& comm);

/// An entry of a configuration as Boost takes it, whatever its section.
boost::program_options::option option_of(const ConfigEntry& entry);

/// All options and their values as a section that --config reads back, but for those of entries
/// (models, solvers) that were not chosen.
std::string configuration_text(const Command& command,
                               const boost::program_options::variables_map& options);

/// The text of `deeppcr --help` and of `deeppcr COMMAND --help`.
std::string general_help();
std::string command_help(const Command& command);

}  // namespace deeppcr::app
