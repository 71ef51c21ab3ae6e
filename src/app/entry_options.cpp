#include "app/entry_options.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "app/option_values.hpp"
#include "deeppcr/core/error.hpp"

namespace deeppcr::app {
namespace {

namespace po = boost::program_options;

using Names = std::vector<std::string>;

bool holds(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// An option as its owners together declare it.
struct Shared {
  OptionSpec spec;
  Names owners;  ///< in the catalogue's order
  std::string help;
};

/// The semantic of an option that knows whose it is.
class OwnedValue final : public po::value_semantic {
 public:
  OwnedValue(std::string selector, Shared shared, po::value_semantic* semantic)
      : selector_(std::move(selector)), shared_(std::move(shared)), semantic_(semantic) {}

  const std::string& selector() const { return selector_; }
  const Names& owners() const { return shared_.owners; }
  const po::value_semantic& semantic() const { return *semantic_; }
  bool is_default(const po::variable_value& value) const {
    return value_text(value.value()) == value_text(default_value());
  }

  std::string name() const override { return semantic_->name(); }
  unsigned min_tokens() const override { return semantic_->min_tokens(); }
  unsigned max_tokens() const override { return semantic_->max_tokens(); }
  bool is_composing() const override { return semantic_->is_composing(); }
  bool is_required() const override { return semantic_->is_required(); }
  void parse(boost::any& store, const Names& tokens, bool utf8) const override {
    semantic_->parse(store, tokens, utf8);
  }
  bool apply_default(boost::any& store) const override { return semantic_->apply_default(store); }
  void notify(const boost::any& store) const override { semantic_->notify(store); }

 private:
  boost::any default_value() const {
    boost::any value;
    semantic_->apply_default(value);
    return value;
  }

  std::string selector_;
  Shared shared_;
  std::unique_ptr<po::value_semantic> semantic_;
};

const OwnedValue* owned(const po::option_description& option) {
  return dynamic_cast<const OwnedValue*>(option.semantic().get());
}

po::value_semantic* semantic_of(const OptionSpec& spec) {
  switch (spec.kind) {
    case OptionSpec::Kind::whole:
      return whole_number(spec.name, std::stoll(spec.otherwise), static_cast<Index>(spec.lowest),
                          static_cast<Index>(spec.highest));
    case OptionSpec::Kind::real:
      return real_number(spec.name, spec.otherwise, spec.lowest, spec.highest);
    case OptionSpec::Kind::word:
      return one_of(spec.name, spec.otherwise, spec.words);
    case OptionSpec::Kind::flag:
      return flag();
    case OptionSpec::Kind::text:
      break;
  }
  if (spec.placeholder == "FILE") return read_file(spec.placeholder, spec.otherwise);
  return text(spec.placeholder, spec.otherwise);
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
std::string help_of(const std::vector<std::pair<std::string, std::string>>& by_owner) {
  std::vector<std::pair<std::string, Names>> texts;
  for (const auto& [owner, help] : by_owner) {
    const auto same = std::find_if(texts.begin(), texts.end(),
                                   [&, &help = help](const auto& t) { return t.first == help; });
    if (same != texts.end()) {
      same->second.push_back(owner);
    } else {
      texts.push_back({help, {owner}});
    }
  }
  std::string lines;
  for (const auto& [help, owners] : texts)
    lines += fmt::format("{}{}: {}", lines.empty() ? "" : "\n", fmt::join(owners, ", "), help);
  return lines;
}

/// Each option once. Those with the same owners follow each other, in the catalogue's order.
std::vector<Shared> shared_options(const std::vector<OfferedEntry>& entries) {
  std::vector<Shared> all;
  std::map<std::string, std::vector<std::pair<std::string, std::string>>> helps;
  for (const OfferedEntry& entry : entries)
    for (const OptionSpec& spec : entry.options) {
      helps[spec.name].emplace_back(entry.name, spec.help);
      const auto known = std::find_if(
          all.begin(), all.end(), [&](const Shared& one) { return one.spec.name == spec.name; });
      if (known == all.end()) {
        all.push_back({spec, {entry.name}, ""});
      } else {
        widen(known->spec, spec, entry.name);
        known->owners.push_back(entry.name);
      }
    }
  std::vector<Shared> sorted;
  for (const Shared& first : all)
    for (const Shared& one : all) {
      const bool taken = std::any_of(sorted.begin(), sorted.end(),
                                     [&](const Shared& s) { return s.spec.name == one.spec.name; });
      if (!taken && one.owners == first.owners) sorted.push_back(one);
    }
  for (Shared& one : sorted) one.help = help_of(helps[one.spec.name]);
  return sorted;
}

/// The options of one catalogue that the user has given.
struct Given {
  std::string option;  ///< as it was typed, such as "--linear pcr"
  const OwnedValue* value;
  bool repeats_default;  ///< in a file
};

std::string as_typed(const OwnedValue& owned, const std::string& name,
                     const po::variable_value& value) {
  const bool is_switch = owned.max_tokens() == 0;
  return "--" + name + (is_switch ? "" : " " + value_text(value.value()));
}

void refuse_beside(const std::string& selector, const std::string& chosen,
                   const std::vector<Given>& given) {
  for (const Given& one : given) {
    if (one.repeats_default || holds(one.value->owners(), chosen)) continue;
    throw input_error("{} goes with --{} {}, not with {}; leave it out", one.option, selector,
                      fmt::join(one.value->owners(), " or "), chosen);
  }
}

/// The entry that all given options belong to. @throws Error where two have none in common
std::string entry_for(const std::string& selector, const std::string& otherwise,
                      const std::vector<Given>& given) {
  Names candidates = given.front().value->owners();
  for (const Given& one : given) {
    Names common;
    for (const std::string& name : candidates)
      if (holds(one.value->owners(), name)) common.push_back(name);
    if (common.empty()) {
      throw input_error("{} goes with --{} {}, but {} with {}; leave one of them out", one.option,
                        selector, fmt::join(one.value->owners(), " or "), given.front().option,
                        fmt::join(candidates, " or "));
    }
    candidates = std::move(common);
  }
  return holds(candidates, otherwise) ? otherwise : candidates.front();
}

void select_entry(const std::string& selector, po::variables_map& values,
                  const std::vector<Given>& given) {
  const std::string chosen = text_of(values, selector);
  if (!values[selector].defaulted()) {
    refuse_beside(selector, chosen, given);
    return;
  }
  const std::string entry = entry_for(selector, chosen, given);
  auto& raw = static_cast<std::map<std::string, po::variable_value>&>(values);
  if (entry != chosen) raw[selector] = po::variable_value(boost::any(entry), false);
}

}  // namespace

void add_selector(po::options_description& options, const std::string& selector,
                  const std::string& otherwise, const std::vector<OfferedEntry>& entries) {
  Names names, lines;
  for (const OfferedEntry& entry : entries) {
    names.push_back(entry.name);
    lines.push_back(fmt::format("{}: {}", entry.name, entry.help));
  }
  const std::string help = fmt::format("{}", fmt::join(lines, "\n"));
  options.add_options()(selector.c_str(), one_of(selector, otherwise, names), help.c_str());
}

void add_entry_options(po::options_description& options, const std::string& selector,
                       const std::vector<OfferedEntry>& entries) {
  for (const Shared& shared : shared_options(entries)) {
    auto* value = new OwnedValue(selector, shared, semantic_of(shared.spec));
    options.add_options()(shared.spec.name.c_str(), value, shared.help.c_str());
  }
}

OptionValues entry_values(const std::vector<OptionSpec>& specs, const po::variables_map& values) {
  OptionValues own(specs);
  for (const OptionSpec& spec : specs) {
    if (values.count(spec.name) == 0 || values[spec.name].defaulted()) continue;
    own.set(spec.name, value_text(values[spec.name].value()));
  }
  return own;
}

void select_entries(const po::options_description& options, po::variables_map& values,
                    const std::set<std::string>& from_file) {
  std::map<std::string, std::vector<Given>> by_selector;
  for (const auto& option : options.options()) {
    const OwnedValue* value = owned(*option);
    const std::string& name = option->long_name();
    if (value == nullptr || values.count(name) == 0 || values[name].defaulted()) continue;
    const bool repeats = from_file.count(name) > 0 && value->is_default(values[name]);
    by_selector[value->selector()].push_back(
        {as_typed(*value, name, values[name]), value, repeats});
  }
  for (const auto& [selector, given] : by_selector) select_entry(selector, values, given);
}

FileRole file_role(const po::option_description& option) {
  const OwnedValue* value = owned(option);
  return file_role(value == nullptr ? *option.semantic() : value->semantic());
}

std::string selector_of(const po::option_description& option) {
  const OwnedValue* value = owned(option);
  return value == nullptr ? "" : value->selector();
}

bool is_idle(const po::options_description& options, const po::variables_map& values,
             const std::string& name) {
  const po::option_description* option = options.find_nothrow(name, false);
  const OwnedValue* value = option == nullptr ? nullptr : owned(*option);
  return value != nullptr && !holds(value->owners(), text_of(values, value->selector()));
}

}  // namespace deeppcr::app
