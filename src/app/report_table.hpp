#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

namespace deeppcr::app {

/// The final report for people: titles, and lines of a label and a text.
class Table {
 public:
  template <typename... Args>
  void line(const char* label, fmt::format_string<Args...> text, Args&&... args) {
    text_ +=
        fmt::format("  {:<28} ", label) + fmt::format(text, std::forward<Args>(args)...) + "\n";
  }
  void title(const std::string& text) { text_ += text + "\n"; }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace deeppcr::app
