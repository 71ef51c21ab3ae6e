#pragma once

#include <petscsf.h>

#include "deeppcr/core/types.hpp"
#include "deeppcr/parallel/block_layout.hpp"
#include "deeppcr/parallel/communicator.hpp"
#include "deeppcr/parallel/traffic.hpp"
#include "deeppcr/petsc/handle.hpp"

namespace deeppcr::parallel {

/// Fetches rows of a distributed table by a PetscSF: the rows [wanted.first, wanted.last) that
/// other ranks own (by layout). Built once for a layout and a length of rows.
///
///     rows 0..7 on 4 ranks, every rank wants the rows two to the left of its own:
///     BEFORE   rank 0 [0 1]   rank 1 [2 3]   rank 2 [4 5]   rank 3 [6 7]
///     AFTER    rank 0  .      rank 1 [0 1]   rank 2 [2 3]   rank 3 [4 5]
class RowExchange {
 public:
  /// Collective. wanted: global rows of `length` reals that this rank needs from others, none of
  /// its own.
  RowExchange(const Communicator& comm, const BlockLayout& layout, StepRange wanted, Index length);

  ~RowExchange();
  RowExchange(const RowExchange&) = delete;
  RowExchange& operator=(const RowExchange&) = delete;

  StepRange wanted() const { return wanted_; }

  /// Starts the exchange of this rank's own `rows`, which must not change until end(). The wanted
  /// ones arrive in `in`, one after another. Collective.
  void begin(const Real* rows, Real* in, Traffic& traffic);
  /// Waits for it; the same arrays.
  void end(const Real* rows, Real* in);

 private:
  petsc::Handle<PetscSF> sf_;
  StepRange wanted_;
  MPI_Datatype type_ = MPI_DATATYPE_NULL;  ///< a row: counts stay within an int for any length
  Traffic sends_;
};

}  // namespace deeppcr::parallel
