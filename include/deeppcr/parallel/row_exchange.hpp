#pragma once

#include <petscsf.h>

#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/types.hpp"
#include "deeppcr/parallel/block_layout.hpp"
#include "deeppcr/parallel/communicator.hpp"
#include "deeppcr/parallel/outbox.hpp"
#include "deeppcr/parallel/traffic.hpp"
#include "deeppcr/petsc/handle.hpp"

namespace deeppcr::parallel {

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
/// (by layout). Built once for a layout, used for rows of any length. They travel by a PetscSF, or,
/// where the ranks share a node and an outbox is given, are read where their owner lays them down:
/// one copy in place of three.
///
///     rows 0..7 on 4 ranks, every rank wants the rows two to the left of its own:
///     BEFORE   rank 0 [0 1]   rank 1 [2 3]   rank 2 [4 5]   rank 3 [6 7]
///     AFTER    rank 0  .      rank 1 [0 1]   rank 2 [2 3]   rank 3 [4 5]
class RowExchange {
 public:
  /// Collective. wanted: global rows that this rank needs from others, none of its own.
  RowExchange(const Communicator& comm, const BlockLayout& layout, StepRange wanted);

  /// Local rows of this rank that anyone wants: the room that they need in an outbox.
  StepRange sent_rows() const { return sent_; }
  /// From here on rows are handed over in this outbox, which must live on.
  void hand_over_in(Outbox& outbox) { outbox_ = &outbox; }
  bool travels() const { return outbox_ == nullptr; }

  /// Where the sent rows may be written before begin(), which then copies nothing: the place of
  /// local row 0, of which only sent_rows() are there. They can be read there until it is claimed
  /// again, in an outbox by any exchange: that waits until nobody reads them any more.
  /// @pre not between begin() and release()
  Real* claim(const RowType& type);
  /// Starts the exchange. Sent rows that were not claimed are copied from `rows`, this rank's own,
  /// which may change at once. Rows that travel arrive in `in`, one after another; others leave it
  /// untouched.
  void begin(const Real* rows, Real* in, const RowType& type, Traffic& traffic);
  /// From begin() on: the place of local row 0 among the sent rows.
  Real* sent() const { return now_.rows; }
  /// Waits for it.
  void end();
  /// A wanted row, by its global index, from end() to release().
  const Real* row(Index row) const;
  /// Once no row is read any more.
  void release();

 private:
  /// Wanted rows of one owner, and the first row that it lays down.
  struct Piece {
    StepRange rows;
    int owner;
    Index first_sent;
  };

  void find_peers(const Communicator& comm, const BlockLayout& layout);

  petsc::Handle<PetscSF> sf_;
  StepRange wanted_;
  std::vector<int> owners_, readers_;
  std::vector<Index> sends_;  ///< rows that this rank sends, one entry a reader
  StepRange sent_;            ///< local rows that anyone wants
  std::vector<Piece> pieces_;
  Buffer<Real> packed_;
  Outbox* outbox_ = nullptr;
  /// claimed: written in place, to be sent; under way: from begin() to release().
  enum class Stage { idle, claimed, under_way } stage_ = Stage::idle;
  /// The exchange under way.
  struct {
    Real* rows = nullptr;
    Real* in = nullptr;
    MPI_Datatype type = MPI_DATATYPE_NULL;
    Index length = 0;
  } now_;
};

}  // namespace deeppcr::parallel
