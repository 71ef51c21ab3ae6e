#include "io/cell_kinds.hpp"

#include <algorithm>
#include <array>

#include "deeppcr/core/error.hpp"

namespace deeppcr::io {

namespace {

/// Of an activation that the model itself checks, and its default.
const std::vector<std::string> kAnyTanh{"tanh", ""};

const std::array<CellKind, 5> kKinds{{
    {"rnn", {"hgn"}, false, false, {}, {"tanh", "relu"}, {}},
    {"gru", {"r", "zu", "nchg"}, false, false, kAnyTanh, {}, {"after", "before"}},
    {"lstm", {"i", "f", "gc", "o"}, false, false, {"tanh"}, {"tanh"}, {}},
    {"para-gru", {"zu", "r", "hnc"}, true, false, {"tanh"}, {"tanh"}, {"before"}},
    {"para-lstm", {"f", "cg", "o"}, true, true, {"tanh"}, {"tanh"}, {}},
}};

}  // namespace

const CellKind& cell_kind(const std::string& name) {
  for (const CellKind& kind : kKinds)
    if (kind.name == name) return kind;
  std::vector<std::string> names;
  for (const CellKind& kind : kKinds) names.push_back(kind.name);
  throw local_input_error("there is no cell '{}'; known: {}", name, fmt::join(names, ", "));
}

const CellKind* cell_of_gates(Index gates) {
  const auto found = std::find_if(kKinds.begin(), kKinds.end(), [&](const CellKind& kind) {
    return !kind.diagonal && kind.num_gates() == gates;
  });
  return found == kKinds.end() ? nullptr : &*found;
}

std::vector<Index> places_of_gates(const CellKind& kind, const std::string& gates,
                                   const std::string& label) {
  std::string letters;
  for (const char c : gates)
    if (c != ',' && c != ' ') letters += c;
  std::vector<Index> places;
  for (const std::string& names : kind.gates) {
    const auto at = letters.find_first_of(names);
    if (at == std::string::npos || letters.find_first_of(names, at + 1) != std::string::npos) break;
    places.push_back(static_cast<Index>(at));
  }
  if (places.size() == kind.gates.size() && letters.size() == kind.gates.size()) return places;
  throw local_input_error("{} is '{}'; the gates of {} are {}, in any order", label, gates,
                          kind.name, gates_text(kind));
}

std::string gates_text(const CellKind& kind) {
  std::vector<char> letters;
  for (const std::string& names : kind.gates) letters.push_back(names[0]);
  return fmt::format("{}", fmt::join(letters, ","));
}

std::vector<CellPart> parts_of(const CellKind& kind, Index inputs, Index units) {
  const Index rows = kind.num_gates() * units;
  std::vector<CellPart> parts{{"weight_ih", rows, inputs, true, true},
                              {"weight_hh", rows, kind.diagonal ? 0 : units, true, true}};
  if (kind.peepholes) parts.push_back({"peephole", 2 * units, 0, false, true});
  if (kind.diagonal) {
    parts.push_back({"bias", rows, 0, true, false});
  } else {
    parts.push_back({"bias_ih", rows, 0, true, false});
    parts.push_back({"bias_hh", rows, 0, true, false});
  }
  return parts;
}

}  // namespace deeppcr::io
