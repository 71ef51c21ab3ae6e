#pragma once

#include <boost/program_options.hpp>
#include <set>
#include <string>
#include <vector>

#include "app/option_values.hpp"
#include "deeppcr/core/options.hpp"

namespace deeppcr::app {

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

/// Adds --selector NAME, which names one of the entries; its help lists what they say of
/// themselves.
void add_selector(boost::program_options::options_description& options, const std::string& selector,
                  const std::string& otherwise, const std::vector<OfferedEntry>& entries);

/// Adds the options of all entries that --selector chooses from. What several declare is offered
/// once, with the names of its owners in the help, and those of one owner stand together. Bounds
/// and words are those of all owners together; entry_values() holds an entry to its own.
/// @throws Error where two entries declare an option of one name with other kinds or defaults
void add_entry_options(boost::program_options::options_description& options,
                       const std::string& selector, const std::vector<OfferedEntry>& entries);

/// The values of one entry's options; those that the user has not given are at its defaults.
/// @throws Error for a value that this entry does not allow
OptionValues entry_values(const std::vector<OptionSpec>& specs,
                          const boost::program_options::variables_map& values);

/// The rule of all catalogues of a command: an option that the user has given belongs to the entry
/// chosen. Where no entry was named, the options choose: the default if all of them belong to it,
/// else the first that has them all. `from_file`: options from a configuration file, where a value
/// that repeats the default asks for nothing of another entry.
/// @throws Error with one sentence that names the option, its owners and the entry beside which it
/// stands
void select_entries(const boost::program_options::options_description& options,
                    boost::program_options::variables_map& values,
                    const std::set<std::string>& from_file = {});

/// What a run does with the file that an option names, an entry's own options included.
FileRole file_role(const boost::program_options::option_description& option);

/// The selector among whose entries an option has its owners; empty where it has none.
std::string selector_of(const boost::program_options::option_description& option);

/// Whether an option belongs to entries that were not chosen; its value means nothing then.
bool is_idle(const boost::program_options::options_description& options,
             const boost::program_options::variables_map& values, const std::string& name);

}  // namespace deeppcr::app
