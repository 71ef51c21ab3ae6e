#pragma once

#include <mpi.h>

#include <deque>
#include <functional>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/types.hpp"
#include "deeppcr/parallel/block_layout.hpp"
#include "deeppcr/parallel/communicator.hpp"
#include "deeppcr/parallel/scan_lines.hpp"
#include "deeppcr/parallel/traffic.hpp"

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

/// The same for the states of a chain in any layout: each rank gets, for each of its ranges of
/// steps, the row before the range; the room of the one that starts at step 0 stays as it is. rows
/// [L_local, row], in [ranges, row]. Collective; one message a rank to the next one, with all its
/// rows; none where each rank has all steps.
///
///     blocks a..e dealt in turns:  BEFORE   rank 0 [a d]   rank 1 [b e]   rank 2 [c]
///                                  AFTER    rank 0 [. c]   rank 1 [a d]   rank 2 [b]
void halo(const Communicator& comm, const BlockLayout& layout, const Real* rows, Real* in,
          Index row, Traffic& traffic);

/// Ranks of a line exchange with the one `stride` positions away; others return at once.
///
///     stride 2    BEFORE   rank 0 [a]   rank 1 [b]   rank 2 [c]   rank 3 [d]
///     forward     AFTER    rank 0  .    rank 1  .    rank 2 [a]   rank 3 [b]
///
/// send_count and receive_count may differ from rank to rank, but must agree in each pair; 0 sends
/// nothing.
void shift(const Communicator& comm, const RankLine& line, int stride, const Real* out,
           Index send_count, Real* in, Index receive_count, Traffic& traffic);

/// All ranks of a line get what its last one has, in ceil(log2 count) levels, into which what is
/// sent is added. In place.
void spread_from_last(const Communicator& comm, const RankLine& line, Real* values, Index count,
                      Traffic* levels);

/// Messages of reals that are under way while the caller computes, each a copy of what was given.
class PendingSends {
 public:
  /// The communicator must outlive the object.
  explicit PendingSends(const Communicator& comm) : comm_(comm) {}
  /// Waits, unless an exception unwinds: the other ranks may then be elsewhere.
  ~PendingSends();
  PendingSends(const PendingSends&) = delete;
  PendingSends& operator=(const PendingSends&) = delete;

  /// Sends `count` reals and one number behind them to rank `to`, which takes them by
  /// Communicator::receive() as count + 1 reals.
  void send(const Real* values, Index count, Real behind, int to);
  /// Lets MPI go on with them, and forgets those that have left.
  void progress();
  void wait();

 private:
  struct Message {
    Buffer<Real> values;
    MPI_Request request = MPI_REQUEST_NULL;
  };
  const Communicator& comm_;
  std::deque<Message> messages_;
};

/// Every rank gets the rows of all others, in a table of which each holds a part; `first_rows` [P +
/// 1] are the parts, some of which may be empty. In place.
///
///     rows 0..4 on 3 ranks: BEFORE   rank 0 [a b . . .]   rank 1 [. . c . .]   rank 2 [. . . d e]
///                           AFTER    all    [a b c d e]
void gather_rows(const Communicator& comm, const std::vector<Index>& first_rows, Real* table,
                 Index row, Traffic& traffic);

/// later <- later o earlier, of an associative operation.
using Combine = std::function<void(Real* later, const Real* earlier)>;

/// The ranks that take part in a scan, and the direction of the chain.
struct ScanOver {
  int first = 0, last = -1;
  Direction direction = Direction::forward;
};

/// What the values of ranks first..last before this one, down the direction of the chain, are
/// combined to; the first rank keeps what `before` holds, which must be the identity. `own` is used
/// up. No rank waits for one behind it on another node. A message of own.size() reals a rank and
/// level, of which there are ceil(log2 P) on one node; on more the levels are those of ScanLines.
///
///     own          BEFORE   rank 0 [a]   rank 1 [b]   rank 2 [c]   rank 3 [d]
///     before       AFTER    rank 0 [1]   rank 1 [a]   rank 2 [ba]  rank 3 [cba]
void combine_before(const Communicator& comm, const ScanOver& ranks, Buffer<Real>& own,
                    Buffer<Real>& before, const Combine& combine, TrafficByLevel& traffic);

/// The same for sums on ranks 0..active-1, in place; the first gets zero.
void prefix_sum(const Communicator& comm, int active, Direction direction, Real* values,
                Index count, TrafficByLevel& traffic);

/// The maximum over the ranks before this one, `first` on rank 0. Collective on comm; ceil(log2 P)
/// messages of one real a rank, which nobody counts. NaN counts as infinity.
double max_before(const Communicator& comm, double value, double first);

}  // namespace deeppcr::parallel
