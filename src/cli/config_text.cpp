#include <algorithm>
#include <map>
#include <utility>

#include "deeppcr/cli/options.hpp"
#include "deeppcr/core/error.hpp"

namespace deeppcr::cli {
namespace {

constexpr const char* kBlanks = " \t";

std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::string without_comment(const std::string& line) {
  const std::string text = trimmed(line);
  if (!text.empty() && text[0] == ';') return "";
  for (std::size_t at = text.find('#'); at != std::string::npos; at = text.find('#', at + 1)) {
    const bool begins_word = at == 0 || text[at - 1] == ' ' || text[at - 1] == '\t';
    if (begins_word) return trimmed(text.substr(0, at));
  }
  return text;
}

/// What follows the byte order mark, if there is one.
std::string as_utf8(const std::string& file, const std::string& text) {
  const auto begins = [&](const char* mark) { return text.rfind(mark, 0) == 0; };
  if (begins("\xff\xfe") || begins("\xfe\xff"))
    throw input_error("{}: it is in UTF-16; save it as UTF-8", file);
  if (text.find('\0') != std::string::npos)
    throw input_error("{}: it is no text in UTF-8, for it has bytes of zero", file);
  return begins("\xef\xbb\xbf") ? text.substr(3) : text;
}

/// The next line; moves `at` behind its end, which is LF, CR or both.
std::string next_line(const std::string& text, std::size_t& at) {
  const std::size_t end = std::min(text.find_first_of("\r\n", at), text.size());
  const std::string line = text.substr(at, end - at);
  at = end + (text.compare(end, 2, "\r\n") == 0 ? 2 : 1);
  return line;
}

}  // namespace

std::vector<ConfigEntry> parse_config_text(const std::string& file, const std::string& text) {
  const std::string lines = as_utf8(file, text);
  std::vector<ConfigEntry> entries;
  std::map<std::pair<std::string, std::string>, int> seen;
  std::string section;
  int number = 0;
  for (std::size_t at = 0; at < lines.size();) {
    const std::string line = without_comment(next_line(lines, at));
    ++number;
    if (line.empty()) continue;
    if (line.front() == '[' && line.back() == ']') {
      section = trimmed(line.substr(1, line.size() - 2));
      continue;
    }
    const std::size_t equals = line.find('=');
    const std::string key = trimmed(line.substr(0, std::min(equals, line.size())));
    if (equals == std::string::npos || key.empty()) {
      throw input_error("{}: line {} is neither '[COMMAND]' nor 'key = value': {}", file, number,
                        line);
    }
    const auto [first, is_new] = seen.try_emplace({section, key}, number);
    if (!is_new) {
      throw input_error("{}: '{}' is given twice, in lines {} and {}; leave one out", file, key,
                        first->second, number);
    }
    entries.push_back({section, key, trimmed(line.substr(equals + 1)), number});
  }
  return entries;
}

}  // namespace deeppcr::cli
