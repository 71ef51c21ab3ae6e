#include <algorithm>
#include <numeric>
#include <utility>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/options.hpp"

namespace deeppcr {
namespace {

/// Levenshtein distance: fewest letters to insert, remove or replace. Cost: O(|a| |b|).
int edit_distance(const std::string& a, const std::string& b) {
  std::vector<int> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  // row[j] = distance of a[0..i) to b[0..j), one row after another
  for (std::size_t i = 1; i <= a.size(); ++i) {
    int diagonal = row[0];
    row[0] = static_cast<int>(i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const int replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

/// The known words closest to `word`, best first, at most three; none when nothing is near.
std::vector<std::string> nearest(const std::string& word, const std::vector<std::string>& known) {
  const int limit = std::max(2, static_cast<int>(word.size()) / 3);
  std::vector<std::pair<int, std::string>> found;
  for (const std::string& candidate : known) {
    const bool begins = word.size() >= 3 && candidate.compare(0, word.size(), word) == 0;
    const int distance = begins ? 1 : edit_distance(word, candidate);
    const bool shares_nothing =
        distance >= static_cast<int>(std::max(word.size(), candidate.size()));
    if (distance <= limit && !shares_nothing) found.emplace_back(distance, candidate);
  }
  std::sort(found.begin(), found.end());
  if (found.size() > 3) found.resize(3);
  std::vector<std::string> words;
  for (const auto& entry : found) words.push_back(entry.second);
  return words;
}

}  // namespace

std::string did_you_mean(const std::string& word, const std::vector<std::string>& known,
                         const std::string& prefix) {
  const std::vector<std::string> near = nearest(word, known);
  if (near.empty()) return "";
  std::string text = "did you mean ";
  for (std::size_t i = 0; i < near.size(); ++i) {
    if (i > 0) text += i + 1 == near.size() ? " or " : ", ";
    text += prefix + near[i];
  }
  return text + "?";
}

Index count_of(const std::string& text) {
  const bool digits = !text.empty() && text.size() < 12 &&
                      text.find_first_not_of("0123456789") == std::string::npos;
  return digits ? std::stoll(text) : 0;
}

void check_known(const std::string& option, const std::string& word,
                 const std::vector<std::string>& known) {
  if (std::find(known.begin(), known.end(), word) != known.end()) return;
  const std::string guess = did_you_mean(word, known);
  throw input_error("--{} {}: unknown; allowed: {}{}{}", option, word, fmt::join(known, ", "),
                    guess.empty() ? "" : "; ", guess);
}

}  // namespace deeppcr
