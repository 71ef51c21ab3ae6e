#pragma once

#include <limits>
#include <string>
#include <vector>

#include "deeppcr/core/types.hpp"

namespace deeppcr::bench {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

/// Seconds of several runs.
struct Seconds {
  double median = kUnknown;
  double min = kUnknown;
  double max = kUnknown;
  Index samples = 0;  ///< that the median is of

  /// @pre not empty
  static Seconds of(std::vector<double> runs);
};

/// One measured case, beside its baseline. What does not apply stays unknown, 0 or empty.
struct Row {
  std::string suite;
  std::string name;  ///< column "case"
  std::string method;
  int ranks = 1;
  Index steps = 0;
  int width = 0;
  Index batch = 1;
  std::string precision = "double";
  Seconds seconds = {};
  std::string baseline = {};
  double baseline_seconds = kUnknown;  ///< median
  double speedup = kUnknown;           ///< baseline over method
  double predicted = kUnknown;         ///< speedup by the cost formula
  double gflops = kUnknown;
  Index iterations = 0;
  Index chunks = 0;                     ///< pieces that are worked on at once
  double path_evaluations = kUnknown;   ///< step evaluations in a row (n^2), over L
  double path_products = kUnknown;      ///< products in a row (n^3), over L
  Index peak_bytes = 0;                 ///< of one rank
  double frames_per_second = kUnknown;  ///< of a stream
  double latency_ticks = kUnknown;      ///< of a frame, in times between two
  Index collectives = 0;                ///< calls of MPI in one run, where they are counted
  Index messages = 0;                   ///< most that a rank sends in one run, where counted
  std::string target = {};              ///< ">= 1.7"
  std::string met = {};                 ///< yes, no, or why it cannot be told

  /// Fills baseline, its seconds and the speedup.
  void compare(const std::string& other, const Seconds& its_seconds);
  /// Target: a speedup of at least `factor`. @pre compare()
  void demand(double factor);
};

/// A table of at most 120 columns of text, that begins with case, method, ratio and baseline. What
/// is equal in all rows stands above it once; what finds no room is left to the files.
std::string to_table(const std::vector<Row>& rows);

/// All columns, one line a row, after comment lines that begin with "# ".
std::string to_csv(const std::vector<Row>& rows, const std::vector<std::string>& comments);

}  // namespace deeppcr::bench
