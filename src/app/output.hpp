#pragma once

#include <string>

#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::app {

/// Text of a report, on stdout. What cannot be written is told of at the end of the run, by
/// close_report(): the run itself goes on.
void print_out(const std::string& text);
/// The same on stderr, where nobody is told: there is no other place.
void print_error(const std::string& text);

/// To be called before anything is opened. A standard stream that is closed gets a place to stand
/// for it: the next file would take its number, and the report would be written into that. A reader
/// of the report that has gone (`| head`) ends no run.
void prepare_standard_streams();

/// Flushes the report of a command that has ended with `code`. Where rank 0 could not write it, it
/// says so in one line, and success becomes ExitCode::internal on all ranks; a reader that has left
/// before the end has read what it wanted. Collective.
int close_report(const parallel::Communicator& comm, int code);

}  // namespace deeppcr::app
