#pragma once

#include <boost/program_options.hpp>
#include <string>
#include <vector>

#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::app {

/// What every command gets besides its own options.
struct Context {
  const parallel::Communicator& comm;
  std::string command_line;   ///< as it was typed
  std::string configuration;  ///< all options with their values, as --config reads them
  std::vector<std::string> petsc_options;  ///< the words behind `--`
  bool quiet = false;                      ///< --quiet: no progress, no table
  bool json = false;                       ///< --json: the report as one JSON object on stdout
};

/// One command of the program. A new one is a source file with these two functions and one line in
/// commands().
struct Command {
  const char* name;
  const char* help;        ///< one line for `deeppcr --help`
  const char* positional;  ///< the option that a word without dashes sets; "" for none
  void (*add_options)(boost::program_options::options_description&);
  /// Collective: every rank calls it with equal options; the result is the exit code.
  int (*run)(const boost::program_options::variables_map&, const Context&);
  /// Whether it has safe points, at which signals end it in order.
  bool has_safe_points = false;
  /// The name of a program that is this command alone; empty: a command of deeppcr.
  const char* program = "";
};

/// What starts a command: "deeppcr solve", or the name of a program of its own.
std::string call_of(const Command& command);

/// Those of deeppcr.
const std::vector<Command>& commands();

}  // namespace deeppcr::app
