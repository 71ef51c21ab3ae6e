#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "row.hpp"

namespace deeppcr::bench {
namespace {

std::vector<std::string> lines_of(const std::string& table) {
  std::vector<std::string> lines;
  std::istringstream stream(table);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

/// A row that fills every column with long words and numbers.
Row long_row(Index steps) {
  Row row;
  row.suite = "generate";
  row.name =
      "ddpm, tolerance 0.01: 14.80 evaluations a step, error 5.8e-05, and-a-word-of-more-than-"
      "forty-letters";
  row.method = "quasi-newton+probe on every rank";
  row.ranks = 2;
  row.steps = steps;
  row.width = 4096;
  row.batch = steps;
  row.seconds = {1.2345e-5 * static_cast<double>(steps), 1.1234e-5, 1.3456e-5, 5};
  row.compare("loop of n x (n+1) x n, LIBXSMM 1.17 (cpx)", {2.5e-4, 2e-4, 3e-4, 5});
  row.demand(1.7);
  row.predicted = 1.2345e-5;
  row.gflops = 44.1 * static_cast<double>(steps);
  row.iterations = steps;
  row.chunks = steps;
  row.path_evaluations = 1.23456;
  row.path_products = 1e-10;
  row.peak_bytes = 123'456'789'012;
  return row;
}

TEST(Table, FitsATerminalAndBeginsWithTheRatio) {
  const std::vector<std::string> lines =
      lines_of(to_table({long_row(64), long_row(1'000'000'000)}));
  for (const std::string& line : lines) EXPECT_LE(line.size(), 120U) << line;
  std::vector<std::string> words;
  std::istringstream head(*std::find_if(lines.begin(), lines.end(), [](const std::string& line) {
    return line.rfind("case", 0) == 0;
  }));
  for (std::string word; head >> word;) words.push_back(word);
  ASSERT_GE(words.size(), 5U);
  EXPECT_EQ(std::vector<std::string>(words.begin(), words.begin() + 5),
            (std::vector<std::string>{"case", "method", "ratio", "baseline", "seconds"}));
}

TEST(Table, LongWordsGoOnInTheNextLine) {
  std::string first;  // the column of cases
  for (const std::string& line : lines_of(to_table({long_row(64)})))
    first += line.substr(0, std::min<std::size_t>(line.find("  "), 32)) + " ";
  EXPECT_NE(first.find("evaluations a step, error"), std::string::npos) << first;
  EXPECT_NE(first.find("tters"), std::string::npos) << first;
}

TEST(Table, WhatIsEqualStandsAboveOnce) {
  const std::vector<std::string> lines = lines_of(to_table({long_row(64), long_row(128)}));
  EXPECT_EQ(lines.front().rfind("in all rows: ranks 2, width 4096", 0), 0U) << lines.front();
  const std::vector<std::string> one = lines_of(to_table({long_row(64)}));
  EXPECT_EQ(one.front().rfind("case", 0), 0U) << one.front();
}

}  // namespace
}  // namespace deeppcr::bench
