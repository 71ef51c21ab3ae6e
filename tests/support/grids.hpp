#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "deeppcr/parallel/process_grid.hpp"
#include "support/environment.hpp"

namespace deeppcr::test {

/// Calls body(grid) for each grid of depth and data ranks that all ranks can form.
template <typename Body>
void for_each_grid(Body&& body) {
  const int P = world().size();
  for (int depth = 1; depth <= P; ++depth) {
    if (P % depth != 0) continue;
    SCOPED_TRACE(fmt::format("{} depth ranks of {}", depth, P));
    body(parallel::ProcessGrid(world(), depth, P / depth));
  }
}

}  // namespace deeppcr::test
