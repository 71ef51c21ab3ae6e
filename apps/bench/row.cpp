#include "row.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "columns.hpp"

namespace deeppcr::bench {
namespace {

/// RFC 4180: quotes around what holds a comma or a quote.
std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string result = "\"";
  for (char c : text) result += c == '"' ? std::string("\"\"") : std::string(1, c);
  return result + "\"";
}

}  // namespace

std::string cell_text(const Cell& cell, const char* number_format) {
  if (const auto* text = std::get_if<std::string>(&cell)) return *text;
  if (const auto* count = std::get_if<Index>(&cell))
    return *count == 0 ? "" : fmt::format("{}", *count);
  const double value = std::get<double>(cell);
  return std::isnan(value) ? "" : fmt::format(fmt::runtime(number_format), value);
}

Seconds Seconds::of(std::vector<double> runs) {
  std::sort(runs.begin(), runs.end());
  const std::size_t half = runs.size() / 2;
  const double median = runs.size() % 2 == 1 ? runs[half] : 0.5 * (runs[half - 1] + runs[half]);
  return {median, runs.front(), runs.back(), static_cast<Index>(runs.size())};
}

void Row::compare(const std::string& other, const Seconds& its_seconds) {
  baseline = other;
  baseline_seconds = its_seconds.median;
  speedup = its_seconds.median / seconds.median;
}

void Row::demand(double factor) {
  target = fmt::format(">= {:.3g}", factor);
  met = std::isnan(speedup) ? "unknown" : speedup >= factor ? "yes" : "no";
}

const std::vector<Column>& columns() {
  static const std::vector<Column> all{
      {"suite", "group of rows", "", [](const Row& r) { return Cell(r.suite); }},
      {"case", "what is computed", "", [](const Row& r) { return Cell(r.name); }},
      {"method", "what was measured", "", [](const Row& r) { return Cell(r.method); }},
      {"ranks", "MPI ranks, one core each", "", [](const Row& r) { return Cell(Index{r.ranks}); }},
      {"steps", "steps of the chain L", "", [](const Row& r) { return Cell(r.steps); }},
      {"width", "width of a state n", "", [](const Row& r) { return Cell(Index{r.width}); }},
      {"batch", "samples B", "", [](const Row& r) { return Cell(r.batch); }},
      {"precision", "type of the numbers", "", [](const Row& r) { return Cell(r.precision); }},
      {"seconds_median", "time of one run, median", "s",
       [](const Row& r) { return Cell(r.seconds.median); }},
      {"seconds_min", "time of one run, shortest", "s",
       [](const Row& r) { return Cell(r.seconds.min); }},
      {"seconds_max", "time of one run, longest", "s",
       [](const Row& r) { return Cell(r.seconds.max); }},
      {"samples", "of the time, that the median is of", "",
       [](const Row& r) { return Cell(r.seconds.samples); }},
      {"baseline", "what it is compared with", "", [](const Row& r) { return Cell(r.baseline); }},
      {"baseline_seconds_median", "time of the baseline, median", "s",
       [](const Row& r) { return Cell(r.baseline_seconds); }},
      {"speedup", "baseline over method (rates where their work differs)", "",
       [](const Row& r) { return Cell(r.speedup); }},
      {"predicted", "speedup by the cost formula", "",
       [](const Row& r) { return Cell(r.predicted); }},
      {"gflops", "rate of the method", "GFLOP/s", [](const Row& r) { return Cell(r.gflops); }},
      {"iterations", "iterations of the method", "",
       [](const Row& r) { return Cell(r.iterations); }},
      {"chunks", "pieces that are worked on at once", "",
       [](const Row& r) { return Cell(r.chunks); }},
      {"path_evaluations", "step evaluations in a row (n^2), over L", "",
       [](const Row& r) { return Cell(r.path_evaluations); }},
      {"path_products", "products with n columns in a row (n^3), over L", "",
       [](const Row& r) { return Cell(r.path_products); }},
      {"peak_bytes", "largest memory of one rank", "B",
       [](const Row& r) { return Cell(r.peak_bytes); }},
      {"frames_per_second", "frames of a stream in a second", "1/s",
       [](const Row& r) { return Cell(r.frames_per_second); }},
      {"latency_ticks", "time of a frame from end to end, over that between two: frames under way",
       "", [](const Row& r) { return Cell(r.latency_ticks); }},
      {"collectives", "calls of MPI that all ranks take part in, of one run", "",
       [](const Row& r) { return Cell(r.collectives); }},
      {"messages", "most that one rank sends in one run", "",
       [](const Row& r) { return Cell(r.messages); }},
      {"target", "what is asked for", "", [](const Row& r) { return Cell(r.target); }},
      {"met", "whether the target is met", "", [](const Row& r) { return Cell(r.met); }},
  };
  return all;
}

std::string to_csv(const std::vector<Row>& rows, const std::vector<std::string>& comments) {
  std::string lines;
  for (const std::string& comment : comments) lines += "# " + comment + "\n";
  const auto add = [&](auto&& cell_of) {
    std::string separator;
    for (const Column& column : columns()) {
      lines += separator + quoted(cell_of(column));
      separator = ",";
    }
    lines += "\n";
  };
  add([](const Column& column) { return std::string(column.name); });
  for (const Row& row : rows)
    add([&](const Column& column) { return cell_text(column.cell(row), "{:.6g}"); });
  return lines;
}

}  // namespace deeppcr::bench
