#pragma once

#include <boost/program_options.hpp>
#include <string>
#include <vector>

#include "deeppcr/core/types.hpp"

namespace deeppcr::app {

/// Width of the text that --help prints; for the constructors of options_description.
inline constexpr unsigned kHelpColumns = 100;

/// Kinds of option values. Each names its option, so that a wrong value ends in one sentence: which
/// value, what is allowed, how to mend it. All hold one value and may be given once.

/// A whole number in [lowest, highest], held as Index. Text such as 4096 or 1e6.
boost::program_options::value_semantic* whole_number(const std::string& option, Index otherwise,
                                                     Index lowest, Index highest);
/// A finite number in [lowest, highest], held as double. `otherwise` is text, shown by --help as it
/// is.
boost::program_options::value_semantic* real_number(const std::string& option,
                                                    const std::string& otherwise, double lowest,
                                                    double highest);
/// @throws Error that lists the known words where `word`, given for --option, is none of them
void check_known(const std::string& option, const std::string& word,
                 const std::vector<std::string>& known);
/// One of the known words, held as std::string.
boost::program_options::value_semantic* one_of(const std::string& option,
                                               const std::string& otherwise,
                                               const std::vector<std::string>& known);
/// Any text that is not empty, held as std::string; without a default it is empty.
boost::program_options::value_semantic* text(const std::string& placeholder,
                                             const std::string& otherwise = "");
/// What a run does with the file that an option names.
struct FileRole {
  enum class Kind { none, read, written };
  Kind kind = Kind::none;
  std::string format;  ///< of a written one: what io::recognise() calls it
};
/// Names of files, held as std::string. Those that are written may only replace what
/// check_written_files() allows.
boost::program_options::value_semantic* read_file(const std::string& placeholder = "FILE",
                                                  const std::string& otherwise = "");
boost::program_options::value_semantic* written_file(const std::string& format);
/// What kind of file option this is.
FileRole file_role(const boost::program_options::value_semantic& semantic);
/// A switch, held as bool; false unless given.
boost::program_options::value_semantic* flag();

/// What these hold in the end. Text is empty where a command has no such option.
std::string text_of(const boost::program_options::variables_map& options, const std::string& name);
Index whole_of(const boost::program_options::variables_map& options, const std::string& name);
double real_of(const boost::program_options::variables_map& options, const std::string& name);
bool is_set(const boost::program_options::variables_map& options, const std::string& name);

/// A value as it is typed; empty where there is none.
std::string value_text(const boost::any& value);

}  // namespace deeppcr::app
