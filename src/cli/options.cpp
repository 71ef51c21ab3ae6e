#include "deeppcr/cli/options.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "deeppcr/core/error.hpp"

namespace deeppcr::cli {
namespace {

using Names = std::vector<std::string>;

bool holds(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
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
std::vector<Option> shared_options(const Selector& selector) {
  std::vector<Option> all;
  for (const OfferedEntry& entry : selector.entries)
    for (const OptionSpec& spec : entry.options) {
      auto known = std::find_if(all.begin(), all.end(),
                                [&](const Option& one) { return one.spec.name == spec.name; });
      if (known == all.end()) known = all.insert(all.end(), {spec, selector.name, {}});
      widen(known->spec, spec, entry.name);
      known->owners.push_back(entry.name);
    }
  for (Option& one : all) one.spec.help = help_of(one.spec.name, selector.entries);
  for (auto first = all.begin(); first != all.end(); ++first) {
    const Names owners = first->owners;
    std::stable_partition(first, all.end(),
                          [&](const Option& one) { return one.owners == owners; });
  }
  return all;
}

/// An option of one catalogue that the user has given.
struct Given {
  std::string option;  ///< as it was typed, such as "--linear pcr"
  Names owners;
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

OptionSpec force_option() {
  return flag_option("force",
                     "replace files of those names even if this program did not write them");
}

void Options::add(const std::string& title, const std::vector<OptionSpec>& specs,
                  const std::vector<Selector>& selectors) {
  Group group{title, {}};
  for (const Selector& selector : selectors) group.options.push_back({selecting(selector), "", {}});
  for (const OptionSpec& spec : specs) group.options.push_back({spec, "", {}});
  for (const Selector& selector : selectors)
    for (Option& shared : shared_options(selector)) group.options.push_back(std::move(shared));
  for (const Option& option : group.options) values_.declare(option.spec);
  groups_.push_back(std::move(group));
}

std::vector<Option> Options::all() const {
  std::vector<Option> all;
  for (const Group& group : groups_)
    all.insert(all.end(), group.options.begin(), group.options.end());
  return all;
}

const Option& Options::find(const std::string& name) const {
  for (const Group& group : groups_)
    for (const Option& option : group.options)
      if (option.spec.name == name) return option;
  throw internal_error("option {} was not declared", name);
}

Names Options::names() const {
  Names names;
  for (const Option& option : all()) names.push_back(option.spec.name);
  return names;
}

bool Options::is_selector(const std::string& name) const {
  const std::vector<Option> options = all();
  return std::any_of(options.begin(), options.end(),
                     [&](const Option& option) { return option.selector == name; });
}

void Options::select_entries(OptionValues& values) const {
  std::map<std::string, std::vector<Given>> open;  // by selector
  for (const Option& option : all()) {
    const std::string &name = option.spec.name, &selector = option.selector;
    if (selector.empty() || !values.given(name)) continue;
    const bool is_switch = option.spec.kind == OptionSpec::Kind::flag;
    const Given typed{"--" + name + (is_switch ? "" : " " + values.text(name)), option.owners};
    if (!values.given(selector)) {
      open[selector].push_back(typed);
    } else if (const std::string& chosen = values.word(selector); !holds(typed.owners, chosen)) {
      throw input_error("{} goes with --{} {}, not with {}; leave it out", typed.option, selector,
                        fmt::join(typed.owners, " or "), chosen);
    }
  }
  for (const auto& [selector, given] : open) {
    const std::string chosen = values.word(selector);
    const std::string entry = entry_for(selector, chosen, given);
    if (entry != chosen) values.set(selector, entry);
  }
}

bool Options::is_idle(const OptionValues& values, const std::string& name) const {
  if (!has(name)) return false;
  const Option& option = find(name);
  return !option.selector.empty() && !holds(option.owners, values.word(option.selector));
}

}  // namespace deeppcr::cli
