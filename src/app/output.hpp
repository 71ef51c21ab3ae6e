#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::app {

namespace detail {
void write_out(const fmt::memory_buffer& text);
void write_error(const fmt::memory_buffer& text);
}  // namespace detail

/// Text of a report, on stdout. What cannot be written is told of at the end of the run, by
/// close_report(): the run itself goes on.
template <typename... Args>
void print_out(fmt::format_string<Args...> text, Args&&... args) {
  fmt::memory_buffer buffer;
  fmt::format_to(fmt::appender(buffer), text, std::forward<Args>(args)...);
  detail::write_out(buffer);
}

/// The same on stderr, where nobody is told: there is no other place.
template <typename... Args>
void print_error(fmt::format_string<Args...> text, Args&&... args) {
  fmt::memory_buffer buffer;
  fmt::format_to(fmt::appender(buffer), text, std::forward<Args>(args)...);
  detail::write_error(buffer);
}

/// To be called before anything is opened. A standard stream that is closed gets a place to stand
/// for it: the next file would take its number, and the report would be written into that. A reader
/// of the report that has gone (`| head`) ends no run.
void prepare_standard_streams();

/// Flushes the report of a command that has ended with `code`. Where rank 0 could not write it, it
/// says so in one line, and success becomes ExitCode::internal on all ranks; a reader that has left
/// before the end has read what it wanted. Collective.
int close_report(const parallel::Communicator& comm, int code);

}  // namespace deeppcr::app
