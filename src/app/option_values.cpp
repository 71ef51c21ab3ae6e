#include "deeppcr/app/option_values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>

#include "deeppcr/app/suggest.hpp"
#include "deeppcr/core/error.hpp"

namespace deeppcr::app {
namespace {

namespace po = boost::program_options;

/// A typed value read by a function of ours, so that its errors are ours too.
template <typename T>
class ReadValue : public po::typed_value<T> {
 public:
  using Reader = std::function<T(const std::string&)>;
  explicit ReadValue(Reader reader) : po::typed_value<T>(nullptr), reader_(std::move(reader)) {}

  void xparse(boost::any& store, const std::vector<std::string>& tokens) const override {
    po::validators::check_first_occurrence(store);
    store = reader_(po::validators::get_single_string(tokens));
  }

 private:
  Reader reader_;
};

/// The number that is the whole of `word`; NaN where it is none.
double to_number(const std::string& word) {
  char* end = nullptr;
  const double value = std::strtod(word.c_str(), &end);
  const bool whole =
      !word.empty() && *end == '\0' && !std::isspace(static_cast<unsigned char>(word[0]));
  return whole ? value : std::nan("");
}

std::string list(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, ", "));
}

}  // namespace

po::value_semantic* whole_number(const std::string& option, Index otherwise, Index lowest,
                                 Index highest) {
  auto reader = [=](const std::string& word) {
    const double value = to_number(word);
    // NaN fails every comparison
    const bool allowed = value >= static_cast<double>(lowest) &&
                         value <= static_cast<double>(highest) && value == std::floor(value);
    if (!allowed) {
      throw input_error("--{} {}: a whole number from {} to {} is needed, such as --{} {}", option,
                        word, lowest, highest, option, otherwise);
    }
    return static_cast<Index>(value);
  };
  auto* semantic = new ReadValue<Index>(reader);
  semantic->default_value(otherwise, std::to_string(otherwise))->value_name("N");
  return semantic;
}

po::value_semantic* real_number(const std::string& option, const std::string& otherwise,
                                double lowest, double highest) {
  auto reader = [=](const std::string& word) {
    const double value = to_number(word);
    if (!(value >= lowest && value <= highest)) {
      throw input_error("--{} {}: a number from {} to {} is needed, such as --{} {}", option, word,
                        lowest, highest, option, otherwise);
    }
    return value;
  };
  auto* semantic = new ReadValue<double>(reader);
  semantic->default_value(std::strtod(otherwise.c_str(), nullptr), otherwise)->value_name("X");
  return semantic;
}

void check_known(const std::string& option, const std::string& word,
                 const std::vector<std::string>& known) {
  if (std::find(known.begin(), known.end(), word) != known.end()) return;
  const std::string guess = did_you_mean(word, known);
  throw input_error("--{} {}: unknown; allowed: {}{}{}", option, word, list(known),
                    guess.empty() ? "" : "; ", guess);
}

po::value_semantic* one_of(const std::string& option, const std::string& otherwise,
                           const std::vector<std::string>& known) {
  auto reader = [=](const std::string& word) {
    check_known(option, word, known);
    return word;
  };
  auto* semantic = new ReadValue<std::string>(reader);
  semantic->default_value(otherwise)->value_name("NAME");
  return semantic;
}

po::value_semantic* text(const std::string& placeholder, const std::string& otherwise) {
  auto* semantic = po::value<std::string>();
  semantic->default_value(otherwise)->value_name(placeholder);
  return semantic;
}

po::value_semantic* flag() { return po::bool_switch(); }

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

std::string value_text(const boost::any& value) {
  if (const auto* number = boost::any_cast<Index>(&value)) return fmt::format("{}", *number);
  if (const auto* number = boost::any_cast<double>(&value)) return fmt::format("{}", *number);
  if (const auto* on = boost::any_cast<bool>(&value)) return *on ? "true" : "false";
  if (const auto* words = boost::any_cast<std::string>(&value)) return *words;
  return "";
}

}  // namespace deeppcr::app
