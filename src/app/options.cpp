#include "app/options.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "deeppcr/core/error.hpp"

namespace deeppcr::app {
namespace {

namespace po = boost::program_options;

using Names = std::vector<std::string>;

bool holds(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// An option as its owners together declare it; without owners one of the command itself.
struct Declared {
  OptionSpec spec;
  std::string selector;
  Names owners;  ///< in the catalogue's order
};

/// What Boost asks about an option, answered from its declaration.
class Semantic final : public po::value_semantic {
 public:
  explicit Semantic(Declared declared) : declared_(std::move(declared)) {}
  const Declared& declared() const { return declared_; }

  std::string name() const override {
    const OptionSpec& spec = declared_.spec;
    const char* usual = spec.kind == OptionSpec::Kind::whole  ? "N"
                        : spec.kind == OptionSpec::Kind::real ? "X"
                                                              : "NAME";
    const std::string shown = spec.kind == OptionSpec::Kind::text ? spec.placeholder : usual;
    return spec.otherwise.empty() ? shown : fmt::format("{} (={})", shown, spec.otherwise);
  }
  unsigned min_tokens() const override { return max_tokens(); }
  unsigned max_tokens() const override {
    return declared_.spec.kind == OptionSpec::Kind::flag ? 0 : 1;
  }
  bool is_composing() const override { return false; }
  bool is_required() const override { return false; }
  void parse(boost::any& store, const Names& tokens, bool) const override {
    const OptionSpec& spec = declared_.spec;
    po::validators::check_first_occurrence(store);
    const std::string word = tokens.empty() ? "true" : po::validators::get_single_string(tokens);
    if (spec.kind == OptionSpec::Kind::word) check_known(spec.name, word, spec.words);
    std::visit([&](const auto& value) { store = value; }, parse_option(spec, word));
  }
  bool apply_default(boost::any& store) const override {
    store = boost::any();
    parse(store, {declared_.spec.otherwise}, true);
    return true;
  }
  void notify(const boost::any&) const override {}

 private:
  Declared declared_;
};

/// Null for options that were declared in another way.
const Declared* declared(const po::option_description& option) {
  const auto* semantic = dynamic_cast<const Semantic*>(option.semantic().get());
  return semantic == nullptr ? nullptr : &semantic->declared();
}

bool has_owners(const Declared* option) { return option != nullptr && !option->owners.empty(); }

void add(po::options_description& group, Declared option) {
  const std::string name = option.spec.name, help = option.spec.help;
  group.add_options()(name.c_str(), new Semantic(std::move(option)), help.c_str());
}

OptionSpec selecting(const Selector& selector) {
  Names names, lines;
  for (const OfferedEntry& entry : selector.entries) {
    names.push_back(entry.name);
    lines.push_back(fmt::format("{}: {}", entry.name, entry.help));
  }
  return word_option(selector.name, selector.otherwise, names,
                     fmt::format("{}", fmt::join(lines, "\n")));
}

/// Bounds and words of `other` are allowed too.
void widen(OptionSpec& spec, const OptionSpec& other, const std::string& owner) {
  if (spec.kind != other.kind || spec.otherwise != other.otherwise) {
    throw input_error(
        "--{} of '{}' has another kind or default than entries before it declare; give it another "
        "name",
        spec.name, owner);
  }
  spec.lowest = std::min(spec.lowest, other.lowest);
  spec.highest = std::max(spec.highest, other.highest);
  for (const std::string& word : other.words)
    if (!holds(spec.words, word)) spec.words.push_back(word);
}

/// "mlp, resnet: layers without bias"; a line for each text where owners have their own.
std::string help_of(const std::string& option, const std::vector<OfferedEntry>& entries) {
  std::vector<std::pair<std::string, Names>> texts;
  for (const OfferedEntry& entry : entries)
    for (const OptionSpec& spec : entry.options) {
      if (spec.name != option) continue;
      auto same = std::find_if(texts.begin(), texts.end(),
                               [&](const auto& text) { return text.first == spec.help; });
      if (same == texts.end()) same = texts.insert(texts.end(), {spec.help, {}});
      same->second.push_back(entry.name);
    }
  Names lines;
  for (const auto& [help, owners] : texts)
    lines.push_back(fmt::format("{}: {}", fmt::join(owners, ", "), help));
  return fmt::format("{}", fmt::join(lines, "\n"));
}

/// Each option once. Those with the same owners follow each other, in the catalogue's order.
std::vector<Declared> shared_options(const Selector& selector) {
  std::vector<Declared> all;
  for (const OfferedEntry& entry : selector.entries)
    for (const OptionSpec& spec : entry.options) {
      auto known = std::find_if(all.begin(), all.end(),
                                [&](const Declared& one) { return one.spec.name == spec.name; });
      if (known == all.end()) known = all.insert(all.end(), {spec, selector.name, {}});
      widen(known->spec, spec, entry.name);
      known->owners.push_back(entry.name);
    }
  for (Declared& one : all) one.spec.help = help_of(one.spec.name, selector.entries);
  for (auto first = all.begin(); first != all.end(); ++first) {
    const Names owners = first->owners;
    std::stable_partition(first, all.end(),
                          [&](const Declared& one) { return one.owners == owners; });
  }
  return all;
}

/// An option of one catalogue that the user has given.
struct Given {
  std::string option;  ///< as it was typed, such as "--linear pcr"
  const Names& owners;
};

/// The entry that all given options belong to. @throws Error where two have none in common
std::string entry_for(const std::string& selector, const std::string& otherwise,
                      const std::vector<Given>& given) {
  Names candidates = given.front().owners;
  for (const Given& one : given) {
    Names common;
    for (const std::string& name : candidates)
      if (holds(one.owners, name)) common.push_back(name);
    if (common.empty()) {
      throw input_error("{} goes with --{} {}, but {} with {}; leave one of them out", one.option,
                        selector, fmt::join(one.owners, " or "), given.front().option,
                        fmt::join(candidates, " or "));
    }
    candidates = std::move(common);
  }
  return holds(candidates, otherwise) ? otherwise : candidates.front();
}

/// Levenshtein distance: fewest letters to insert, remove or replace. Cost: O(|a| |b|).
int edit_distance(const std::string& a, const std::string& b) {
  std::vector<int> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  // row[j] = distance of a[0..i) to b[0..j), one row after another
  for (std::size_t i = 1; i <= a.size(); ++i) {
    int diagonal = row[0];
    row[0] = static_cast<int>(i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const int replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

/// The known words closest to `word`, best first, at most three; none when nothing is near.
std::vector<std::string> nearest(const std::string& word, const std::vector<std::string>& known) {
  const int limit = std::max(2, static_cast<int>(word.size()) / 3);
  std::vector<std::pair<int, std::string>> found;
  for (const std::string& candidate : known) {
    const bool begins = word.size() >= 3 && candidate.compare(0, word.size(), word) == 0;
    const int distance = begins ? 1 : edit_distance(word, candidate);
    const bool shares_nothing =
        distance >= static_cast<int>(std::max(word.size(), candidate.size()));
    if (distance <= limit && !shares_nothing) found.emplace_back(distance, candidate);
  }
  std::sort(found.begin(), found.end());
  if (found.size() > 3) found.resize(3);
  std::vector<std::string> words;
  for (const auto& entry : found) words.push_back(entry.second);
  return words;
}

}  // namespace

OptionSpec read_file(std::string name, std::string help, std::string placeholder,
                     std::string otherwise) {
  OptionSpec spec =
      text_option(std::move(name), std::move(otherwise), std::move(help), std::move(placeholder));
  spec.reads = true;
  return spec;
}

OptionSpec written_file(std::string name, const char* format, std::string help) {
  OptionSpec spec = text_option(std::move(name), "", std::move(help), "FILE");
  spec.reads = false;
  spec.writes = format;
  return spec;
}

void add_group(po::options_description& options, const std::string& title,
               const std::vector<OptionSpec>& specs, const std::vector<Selector>& selectors) {
  po::options_description group(title, kHelpColumns);
  for (const Selector& selector : selectors) add(group, {selecting(selector), "", {}});
  for (const OptionSpec& spec : specs) add(group, {spec, "", {}});
  for (const Selector& selector : selectors)
    for (const Declared& shared : shared_options(selector)) add(group, shared);
  options.add(group);
}

const OptionSpec* spec_of(const po::option_description& option) {
  const Declared* known = declared(option);
  return known == nullptr ? nullptr : &known->spec;
}

std::string selector_of(const po::option_description& option) {
  const Declared* known = declared(option);
  return known == nullptr ? "" : known->selector;
}

std::string text_of(const po::variables_map& options, const std::string& name) {
  return options.count(name) > 0 ? options[name].as<std::string>() : std::string();
}

Index whole_of(const po::variables_map& options, const std::string& name) {
  return options[name].as<Index>();
}

double real_of(const po::variables_map& options, const std::string& name) {
  return options[name].as<double>();
}

bool is_set(const po::variables_map& options, const std::string& name) {
  return options[name].as<bool>();
}

bool given(const po::variables_map& options, const std::string& name) {
  return options.count(name) > 0 && !options[name].defaulted();
}

std::string value_text(const boost::any& value) {
  if (const auto* number = boost::any_cast<Index>(&value)) return fmt::format("{}", *number);
  if (const auto* number = boost::any_cast<double>(&value)) return fmt::format("{}", *number);
  if (const auto* on = boost::any_cast<bool>(&value)) return *on ? "true" : "false";
  if (const auto* words = boost::any_cast<std::string>(&value)) return *words;
  return "";
}

std::string default_text(const po::option_description& option) {
  boost::any value;
  option.semantic()->apply_default(value);
  return value_text(value);
}

void replace(po::variables_map& options, const std::string& name, const boost::any& value) {
  static_cast<std::map<std::string, po::variable_value>&>(options)[name] =
      po::variable_value(value, false);
}

std::string did_you_mean(const std::string& word, const std::vector<std::string>& known,
                         const std::string& prefix) {
  const std::vector<std::string> near = nearest(word, known);
  if (near.empty()) return "";
  std::string text = "did you mean ";
  for (std::size_t i = 0; i < near.size(); ++i) {
    if (i > 0) text += i + 1 == near.size() ? " or " : ", ";
    text += prefix + near[i];
  }
  return text + "?";
}

Index count_of(const std::string& text) {
  const bool digits = !text.empty() && text.size() < 12 &&
                      text.find_first_not_of("0123456789") == std::string::npos;
  return digits ? std::stoll(text) : 0;
}

void check_known(const std::string& option, const std::string& word, const Names& known) {
  if (holds(known, word)) return;
  const std::string guess = did_you_mean(word, known);
  throw input_error("--{} {}: unknown; allowed: {}{}{}", option, word, fmt::join(known, ", "),
                    guess.empty() ? "" : "; ", guess);
}

OptionValues entry_values(const std::vector<OptionSpec>& specs, const po::variables_map& values) {
  OptionValues own(specs);
  for (const OptionSpec& spec : specs)
    if (given(values, spec.name)) own.set(spec.name, value_text(values[spec.name].value()));
  return own;
}

void select_entries(const po::options_description& options, po::variables_map& values) {
  std::map<std::string, std::vector<Given>> open;  // by selector
  for (const auto& option : options.options()) {
    const Declared* owned = declared(*option);
    const std::string& name = option->long_name();
    if (!has_owners(owned) || !given(values, name)) continue;
    const std::string& selector = owned->selector;
    const bool is_switch = owned->spec.kind == OptionSpec::Kind::flag;
    const Given typed{"--" + name + (is_switch ? "" : " " + value_text(values[name].value())),
                      owned->owners};
    if (!given(values, selector)) {
      open[selector].push_back(typed);
    } else if (const std::string chosen = text_of(values, selector); !holds(typed.owners, chosen)) {
      throw input_error("{} goes with --{} {}, not with {}; leave it out", typed.option, selector,
                        fmt::join(typed.owners, " or "), chosen);
    }
  }
  for (const auto& [selector, given_options] : open) {
    const std::string chosen = text_of(values, selector);
    const std::string entry = entry_for(selector, chosen, given_options);
    if (entry != chosen) replace(values, selector, entry);
  }
}

bool is_idle(const po::options_description& options, const po::variables_map& values,
             const std::string& name) {
  const po::option_description* option = options.find_nothrow(name, false);
  const Declared* owned = option == nullptr ? nullptr : declared(*option);
  return has_owners(owned) && !holds(owned->owners, text_of(values, owned->selector));
}

}  // namespace deeppcr::app
