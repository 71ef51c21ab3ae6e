// The rows as people read them: what was found first, within the width of a terminal.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "columns.hpp"
#include "row.hpp"

namespace deeppcr::bench {
namespace {

constexpr std::size_t kTableWidth = 120;
constexpr std::size_t kGap = 2;
/// So many columns stand in every table, however equal their cells are.
constexpr std::size_t kFirst = 4;

struct Heading {
  const char* column;  ///< its name in columns()
  const char* heading;
  std::size_t most;  ///< longer cells go on in the next line
};

/// In this order, as far as there is room. (The suite stands above its tables.)
constexpr std::array kHeadings{Heading{"case", "case", 32},
                               Heading{"method", "method", 20},
                               Heading{"speedup", "ratio", 9},
                               Heading{"baseline", "baseline", 30},
                               Heading{"frames_per_second", "frames/s", 9},
                               Heading{"latency_ticks", "ticks", 9},
                               Heading{"seconds_median", "seconds", 9},
                               Heading{"ranks", "ranks", 9},
                               Heading{"steps", "steps", 10},
                               Heading{"width", "width", 9},
                               Heading{"batch", "batch", 9},
                               Heading{"precision", "type", 9},
                               Heading{"target", "target", 9},
                               Heading{"met", "met", 20},
                               Heading{"predicted", "predicted", 9},
                               Heading{"iterations", "iterations", 10},
                               Heading{"chunks", "chunks", 9},
                               Heading{"path_evaluations", "n^2 / L", 9},
                               Heading{"path_products", "n^3 / L", 9},
                               Heading{"peak_bytes", "peak bytes", 16},
                               Heading{"gflops", "GFLOP/s", 9},
                               Heading{"seconds_min", "min", 9},
                               Heading{"seconds_max", "max", 9}};

/// Broken at spaces, or within a word that is longer than a line.
std::vector<std::string> wrapped(std::string_view text, std::size_t most) {
  std::vector<std::string> lines;
  while (text.size() > most) {
    const std::size_t space = text.substr(0, most + 1).rfind(' ');
    const bool in_word = space == std::string_view::npos || space == 0;
    lines.emplace_back(text.substr(0, in_word ? most : space));
    text.remove_prefix(in_word ? most : space + 1);
  }
  lines.emplace_back(text);
  return lines;
}

struct Shown {
  std::string heading;
  bool left = false;                            ///< text, not numbers
  std::vector<std::vector<std::string>> cells;  ///< lines of each row
  std::size_t width = 0;

  Shown(const Heading& about, const Column& column, const std::vector<Row>& rows)
      : heading(about.heading), width(heading.size()) {
    for (const Row& row : rows) {
      const Cell cell = column.cell(row);
      left = std::holds_alternative<std::string>(cell);
      cells.push_back(wrapped(cell_text(cell, "{:.3g}"), about.most));
      for (const std::string& line : cells.back()) width = std::max(width, line.size());
    }
  }
  bool is_uniform() const {
    return std::all_of(cells.begin(), cells.end(),
                       [&](const auto& cell) { return cell == cells.front(); });
  }
  bool is_empty() const { return is_uniform() && cells.front().front().empty(); }
  /// One line of a row's cell; row -1 is the heading.
  std::string text(std::ptrdiff_t row, std::size_t line) const {
    if (row < 0) return line == 0 ? heading : "";
    const std::vector<std::string>& lines = cells[static_cast<std::size_t>(row)];
    return line < lines.size() ? lines[line] : "";
  }
  std::size_t height(std::ptrdiff_t row) const {
    return row < 0 ? 1 : cells[static_cast<std::size_t>(row)].size();
  }
};

const Column& column_of(const Heading& heading) {
  const std::string_view name = heading.column;
  return *std::find_if(columns().begin(), columns().end(),
                       [&](const Column& column) { return column.name == name; });
}

std::string draw(const std::vector<Shown>& shown, std::size_t rows) {
  std::string table;
  for (std::ptrdiff_t row = -1; row < static_cast<std::ptrdiff_t>(rows); ++row) {
    std::size_t height = 1;
    for (const Shown& column : shown) height = std::max(height, column.height(row));
    for (std::size_t i = 0; i < height; ++i) {
      std::string line;
      for (const Shown& column : shown) {
        const std::string text = column.text(row, i);
        line += column.left ? fmt::format("{:<{}}", text, column.width + kGap)
                            : fmt::format("{:>{}}{:{}}", text, column.width, "", kGap);
      }
      table += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
    }
  }
  return table;
}

}  // namespace

std::string to_table(const std::vector<Row>& rows) {
  if (rows.empty()) return "";
  std::vector<Shown> shown;
  std::vector<std::string> common;
  std::size_t width = 0;
  for (std::size_t i = 0; i < kHeadings.size(); ++i) {
    Shown column(kHeadings[i], column_of(kHeadings[i]), rows);
    if (column.is_empty()) continue;
    if (i >= kFirst && rows.size() > 1 && column.is_uniform()) {
      common.push_back(fmt::format("{} {}", column.heading, fmt::join(column.cells.front(), " ")));
      continue;
    }
    if (width + column.width > kTableWidth) continue;
    width += column.width + kGap;
    shown.push_back(std::move(column));
  }
  std::string above;
  if (!common.empty()) {
    const std::string sentence = fmt::format("in all rows: {}", fmt::join(common, ", "));
    above = fmt::format("{}\n", fmt::join(wrapped(sentence, kTableWidth), "\n"));
  }
  return above + draw(shown, rows.size());
}

}  // namespace deeppcr::bench
