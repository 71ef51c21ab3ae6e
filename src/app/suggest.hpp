#pragma once

#include <string>
#include <vector>

namespace deeppcr::app {

/// Levenshtein distance: fewest letters to insert, remove or replace. Cost: O(|a| |b|).
int edit_distance(const std::string& a, const std::string& b);

/// The known words closest to `word`, best first, at most three; none when nothing is near.
std::vector<std::string> nearest(const std::string& word, const std::vector<std::string>& known);

/// "did you mean --steps or --seed?"; empty when nothing is near. `prefix` is put before each word.
std::string did_you_mean(const std::string& word, const std::vector<std::string>& known,
                         const std::string& prefix = "");

}  // namespace deeppcr::app
