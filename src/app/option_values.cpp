#include "app/option_values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <variant>

#include "app/suggest.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/options.hpp"

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

/// A text that says what a run does with the file of that name.
class FileText final : public po::typed_value<std::string> {
 public:
  explicit FileText(FileRole role) : po::typed_value<std::string>(nullptr), role_(role) {}
  const FileRole& role() const { return role_; }

 private:
  FileRole role_;
};

po::value_semantic* file_text(FileRole role, const std::string& placeholder,
                              const std::string& otherwise) {
  auto* semantic = new FileText(std::move(role));
  semantic->default_value(otherwise)->value_name(placeholder);
  return semantic;
}

std::string list(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, ", "));
}

}  // namespace

po::value_semantic* whole_number(const std::string& option, Index otherwise, Index lowest,
                                 Index highest) {
  const OptionSpec spec = whole_option(option, otherwise, lowest, highest, "");
  auto reader = [spec](const std::string& word) {
    return std::get<Index>(parse_option(spec, word));
  };
  auto* semantic = new ReadValue<Index>(reader);
  semantic->default_value(otherwise, std::to_string(otherwise))->value_name("N");
  return semantic;
}

po::value_semantic* real_number(const std::string& option, const std::string& otherwise,
                                double lowest, double highest) {
  const OptionSpec spec = real_option(option, otherwise, lowest, highest, "");
  auto reader = [spec](const std::string& word) {
    return std::get<double>(parse_option(spec, word));
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

po::value_semantic* read_file(const std::string& placeholder, const std::string& otherwise) {
  return file_text({FileRole::Kind::read, ""}, placeholder, otherwise);
}

po::value_semantic* written_file(const std::string& format) {
  return file_text({FileRole::Kind::written, format}, "FILE", "");
}

FileRole file_role(const po::value_semantic& semantic) {
  const auto* text = dynamic_cast<const FileText*>(&semantic);
  return text == nullptr ? FileRole{} : text->role();
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
