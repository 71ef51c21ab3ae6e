#pragma once

#include <mpi.h>

#include <vector>

#include "deeppcr/core/types.hpp"
#include "deeppcr/parallel/block_layout.hpp"
#include "deeppcr/parallel/communicator.hpp"
#include "deeppcr/parallel/traffic.hpp"

namespace deeppcr::parallel {

/// Fetches rows of a table that is spread like the steps of a layout: those `shift` away from this
/// rank's own that other ranks have and that are within `limits`. Built once for a layout and a
/// length of rows, without a message: the layout tells both sides.
///
///     rows 0..7 on 4 ranks, shift -2:
///     BEFORE   rank 0 [0 1]   rank 1 [2 3]   rank 2 [4 5]   rank 3 [6 7]
///     AFTER    rank 0  .      rank 1 [0 1]   rank 2 [2 3]   rank 3 [4 5]
class RowExchange {
 public:
  /// @pre the layout is contiguous; shift is not zero
  RowExchange(const Communicator& comm, const BlockLayout& layout, Index shift, StepRange limits,
              Index length);

  ~RowExchange();
  RowExchange(const RowExchange&) = delete;
  RowExchange& operator=(const RowExchange&) = delete;

  /// The rows that this rank fetches.
  StepRange wanted() const { return wanted_; }

  /// Starts the exchange of this rank's own `rows`, which must not change until end(). The wanted
  /// ones arrive in `in`, one after another. Collective; one message to each rank that wants some.
  void begin(const Real* rows, Real* in, Traffic& traffic);
  /// Waits for it.
  void end();

 private:
  /// Rows that go to or come from one rank, counted from the first own or wanted one.
  struct Part {
    int rank;
    StepRange rows;
  };

  const Communicator& comm_;
  StepRange wanted_;
  Index length_;
  MPI_Datatype type_ = MPI_DATATYPE_NULL;  ///< a row: counts stay within an int for any length
  std::vector<Part> in_, out_;
  std::vector<MPI_Request> requests_;
};

}  // namespace deeppcr::parallel
