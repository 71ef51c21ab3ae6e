#pragma once

#include "deeppcr/core/machine.hpp"

namespace deeppcr {

/// What this rank has done. Only builds for a simulator of clusters count (CMake:
/// DEEPPCR_SIMULATOR), where the seconds become simulated time; in all others the functions below
/// are empty.
struct Work {
  double flops = 0;       ///< of products
  double seconds = 0;     ///< of all kernels, by machine().kernels
  Index collectives = 0;  ///< calls of MPI that all ranks take part in, PETSc's among them
  Index messages = 0;     ///< sent to another rank, but for those inside of collectives
};

#ifdef DEEPPCR_SIMULATOR
inline constexpr bool kCountsWork = true;
#else
inline constexpr bool kCountsWork = false;
#endif

/// Of this rank, since the start or the last `work() = {}`.
Work& work();

/// A product of a matrix with so many vectors.
inline void count_product(Index rows, Index columns, Index vectors) {
  if constexpr (kCountsWork) {
    if (vectors == 0) return;
    work().flops += 2 * static_cast<double>(rows * columns) * static_cast<double>(vectors);
    work().seconds += machine().kernels.product(rows, columns, vectors);
  }
}

/// tanh, exp, erf and the like of so many numbers.
inline void count_functions(Index numbers) {
  if constexpr (kCountsWork)
    work().seconds += static_cast<double>(numbers) * machine().kernels.function;
}

/// So many numbers read, changed by an operation or two and written.
inline void count_elements(Index numbers) {
  if constexpr (kCountsWork)
    work().seconds += static_cast<double>(numbers) * machine().kernels.element;
}

}  // namespace deeppcr
