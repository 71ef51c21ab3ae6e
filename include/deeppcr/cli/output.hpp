#pragma once

#include <string>

#include "deeppcr/core/profile.hpp"
#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::cli {

/// Text of a report, on stdout. What cannot be written is told of at the end of the run, by
/// close_report(): the run itself goes on.
void print_out(const std::string& text);
/// The same on stderr, where nobody is told: there is no other place.
void print_error(const std::string& text);
/// Hands over what print_out() was given. Returns the system's number (errno) of the first failure
/// in this run; EPIPE: the reader has gone; 0: none.
int flush_out();

/// To be called before anything is opened. A standard stream that is closed gets a place to stand
/// for it: the next file would take its number, and the report would be written into that. A reader
/// of the report that has gone (`| head`) ends no run.
void prepare_standard_streams();

/// Flushes the report of a command that has ended with `code`. Where rank 0 could not write it, it
/// says so in one line, and success becomes ExitCode::internal on all ranks; a reader that has left
/// before the end has read what it wanted. Collective.
int close_report(const parallel::Communicator& comm, int code);

/// One line on stderr that follows the work: rewritten in place on a terminal, else a plain line
/// now and then.
class ProgressLine {
 public:
  /// speaks: on rank 0 of a run that is not quiet.
  explicit ProgressLine(bool speaks);
  /// Ends the line on a terminal.
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  /// Whether it is time for another show().
  bool is_due() const;
  void show(const std::string& line);

 private:
  bool speaks_;
  bool terminal_;
  bool line_open_ = false;
  Stopwatch since_line_;
};

}  // namespace deeppcr::cli
