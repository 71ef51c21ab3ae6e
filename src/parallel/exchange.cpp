#include "deeppcr/parallel/exchange.hpp"

#include <mpi.h>

#include <algorithm>
#include <exception>
#include <limits>

namespace deeppcr::parallel {

namespace {

constexpr int kShiftTag = 1;

/// Sends to one rank and receives from another, where there is something to send or receive.
struct Exchange {
  int to, from;
  Index send_count, receive_count;
};
void exchange(const Communicator& comm, const Exchange& with, const Real* out, Real* in,
              Traffic& traffic) {
  MPI_Request requests[2];
  int pending = 0;
  if (with.receive_count > 0) {
    check_mpi(MPI_Irecv(in, to_count(with.receive_count), MPI_DOUBLE, with.from, kShiftTag,
                        comm.get(), &requests[pending++]),
              "MPI_Irecv");
  }
  if (with.send_count > 0) {
    check_mpi(MPI_Isend(out, to_count(with.send_count), MPI_DOUBLE, with.to, kShiftTag, comm.get(),
                        &requests[pending++]),
              "MPI_Isend");
    traffic.add(1, with.send_count * static_cast<Index>(sizeof(Real)));
  }
  check_mpi(MPI_Waitall(pending, requests, MPI_STATUSES_IGNORE), "MPI_Waitall");
}

}  // namespace

void shift(const Communicator& comm, const RankLine& line, int stride, const Real* out,
           Index send_count, Real* in, Index receive_count, Traffic& traffic) {
  if (line.position < 0) return;
  const int to = line.position + stride, from = line.position - stride;
  exchange(comm,
           {line.rank_at(to), line.rank_at(from), to < line.count ? send_count : 0,
            from >= 0 ? receive_count : 0},
           out, in, traffic);
}

void halo(const Communicator& comm, int first, int last, Direction direction, const Real* out,
          Real* in, Index count, Traffic& traffic) {
  shift(comm, RankLine::of(comm.rank(), first, last, direction), 1, out, count, in, count, traffic);
}

// By a tree: before the level of distance d, the last d of the line have it.
void spread_from_last(const Communicator& comm, const RankLine& line, Real* values, Index count,
                      Traffic* levels) {
  if (line.position < 0) return;
  const int behind = line.count - 1 - line.position;
  for (int distance = 1; distance < line.count; distance *= 2, ++levels) {
    const bool sends = behind < distance && line.position >= distance;
    const bool receives = distance <= behind && behind < 2 * distance;
    if (!sends && !receives) continue;
    exchange(comm,
             {line.rank_at(line.position - distance), line.rank_at(line.position + distance),
              sends ? count : 0, receives ? count : 0},
             values, values, *levels);
  }
}

void halo(const Communicator& comm, const BlockLayout& layout, const Real* rows, Real* in,
          Index row, Traffic& traffic) {
  const StepSet local = layout.steps(comm.rank());
  if (layout.is_replicated() || local.empty()) return;
  const Index ranges = local.num_ranges();
  if (layout.is_contiguous()) {
    halo(comm, 0, layout.num_active_ranks() - 1, Direction::forward,
         rows + (local.size() - 1) * row, in, row, traffic);
    return;
  }
  // Every rank has a neighbour on each side of each block, but for the two ends of the chain.
  const int P = comm.size();
  const Index sent = local.contains(layout.num_steps() - 1) ? ranges - 1 : ranges;
  const Index skipped = local.contains(Index{0}) ? 1 : 0;
  Buffer<Real> last(sent * row);
  for (Index k = 0; k < sent; ++k)
    std::copy_n(rows + local.row(local.range(k).last - 1) * row, row, last.data() + k * row);
  exchange(comm,
           {(comm.rank() + 1) % P, (comm.rank() + P - 1) % P, sent * row, (ranges - skipped) * row},
           last.data(), in + skipped * row, traffic);
}

PendingSends::~PendingSends() {
  if (std::uncaught_exceptions() == 0)
    for (Message& message : messages_) MPI_Wait(&message.request, MPI_STATUS_IGNORE);
}

void PendingSends::send(const Real* values, Index count, Real behind, int to) {
  progress();
  Message& message = messages_.emplace_back();
  message.values.reset(count + 1);
  std::copy_n(values, count, message.values.data());
  message.values[count] = behind;
  check_mpi(MPI_Isend(message.values.data(), to_count(count + 1), MPI_DOUBLE, to, 0, comm_.get(),
                      &message.request),
            "MPI_Isend");
}

void PendingSends::progress() {
  while (!messages_.empty()) {
    int left = 0;
    check_mpi(MPI_Test(&messages_.front().request, &left, MPI_STATUS_IGNORE), "MPI_Test");
    if (left == 0) return;
    messages_.pop_front();
  }
}

void PendingSends::wait() {
  for (Message& message : messages_)
    check_mpi(MPI_Wait(&message.request, MPI_STATUS_IGNORE), "MPI_Wait");
  messages_.clear();
}

void gather_rows(const Communicator& comm, const std::vector<Index>& first_rows, Real* table,
                 Index row, Traffic& traffic) {
  if (comm.size() == 1) return;
  const auto P = static_cast<std::size_t>(comm.size());
  std::vector<int> counts(P), offsets(P);
  for (std::size_t p = 0; p < P; ++p) {
    counts[p] = to_count((first_rows[p + 1] - first_rows[p]) * row);
    offsets[p] = to_count(first_rows[p] * row);
  }
  check_mpi(MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, table, counts.data(), offsets.data(),
                           MPI_DOUBLE, comm.get()),
            "MPI_Allgatherv");
  const int mine = counts[static_cast<std::size_t>(comm.rank())];
  if (mine > 0) traffic.add(comm.size() - 1, (comm.size() - 1) * mine * Index{sizeof(Real)});
}

namespace {

// Level of stride s, position q of the line; [i..j] is what positions i to j come to:
//     BEFORE   own [q-s+1 .. q]      before [q-s+1 .. q-1]     (nothing in front of position 0)
//     message  q - s  --own-->  q
//     AFTER    own [q-2s+1 .. q]     before [q-2s+1 .. q-1]
void combine_along(const Communicator& comm, const RankLine& line, Buffer<Real>& own,
                   Buffer<Real>& before, const Combine& combine, Traffic* levels) {
  Buffer<Real> received(own.size());
  for (int stride = 1; stride < line.count; stride *= 2, ++levels) {
    shift(comm, line, stride, own.data(), own.size(), received.data(), own.size(), *levels);
    if (line.position < stride) continue;
    combine(before.data(), received.data());
    combine(own.data(), received.data());
  }
}

}  // namespace

void combine_before(const Communicator& comm, const ScanOver& ranks, Buffer<Real>& own,
                    Buffer<Real>& before, const Combine& combine, TrafficByLevel& traffic) {
  const ScanLines lines(comm.rank(), comm.node_ranks(), ranks.first, ranks.last, ranks.direction);
  traffic.assign(static_cast<std::size_t>(lines.num_levels()), {});
  if (lines.node.position < 0) return;
  Traffic* levels = traffic.data();
  const bool spans_nodes = !lines.has_one_node();
  Buffer<Real> entering(spans_nodes ? before.size() : 0);
  if (spans_nodes) std::copy(before.begin(), before.end(), entering.begin());
  combine_along(comm, lines.node, own, before, combine, levels);
  if (!spans_nodes) return;
  levels += lines.node_levels;
  if (lines.leaders.position >= 0)
    combine_along(comm, lines.leaders, own, entering, combine, levels);
  if (lines.begins) return;
  levels += lines.leader_levels;
  spread_from_last(comm, lines.node, entering.data(), entering.size(), levels);
  combine(before.data(), entering.data());
}

double max_before(const Communicator& comm, double value, double first) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Buffer<Real> own(1), before(1);
  own[0] = value != value ? kInfinity : value;
  before[0] = -kInfinity;
  TrafficByLevel uncounted;
  combine_before(
      comm, {0, comm.size() - 1, Direction::forward}, own, before,
      [](Real* later, const Real* earlier) { *later = std::max(*later, *earlier); }, uncounted);
  return std::max(before[0], first);
}

void prefix_sum(const Communicator& comm, int active, Direction direction, Real* values,
                Index count, TrafficByLevel& traffic) {
  Buffer<Real> own(count), before(count);
  std::copy_n(values, count, own.data());
  const auto add = [count](Real* later, const Real* earlier) {
    for (Index i = 0; i < count; ++i) later[i] += earlier[i];
  };
  combine_before(comm, {0, active - 1, direction}, own, before, add, traffic);
  std::copy_n(before.data(), count, values);
}

}  // namespace deeppcr::parallel
