#pragma once

#include <string>
#include <vector>

#include "deeppcr/core/options.hpp"

namespace deeppcr::cli {

/// A text that names a file which the run reads; a FILE is one anyway.
OptionSpec read_file(std::string name, std::string help, std::string placeholder = "FILE",
                     std::string otherwise = "");
/// A text that names a file which the run writes. format: one of core's file_format.
OptionSpec written_file(std::string name, const char* format, std::string help);
/// --force, for commands that write files.
OptionSpec force_option();

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

/// An option as its owners together declare it: bounds and words are those of all of them.
struct Option {
  OptionSpec spec;
  std::string selector;             ///< that chooses among its owners; empty without them
  std::vector<std::string> owners;  ///< entries, in the catalogue's order
};

/// The options of a command.
class Options {
 public:
  struct Group {
    std::string title;
    std::vector<Option> options;
  };

  /// Adds a group: the selectors, the options, then those that the selectors' entries declare. What
  /// several entries declare is offered once, with the names of its owners in the help, and those
  /// of one owner stand together.
  /// @throws Error where two entries declare an option of one name with other kinds or defaults
  void add(const std::string& title, const std::vector<OptionSpec>& specs,
           const std::vector<Selector>& selectors = {});

  const std::vector<Group>& groups() const { return groups_; }
  /// Of all groups, in their order.
  std::vector<Option> all() const;
  bool has(const std::string& name) const { return values_.has(name); }
  /// @pre has(name)
  const Option& find(const std::string& name) const;
  std::vector<std::string> names() const;
  /// Whether an option chooses one of several entries.
  bool is_selector(const std::string& name) const;
  /// All at their defaults.
  const OptionValues& defaults() const { return values_; }

  /// The rule of all catalogues of a command: an option that the user has given belongs to the
  /// entry chosen. Where no entry was named, the options choose: the default if all of them belong
  /// to it, else the first that has them all.
  /// @throws Error with one sentence that names the option, its owners and the entry beside which
  /// it stands
  void select_entries(OptionValues& values) const;
  /// Whether an option belongs to entries that were not chosen; its value means nothing then.
  bool is_idle(const OptionValues& values, const std::string& name) const;

 private:
  std::vector<Group> groups_;
  OptionValues values_;
};

/// `key = value` under [section], in line `line` (from 1) of a configuration file.
struct ConfigEntry {
  std::string section;  ///< empty before the first one
  std::string key;
  std::string value;
  int line = 0;
};

/// The entries of a configuration in their order; `file` is what errors call it. UTF-8 with or
/// without a byte order mark, lines ended in any way. A line that begins with '#' or ';' is a
/// comment, and so is what follows a '#' behind a blank; a ';' within a line belongs to the value,
/// as does a '#' within a word. @throws Error for other encodings, with the line for what is no
/// entry and for a key that a section has twice
std::vector<ConfigEntry> parse_config_text(const std::string& file, const std::string& text);

}  // namespace deeppcr::cli
