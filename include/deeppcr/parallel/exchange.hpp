#pragma once

#include <petscsf.h>

#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/types.hpp"
#include "deeppcr/parallel/block_layout.hpp"
#include "deeppcr/parallel/communicator.hpp"
#include "deeppcr/parallel/traffic.hpp"
#include "deeppcr/petsc/handle.hpp"

namespace deeppcr::parallel {

/// Each active rank gets its neighbour's `count` reals: the left one's for Direction::forward, the
/// right one's for backward.
///
///     forward     BEFORE   rank 0 [a]   rank 1 [b]   rank 2 [c]   rank 3 (empty)
///                 AFTER    rank 0  .    rank 1 [a]   rank 2 [b]   rank 3  .
///
/// Ranks first..last of the layout take part; others return at once. A rank without such a
/// neighbour keeps `in` untouched. Collective over the ranks taking part.
void halo(const Communicator& comm, int first, int last, Direction direction, const Real* out,
          Real* in, Index count, Traffic& traffic);

/// Ranks exchange with the one `stride` away, down the direction of the chain; ranks first..last
/// take part.
///
///     stride 2    BEFORE   rank 0 [a]   rank 1 [b]   rank 2 [c]   rank 3 [d]
///     forward     AFTER    rank 0  .    rank 1  .    rank 2 [a]   rank 3 [b]
///
/// send_count and receive_count may differ from rank to rank, but must agree in each pair; 0 sends
/// nothing.
struct ShiftPlan {
  int first = 0;
  int last = -1;
  int stride = 1;
  Direction direction = Direction::forward;
};
void shift(const Communicator& comm, const ShiftPlan& plan, const Real* out, Index send_count,
           Real* in, Index receive_count, Traffic& traffic);

/// Every rank gets the rows of all others, in a table of which each holds a part; `first_rows` [P +
/// 1] are the parts, some of which may be empty. In place.
///
///     rows 0..4 on 3 ranks: BEFORE   rank 0 [a b . . .]   rank 1 [. . c . .]   rank 2 [. . . d e]
///                           AFTER    all    [a b c d e]
void gather_rows(const Communicator& comm, const std::vector<Index>& first_rows, Real* table,
                 Index row, Traffic& traffic);

/// The sum of the values of all ranks before this one, down the direction of the chain, in place;
/// the first gets zero. Ranks 0..active-1 take part. Level k adds what the rank 2^k before has
/// summed up: ceil(log2 active) levels, a message of `count` reals a rank each. No rank waits for
/// one behind it.
///
///     forward     BEFORE   rank 0 [a]   rank 1 [b]   rank 2 [c]   rank 3 [d]
///                 AFTER    rank 0 [0]   rank 1 [a]   rank 2 [a+b] rank 3 [a+b+c]
void prefix_sum(const Communicator& comm, int active, Direction direction, Real* values,
                Index count, TrafficByLevel& traffic);

/// A row of `length` reals as an MPI type, so that counts stay within an int for rows of any
/// length.
class RowType {
 public:
  explicit RowType(Index length);
  ~RowType();
  RowType(const RowType&) = delete;
  RowType& operator=(const RowType&) = delete;
  MPI_Datatype get() const { return type_; }
  Index length() const { return length_; }

 private:
  MPI_Datatype type_ = MPI_DATATYPE_NULL;
  Index length_;
};

/// Fetches rows of a distributed table: the rows [wanted.first, wanted.last) that other ranks own
/// (by layout) arrive in `in`, one after another. A PetscSF; built once for a layout, used for rows
/// of any length.
///
///     rows 0..7 on 4 ranks, every rank wants the rows two to the left of its own:
///     BEFORE   rank 0 [0 1]   rank 1 [2 3]   rank 2 [4 5]   rank 3 [6 7]
///     AFTER    rank 0  .      rank 1 [0 1]   rank 2 [2 3]   rank 3 [4 5]
class RowExchange {
 public:
  /// Collective. wanted: global rows that this rank needs from others, none of its own.
  RowExchange(const Communicator& comm, const BlockLayout& layout, StepRange wanted);

  /// Starts the exchange of rows. What is sent is copied, so `rows`, this rank's own, may change at
  /// once.
  void begin(const Real* rows, Real* in, const RowType& type, Traffic& traffic);
  /// Waits for it.
  void end();

 private:
  petsc::Handle<PetscSF> sf_;
  std::vector<Index> sends_;  ///< rows that this rank sends, one entry a receiving rank
  StepRange sent_;            ///< local rows that anyone wants
  Buffer<Real> packed_;
  /// The exchange under way.
  struct {
    const Real* rows = nullptr;
    Real* in = nullptr;
    MPI_Datatype type = MPI_DATATYPE_NULL;
  } now_;
};

}  // namespace deeppcr::parallel
