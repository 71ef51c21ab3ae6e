#pragma once

#include "deeppcr/core/types.hpp"

namespace deeppcr::test {

/// Calls of MPI of this process, PETSc's own among them: the test binary that links this file has
/// them counted at MPI's profiling interface.
struct MpiCount {
  Index reductions = 0;
  Index gathers = 0;   ///< of numbers of all ranks on all ranks, and exclusive scans by MPI itself
  Index others = 0;    ///< broadcasts and barriers
  Index messages = 0;  ///< sent from rank to rank
  Index large_sums = 0;  ///< of the reductions, those of arrays: of more than two numbers
};
inline MpiCount operator-(const MpiCount& a, const MpiCount& b) {
  return {a.reductions - b.reductions, a.gathers - b.gathers, a.others - b.others,
          a.messages - b.messages, a.large_sums - b.large_sums};
}

/// Since the process began.
MpiCount mpi_count();

}  // namespace deeppcr::test
