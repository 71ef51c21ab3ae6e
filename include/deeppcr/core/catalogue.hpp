#pragma once

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "deeppcr/core/error.hpp"

namespace deeppcr {

/// Entries that each have a `name` of their own, in the order in which they came. References to
/// them stay valid when others are added.
template <typename Entry>
class Catalogue {
 public:
  /// `kind` is what messages call an entry: "optimiser".
  Catalogue(std::string kind, std::deque<Entry> entries)
      : kind_(std::move(kind)), entries_(std::move(entries)) {}

  const std::deque<Entry>& entries() const { return entries_; }

  /// @throws Error when the name is taken
  void add(Entry entry) {
    if (find_if_known(entry.name) != nullptr)
      throw input_error("{} '{}': the name is taken; choose another", kind_, entry.name);
    entries_.push_back(std::move(entry));
  }

  /// Null where there is none.
  const Entry* find_if_known(const std::string& name) const {
    for (const Entry& entry : entries_)
      if (entry.name == name) return &entry;
    return nullptr;
  }

  /// @throws Error that lists the names known
  const Entry& find(const std::string& name) const {
    const Entry* entry = find_if_known(name);
    if (entry != nullptr) return *entry;
    std::vector<std::string> names;
    for (const Entry& known : entries_) names.push_back(known.name);
    throw input_error("unknown {} '{}': known are {}", kind_, name, fmt::join(names, ", "));
  }

 private:
  std::string kind_;
  std::deque<Entry> entries_;
};

}  // namespace deeppcr
