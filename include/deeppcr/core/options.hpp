#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/types.hpp"

namespace deeppcr {

/// One option of a catalogue's entry (a model, a solver, an optimiser), declared beside it. The
/// command line offers it as --name; several entries may declare the same option in the same way.
struct OptionSpec {
  enum class Kind { whole, real, word, text, flag };
  std::string name;
  Kind kind = Kind::text;
  std::string otherwise;  ///< the default, as it is typed; "false" for a flag
  std::string help;
  double lowest = 0, highest = 0;       ///< of whole and real
  std::vector<std::string> words = {};  ///< those allowed, of word
  std::string placeholder = "TEXT";     ///< what --help shows for a text, such as FILE
  bool reads = false;                   ///< of text: names a file that a run reads
  std::string writes = "";              ///< of text: names a file that a run writes, in this format
};

/// A whole number in [lowest, highest], held as Index.
OptionSpec whole_option(std::string name, Index otherwise, Index lowest, Index highest,
                        std::string help);
/// A finite number in [lowest, highest], held as double; `otherwise` is shown as it is.
OptionSpec real_option(std::string name, std::string otherwise, double lowest, double highest,
                       std::string help);
/// One of the words.
OptionSpec word_option(std::string name, std::string otherwise, std::vector<std::string> words,
                       std::string help);
/// A FILE is one that a run reads.
OptionSpec text_option(std::string name, std::string otherwise, std::string help,
                       std::string placeholder = "TEXT");
/// A switch; off unless given.
OptionSpec flag_option(std::string name, std::string help);

/// The values of an entry's options, each checked against its declaration.
class OptionValues {
 public:
  using Value = std::variant<Index, double, std::string, bool>;

  OptionValues() = default;
  /// All at their defaults, but for what take(own) takes.
  explicit OptionValues(const std::vector<OptionSpec>& specs, const OptionValues& own = {});
  /// One more, at its default.
  void declare(const OptionSpec& spec);

  /// @throws Error for a name that was not declared, or a value that is not allowed
  OptionValues& set(const std::string& name, const std::string& text);
  OptionValues& set(const std::string& name, double number);
  /// Takes the values of `others` under the same names and of the same kind, and whether they were
  /// given.
  void take(const OptionValues& others);
  /// The values of these options, which may be declared in another way here: those that are given
  /// here, and the defaults of `specs`. @throws Error for a value that `specs` do not allow
  OptionValues part(const std::vector<OptionSpec>& specs) const;

  /// @pre the name was declared, with this kind
  Index whole(const std::string& name) const;
  double real(const std::string& name) const;
  const std::string& word(const std::string& name) const;
  bool flag(const std::string& name) const;
  /// Any of them as it is typed; empty where none of that name was declared.
  std::string text(const std::string& name) const;

  bool has(const std::string& name) const { return values_.count(name) > 0; }
  /// Whether the user has given it: set() was called.
  bool given(const std::string& name) const { return given_.count(name) > 0; }
  const std::vector<OptionSpec>& specs() const { return specs_; }

 private:
  const Value& value(const std::string& name) const;

  std::vector<OptionSpec> specs_;
  std::map<std::string, Value> values_;
  std::set<std::string> given_;
};

/// The value that a text stands for. @throws Error with one sentence: which option, which value,
/// what is allowed
OptionValues::Value parse_option(const OptionSpec& spec, const std::string& text);

/// The whole number from 1 that a text is; 0 where it is none.
Index count_of(const std::string& text);

/// Entries that each have a `name` of their own, in the order in which they came. References to
/// them stay valid when others are added.
template <typename Entry>
class Catalogue {
 public:
  /// `kind` is what messages call an entry: "optimiser".
  Catalogue(std::string kind, std::deque<Entry> entries)
      : kind_(std::move(kind)), entries_(std::move(entries)) {}

  const std::deque<Entry>& entries() const { return entries_; }

  /// @throws Error when the name is taken
  void add(Entry entry) {
    if (find_if_known(entry.name) != nullptr)
      throw input_error("{} '{}': the name is taken; choose another", kind_, entry.name);
    entries_.push_back(std::move(entry));
  }

  /// Null where there is none.
  const Entry* find_if_known(const std::string& name) const {
    for (const Entry& entry : entries_)
      if (entry.name == name) return &entry;
    return nullptr;
  }

  /// @throws Error that lists the names known
  const Entry& find(const std::string& name) const {
    const Entry* entry = find_if_known(name);
    if (entry != nullptr) return *entry;
    std::vector<std::string> names;
    for (const Entry& known : entries_) names.push_back(known.name);
    throw input_error("unknown {} '{}': known are {}", kind_, name, fmt::join(names, ", "));
  }

 private:
  std::string kind_;
  std::deque<Entry> entries_;
};

/// The words that stand for the values 0, 1, .. of an enum on the command line.
template <typename E>
struct Words {
  const char* kind;  ///< what messages call them: "activation"
  std::vector<const char*> words;

  const char* of(E value) const { return words[static_cast<std::size_t>(value)]; }
  /// @throws Error that lists the words known
  E find(const std::string& word) const {
    for (std::size_t i = 0; i < words.size(); ++i)
      if (word == words[i]) return static_cast<E>(i);
    throw input_error("unknown {} '{}': known are {}", kind, word, fmt::join(words, ", "));
  }
};

}  // namespace deeppcr
