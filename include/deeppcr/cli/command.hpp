#pragma once

#include <functional>
#include <string>
#include <vector>

#include "deeppcr/cli/options.hpp"
#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::cli {

/// What every command gets besides its own options.
struct Context {
  const parallel::Communicator& comm;
  std::string command_line;   ///< as it was typed
  std::string configuration;  ///< all options with their values, as --config reads them
  std::vector<std::string> petsc_options;  ///< the words behind `--`
  bool quiet = false;                      ///< --quiet: no progress, no table
  bool json = false;                       ///< --json: the report as one JSON object on stdout
};

/// One command of a program. A new one of deeppcr's is a source file with these two functions and
/// one line in app::commands().
struct Command {
  const char* name;
  const char* help;        ///< one line for `deeppcr --help`
  const char* positional;  ///< the option that a word without dashes sets; "" for none
  void (*add_options)(Options&);
  /// Collective: every rank calls it with equal options; the result is the exit code.
  int (*run)(const OptionValues&, const Context&);
  /// Whether it has safe points, at which signals end it in order.
  bool has_safe_points = false;
  /// The name of a program that is this command alone; empty: a command of deeppcr.
  const char* program = "";
};

/// What starts a command: "deeppcr solve", or the name of a program of its own.
std::string call_of(const Command& command);
/// All options of a command, those that every command has included.
Options options_of(const Command& command);
/// @throws Error with the nearest known names
const Command& find_command(const std::vector<Command>& commands, const std::string& name);

/// A command line cut at its first `--`.
struct Words {
  std::vector<std::string> own;    ///< the command and its options
  std::vector<std::string> petsc;  ///< what follows `--`
};
Words cut(int argc, char** argv);

/// Looks at the options before entries are selected, and may set some.
using Adjust = std::function<void(OptionValues&)>;

/// Reads the options: command line over file (--config, read by rank 0) over defaults. `words`:
/// without the command's name; `commands`: those of
/// the program, whose sections a file may have. Collective.
/// @throws Error for unknown words (with the nearest known ones), wrong values, and options of
/// another entry than the one chosen (Options::select_entries())
OptionValues parse(const Command& command, const std::vector<Command>& commands,
                   const std::vector<std::string>& words, const parallel::Communicator& comm,
                   const Adjust& adjust = {});

/// All options and their values as a section that --config reads back, but for those of entries
/// (models, solvers) that were not chosen.
std::string configuration_text(const Command& command, const OptionValues& values);

/// The text of `deeppcr --help` and of `deeppcr COMMAND --help`.
std::string general_help(const std::vector<Command>& commands);
std::string command_help(const Command& command);

}  // namespace deeppcr::cli
