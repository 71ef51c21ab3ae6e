#pragma once

#include <string>

namespace deeppcr::test {

/// A word as GoogleTest takes it for a name.
inline std::string as_identifier(std::string word) {
  for (char& letter : word)
    if (letter == '-' || letter == ' ') letter = '_';
  return word;
}

}  // namespace deeppcr::test
