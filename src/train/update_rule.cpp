#include "deeppcr/train/update_rule.hpp"

#include <utility>

#include "deeppcr/core/error.hpp"

namespace deeppcr::train {

namespace {

std::deque<OptimiserEntry>& table() {
  static std::deque<OptimiserEntry> entries{sgd_entry(), adam_entry(), adamw_entry()};
  return entries;
}

}  // namespace

const std::deque<OptimiserEntry>& optimisers() { return table(); }

void add_to_catalogue(OptimiserEntry entry) {
  for (const OptimiserEntry& known : table())
    if (known.name == entry.name)
      throw input_error("optimiser '{}': the name is taken; choose another", entry.name);
  table().push_back(std::move(entry));
}

const OptimiserEntry& find_optimiser(const std::string& name) {
  std::string known;
  for (const OptimiserEntry& entry : table()) {
    if (entry.name == name) return entry;
    known += (known.empty() ? "" : ", ") + entry.name;
  }
  throw input_error("unknown optimiser '{}': known are {}", name, known);
}

}  // namespace deeppcr::train
