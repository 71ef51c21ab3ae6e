#pragma once

#include <boost/program_options.hpp>
#include <string>
#include <vector>

#include "deeppcr/core/options.hpp"

namespace deeppcr::app {

/// Width of the text that --help prints; for the constructors of options_description.
inline constexpr unsigned kHelpColumns = 100;

/// A text that names a file which the run reads; a FILE is one anyway.
OptionSpec read_file(std::string name, std::string help, std::string placeholder = "FILE",
                     std::string otherwise = "");
/// A text that names a file which the run writes. Such a file may only replace what
/// check_written_files() allows. format: one of core's file_format.
OptionSpec written_file(std::string name, const char* format, std::string help);

/// An entry of a catalogue, as the command line offers it.
struct OfferedEntry {
  std::string name;
  std::string help;
  std::vector<OptionSpec> options;
};
/// The entries of any catalogue, each with a name, a line of help and its options.
template <typename Catalogue>
std::vector<OfferedEntry> offered(const Catalogue& catalogue) {
  std::vector<OfferedEntry> entries;
  for (const auto& entry : catalogue) entries.push_back({entry.name, entry.help, entry.options});
  return entries;
}

/// --NAME, which chooses one of the entries; its help lists what they say of themselves.
struct Selector {
  std::string name;
  std::string otherwise;
  std::vector<OfferedEntry> entries;
};

/// Adds a group to a command's options: the selectors, the options, then those that the selectors'
/// entries declare. What several entries declare is offered once, with the names of its owners in
/// the help, and those of one owner stand together. Bounds and words are those of all owners
/// together; entry_values() holds an entry to its own.
///
/// A value is held as Index, double, std::string or bool, and may be given once; a wrong one ends
/// in one sentence: which option, which value, what is allowed.
/// @throws Error where two entries declare an option of one name with other kinds or defaults
void add_group(boost::program_options::options_description& options, const std::string& title,
               const std::vector<OptionSpec>& specs, const std::vector<Selector>& selectors = {});

/// How an option was declared; null for one that was not added by add_group().
const OptionSpec* spec_of(const boost::program_options::option_description& option);
/// The selector among whose entries an option has its owners; empty where it has none.
std::string selector_of(const boost::program_options::option_description& option);

/// What options hold in the end. Text is empty where a command has no such option.
std::string text_of(const boost::program_options::variables_map& options, const std::string& name);
Index whole_of(const boost::program_options::variables_map& options, const std::string& name);
double real_of(const boost::program_options::variables_map& options, const std::string& name);
bool is_set(const boost::program_options::variables_map& options, const std::string& name);
/// Whether the command has the option and the user has given it.
bool given(const boost::program_options::variables_map& options, const std::string& name);
/// A value as it is typed; empty where there is none.
std::string value_text(const boost::any& value);
/// The value of an option that is left out, as it is typed.
std::string default_text(const boost::program_options::option_description& option);
/// Gives an option another value, as if the user had.
void replace(boost::program_options::variables_map& options, const std::string& name,
             const boost::any& value);

/// "did you mean --steps or --seed?"; empty when no known word is near. `prefix` is put before
/// each.
std::string did_you_mean(const std::string& word, const std::vector<std::string>& known,
                         const std::string& prefix = "");
/// The whole number from 1 that a text is; 0 where it is none.
Index count_of(const std::string& text);
/// @throws Error that lists the known words where `word`, given for --option, is none of them
void check_known(const std::string& option, const std::string& word,
                 const std::vector<std::string>& known);

/// The values of one entry's options; those that the user has not given are at its defaults.
/// @throws Error for a value that this entry does not allow
OptionValues entry_values(const std::vector<OptionSpec>& specs,
                          const boost::program_options::variables_map& values);

/// The rule of all catalogues of a command: an option that the user has given belongs to the entry
/// chosen. Where no entry was named, the options choose: the default if all of them belong to it,
/// else the first that has them all.
/// @throws Error with one sentence that names the option, its owners and the entry beside which it
/// stands
void select_entries(const boost::program_options::options_description& options,
                    boost::program_options::variables_map& values);

/// Whether an option belongs to entries that were not chosen; its value means nothing then.
bool is_idle(const boost::program_options::options_description& options,
             const boost::program_options::variables_map& values, const std::string& name);

}  // namespace deeppcr::app
