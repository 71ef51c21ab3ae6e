#pragma once

#include "deeppcr/cli/command.hpp"

namespace deeppcr::app {

/// The commands of deeppcr.
const std::vector<cli::Command>& commands();

/// The whole program; the result is its exit code: 0 done, 1 bad input, 2 numerics failed, 3
/// internal error, 85 stopped in order with a checkpoint.
int run(int argc, char** argv);

/// The same for a program of one command (Command::program), whose options follow its name.
int run(const cli::Command& command, int argc, char** argv);

}  // namespace deeppcr::app
