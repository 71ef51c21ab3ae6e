#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string_view>
#include <vector>

#include "deeppcr/core/error.hpp"
#include "io/signal_files.hpp"

namespace deeppcr::io {

namespace {

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") + 1 - first);
}

/// Cells between commas; a comma between quotes is none of these.
std::vector<std::string_view> cells_of(std::string_view line) {
  std::vector<std::string_view> cells;
  bool quoted = false;
  std::size_t first = 0;
  for (std::size_t i = 0; i <= line.size(); ++i) {
    if (i < line.size() && line[i] == '"') quoted = !quoted;
    if (i < line.size() && (line[i] != ',' || quoted)) continue;
    cells.push_back(trimmed(line.substr(first, i - first)));
    first = i + 1;
  }
  return cells;
}

/// Nothing where the cell is no number.
std::optional<Real> number_of(std::string_view cell) {
  if (cell.substr(0, 1) == "+" && cell.substr(1, 1) != "-") cell.remove_prefix(1);
  Real value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (end != cell.data() + cell.size()) return std::nullopt;
  if (error == std::errc()) return value;
  if (error != std::errc::result_out_of_range) return std::nullopt;
  return std::strtod(std::string(cell).c_str(), nullptr);  // 1e-400 is 0, 1e400 infinite
}

/// Columns that the first line names.
Index read_header(const std::string& path, std::string_view line) {
  const std::vector<std::string_view> names = cells_of(line);
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty() || names[i] == "\"\"") {
      throw local_input_error(
          "column {} in '{}' has no name in the first line; give it one, or leave it out where it "
          "only counts the lines",
          i + 1, path);
    }
    if (number_of(names[i])) {
      throw local_input_error(
          "the first line of '{}' must name the columns, but column {} has {}, which reads as a "
          "number; put a line of names before it, or call the column otherwise",
          path, i + 1, names[i]);
    }
  }
  return static_cast<Index>(names.size());
}

/// What else may be wrong with a line.
const char* advice(std::string_view line) {
  return line.find_first_of(";\t") == std::string_view::npos
             ? ""
             : "; columns are separated by commas, and a number has a point";
}

void read_line(const std::string& path, Index line_number, std::string_view line, Index columns,
               std::vector<Real>& values) {
  const std::vector<std::string_view> cells = cells_of(line);
  if (static_cast<Index>(cells.size()) != columns) {
    throw local_input_error("line {} of '{}' has {} columns, but the first line names {}{}",
                            line_number, path, cells.size(), columns, advice(line));
  }
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const std::optional<Real> value = number_of(cells[i]);
    if (value && std::isfinite(*value)) {
      values.push_back(*value);
      continue;
    }
    throw local_input_error("line {} of '{}' has '{}' in column {}; finite numbers are needed{}",
                            line_number, path, cells[i].substr(0, 40), i + 1, advice(line));
  }
}

}  // namespace

Signals read_csv_signals(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  const bool marked = line.rfind("\xef\xbb\xbf", 0) == 0;  // as some programs begin UTF-8
  Signals signals;
  signals.samples = 1;
  signals.features = read_header(path, std::string_view(line).substr(marked ? 3 : 0));
  std::vector<Real> values;
  Index empty = 0, number = 1;  // empty: the first of the empty lines since the last number
  while (std::getline(file, line)) {
    ++number;
    if (trimmed(line).empty()) {
      empty = empty == 0 ? number : empty;
      continue;
    }
    if (empty != 0) throw local_input_error("line {} of '{}' is empty", empty, path);
    read_line(path, number, line, signals.features, values);
    ++signals.steps;
  }
  if (file.bad()) throw local_input_error("'{}' cannot be read to its end", path);
  if (signals.steps == 0)
    throw local_input_error("'{}' names columns, but has no line of numbers", path);
  signals.inputs.reset(static_cast<Index>(values.size()));
  std::copy(values.begin(), values.end(), signals.inputs.begin());
  return signals;
}

}  // namespace deeppcr::io
