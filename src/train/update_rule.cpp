#include "deeppcr/train/update_rule.hpp"

#include <utility>

#include "deeppcr/core/catalogue.hpp"

namespace deeppcr::train {

namespace {

Catalogue<OptimiserEntry>& table() {
  static Catalogue<OptimiserEntry> entries{"optimiser", {sgd_entry(), adam_entry(), adamw_entry()}};
  return entries;
}

}  // namespace

const std::deque<OptimiserEntry>& optimisers() { return table().entries(); }

void add_to_catalogue(OptimiserEntry entry) { table().add(std::move(entry)); }

const OptimiserEntry& find_optimiser(const std::string& name) { return table().find(name); }

}  // namespace deeppcr::train
