#pragma once

#include <vector>

#include "deeppcr/core/types.hpp"

namespace deeppcr::parallel {

/// Messages and bytes sent by this rank.
struct Traffic {
  Index messages = 0;
  Index bytes = 0;

  void add(Index more_messages, Index more_bytes) {
    messages += more_messages;
    bytes += more_bytes;
  }
  Traffic& operator+=(const Traffic& other) {
    add(other.messages, other.bytes);
    return *this;
  }
};

inline bool operator==(const Traffic& a, const Traffic& b) {
  return a.messages == b.messages && a.bytes == b.bytes;
}

/// One entry for each reduction level.
using TrafficByLevel = std::vector<Traffic>;

}  // namespace deeppcr::parallel
