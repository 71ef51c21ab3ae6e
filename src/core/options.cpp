#include "deeppcr/core/options.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "deeppcr/core/error.hpp"

namespace deeppcr {

namespace {

using Kind = OptionSpec::Kind;

/// The number that is the whole of `text`, one that the option takes.
double to_number(const OptionSpec& spec, const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  const bool is_number =
      !text.empty() && *end == '\0' && !std::isspace(static_cast<unsigned char>(text[0]));
  const bool whole = spec.kind == Kind::whole;
  const bool fits = value >= spec.lowest && value <= spec.highest;  // NaN does not
  if (!is_number || !fits || (whole && value != std::floor(value))) {
    throw input_error("--{} {}: a {} from {} to {} is needed, such as --{} {}", spec.name, text,
                      whole ? "whole number" : "number", spec.lowest, spec.highest, spec.name,
                      spec.otherwise);
  }
  return value;
}

bool to_flag(const OptionSpec& spec, const std::string& text) {
  if (text == "true" || text == "false") return text == "true";
  throw input_error("--{} {}: true or false is needed", spec.name, text);
}

}  // namespace

OptionSpec real_option(std::string name, std::string otherwise, double lowest, double highest,
                       std::string help) {
  return {std::move(name), Kind::real, std::move(otherwise), std::move(help), lowest, highest};
}

OptionSpec whole_option(std::string name, Index otherwise, Index lowest, Index highest,
                        std::string help) {
  OptionSpec spec =
      real_option(std::move(name), std::to_string(otherwise), static_cast<double>(lowest),
                  static_cast<double>(highest), std::move(help));
  spec.kind = Kind::whole;
  return spec;
}

OptionSpec word_option(std::string name, std::string otherwise, std::vector<std::string> words,
                       std::string help) {
  OptionSpec spec{std::move(name), Kind::word, std::move(otherwise), std::move(help)};
  spec.words = std::move(words);
  return spec;
}

OptionSpec text_option(std::string name, std::string otherwise, std::string help,
                       std::string placeholder) {
  OptionSpec spec{std::move(name), Kind::text, std::move(otherwise), std::move(help)};
  spec.reads = placeholder == "FILE";
  spec.placeholder = std::move(placeholder);
  return spec;
}

OptionSpec flag_option(std::string name, std::string help) {
  return {std::move(name), Kind::flag, "false", std::move(help)};
}

OptionValues::Value parse_option(const OptionSpec& spec, const std::string& text) {
  if (spec.kind == Kind::whole) return static_cast<Index>(to_number(spec, text));
  if (spec.kind == Kind::real) return to_number(spec, text);
  if (spec.kind == Kind::flag) return to_flag(spec, text);
  if (spec.kind == Kind::word) check_known(spec.name, text, spec.words);
  return text;
}

OptionValues::OptionValues(const std::vector<OptionSpec>& specs, const OptionValues& own) {
  for (const OptionSpec& spec : specs) declare(spec);
  take(own);
}

void OptionValues::declare(const OptionSpec& spec) {
  specs_.push_back(spec);
  values_[spec.name] = parse_option(spec, spec.otherwise);
}

OptionValues& OptionValues::set(const std::string& name, const std::string& text) {
  const auto spec = std::find_if(specs_.begin(), specs_.end(),
                                 [&](const OptionSpec& one) { return one.name == name; });
  if (spec == specs_.end()) throw input_error("--{}: no such option here", name);
  values_[name] = parse_option(*spec, text);
  given_.insert(name);
  return *this;
}

OptionValues& OptionValues::set(const std::string& name, double number) {
  return set(name, fmt::format("{}", number));
}

void OptionValues::take(const OptionValues& others) {
  for (auto& [name, value] : values_) {
    const auto other = others.values_.find(name);
    if (other == others.values_.end() || other->second.index() != value.index()) continue;
    value = other->second;
    if (others.given(name)) given_.insert(name);
  }
}

OptionValues OptionValues::part(const std::vector<OptionSpec>& specs) const {
  OptionValues own(specs);
  for (const OptionSpec& spec : specs)
    if (given(spec.name)) own.set(spec.name, text(spec.name));
  return own;
}

const OptionValues::Value& OptionValues::value(const std::string& name) const {
  const auto found = values_.find(name);
  DEEPPCR_ASSERT(found != values_.end(), "option {} was not declared", name);
  return found->second;
}

Index OptionValues::whole(const std::string& name) const { return std::get<Index>(value(name)); }
double OptionValues::real(const std::string& name) const { return std::get<double>(value(name)); }
const std::string& OptionValues::word(const std::string& name) const {
  return std::get<std::string>(value(name));
}
bool OptionValues::flag(const std::string& name) const { return std::get<bool>(value(name)); }

std::string OptionValues::text(const std::string& name) const {
  if (!has(name)) return "";
  const Value& held = value(name);
  if (const auto* word = std::get_if<std::string>(&held)) return *word;
  if (const auto* on = std::get_if<bool>(&held)) return *on ? "true" : "false";
  if (const auto* number = std::get_if<Index>(&held)) return fmt::format("{}", *number);
  return fmt::format("{}", std::get<double>(held));
}

}  // namespace deeppcr
