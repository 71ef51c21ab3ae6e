#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace deeppcr {

/// Exit codes of the program; see the README.
enum class ExitCode : int {
  success = 0,
  bad_input = 1,
  numerics = 2,
  internal = 3,
  interrupted = 85,
};

/// A failure with a sentence for the user: what is wrong, what is allowed, how to mend it.
class Error : public std::runtime_error {
 public:
  /// Who has seen the error. `everywhere`: all ranks throw the same, so an orderly end is possible.
  /// `this_rank`: others do not know, so the run is aborted.
  enum class Seen { everywhere, this_rank };

  Error(ExitCode code, Seen seen, const std::string& what)
      : std::runtime_error(what), code_(code), seen_(seen) {}

  ExitCode code() const { return code_; }
  Seen seen() const { return seen_; }

 private:
  ExitCode code_;
  Seen seen_;
};

/// Bad input that every rank finds by itself (an option, a size): exit code 1.
template <typename... Args>
Error input_error(fmt::format_string<Args...> text, Args&&... args) {
  return {ExitCode::bad_input, Error::Seen::everywhere,
          fmt::format(text, std::forward<Args>(args)...)};
}

/// Bad input that this rank alone has met (a file read here); see parallel::agree(). Exit code 1.
template <typename... Args>
Error local_input_error(fmt::format_string<Args...> text, Args&&... args) {
  return {ExitCode::bad_input, Error::Seen::this_rank,
          fmt::format(text, std::forward<Args>(args)...)};
}

/// A library's error or an internal one, met on this rank: exit code 3.
template <typename... Args>
Error internal_error(fmt::format_string<Args...> text, Args&&... args) {
  return {ExitCode::internal, Error::Seen::this_rank,
          fmt::format(text, std::forward<Args>(args)...)};
}

namespace detail {
[[noreturn]] inline void assertion_failed(const char* condition, const char* file, int line,
                                          const std::string& values) {
  throw internal_error("internal error, please report it: '{}' is false at {}:{} ({})", condition,
                       file, line, values);
}
}  // namespace detail

/// "did you mean --steps or --seed?"; empty when no known word is near. `prefix` is put before
/// each.
std::string did_you_mean(const std::string& word, const std::vector<std::string>& known,
                         const std::string& prefix = "");
/// @throws Error that lists the known words where `word`, given for --option, is none of them
void check_known(const std::string& option, const std::string& word,
                 const std::vector<std::string>& known);

}  // namespace deeppcr

/// Checks an invariant of the program; the text (fmt) gives the values. Never compiled out: used
/// outside inner loops.
#define DEEPPCR_ASSERT(condition, ...)                                    \
  do {                                                                    \
    if (!(condition))                                                     \
      ::deeppcr::detail::assertion_failed(#condition, __FILE__, __LINE__, \
                                          fmt::format(__VA_ARGS__));      \
  } while (false)
