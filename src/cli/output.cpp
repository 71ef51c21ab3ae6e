#include "deeppcr/cli/output.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "deeppcr/core/error.hpp"

namespace deeppcr::cli {
namespace {

constexpr double kSecondsBetweenLines = 30;
constexpr double kSecondsBetweenUpdates = 0.2;

/// The first failure to write on stdout; 0: none.
int first_failure = 0;

void remember_failure() {
  if (first_failure == 0) first_failure = errno != 0 ? errno : EIO;
}

}  // namespace

void print_out(const std::string& text) {
  errno = 0;
  if (std::fwrite(text.data(), 1, text.size(), stdout) < text.size()) remember_failure();
}

void print_error(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stderr) < text.size()) std::clearerr(stderr);
}

int flush_out() {
  errno = 0;
  if (std::fflush(stdout) != 0) remember_failure();
  return first_failure;
}

void prepare_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // open() takes the lowest free number. A report on a stream that takes none is a lost one.
    if (::fcntl(stream, F_GETFD) < 0) ::open("/dev/null", O_RDONLY);
  }
  std::signal(SIGPIPE, SIG_IGN);
}

ProgressLine::ProgressLine(bool speaks) : speaks_(speaks), terminal_(isatty(STDERR_FILENO) != 0) {}

ProgressLine::~ProgressLine() {
  if (line_open_) print_error("\n");
}

bool ProgressLine::is_due() const {
  const double interval = terminal_ ? kSecondsBetweenUpdates : kSecondsBetweenLines;
  return speaks_ && since_line_.seconds() >= interval;
}

void ProgressLine::show(const std::string& line) {
  since_line_.restart();
  print_error(terminal_ ? "\r\033[K" + line : line + "\n");
  std::fflush(stderr);
  line_open_ = terminal_;
}

int close_report(const parallel::Communicator& comm, int code) {
  Index lost = 0;
  if (comm.is_root()) {
    errno = 0;
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) remember_failure();
    const bool reader_left = first_failure == EPIPE;
    if (first_failure != 0 && !reader_left) {
      lost = 1;
      print_error(fmt::format("deeppcr: the report could not be written to stdout: {}\n",
                              std::strerror(first_failure)));
    }
  }
  comm.broadcast(lost, 0);
  const bool success = code == static_cast<int>(ExitCode::success);
  return lost != 0 && success ? static_cast<int>(ExitCode::internal) : code;
}

}  // namespace deeppcr::cli
