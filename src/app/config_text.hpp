#pragma once

#include <string>
#include <vector>

namespace deeppcr::app {

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

}  // namespace deeppcr::app
