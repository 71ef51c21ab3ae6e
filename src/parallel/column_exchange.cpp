#include "deeppcr/parallel/column_exchange.hpp"

#include <mpi.h>

#include <algorithm>

#include "deeppcr/core/buffer.hpp"

namespace deeppcr::parallel {

namespace {

constexpr int kTag = 2;

/// Rows that a rank exchanges at once.
Index rows_at_once(Index width) {
  constexpr Index kReals = Index{1} << 20;
  return std::max<Index>(1, kReals / std::max<Index>(1, width));
}

/// Rank p's rows of a round.
StepRange rows_of(const TwoWays& ways, int p, Index round) {
  const auto at = static_cast<std::size_t>(p);
  const Index most = rows_at_once(ways.width), last = ways.first_rows[at + 1];
  const Index first = std::min(last, ways.first_rows[at] + round * most);
  return {first, std::min(last, first + most)};
}

Index rounds_of(const TwoWays& ways) {
  const Index most = rows_at_once(ways.width);
  Index longest = 0;
  for (std::size_t p = 0; p + 1 < ways.first_rows.size(); ++p)
    longest = std::max(longest, ways.first_rows[p + 1] - ways.first_rows[p]);
  return (longest + most - 1) / most;
}

/// One end of an exchange: the messages of a round with all other ranks.
class Round {
 public:
  explicit Round(const Communicator& comm) : comm_(comm) {}
  void send(const Real* values, Index count, int to, Traffic& traffic) {
    if (count == 0) return;
    check_mpi(MPI_Isend(values, to_count(count), MPI_DOUBLE, to, kTag, comm_.get(),
                        &requests_.emplace_back()),
              "MPI_Isend");
    traffic.add(1, count * Index{sizeof(Real)});
  }
  void receive(Real* values, Index count, int from) {
    if (count == 0) return;
    check_mpi(MPI_Irecv(values, to_count(count), MPI_DOUBLE, from, kTag, comm_.get(),
                        &requests_.emplace_back()),
              "MPI_Irecv");
  }
  void wait() {
    check_mpi(
        MPI_Waitall(static_cast<int>(requests_.size()), requests_.data(), MPI_STATUSES_IGNORE),
        "MPI_Waitall");
    requests_.clear();
  }

 private:
  const Communicator& comm_;
  std::vector<MPI_Request> requests_;
};

/// Rows with all columns, x, and the same rows with some of them, y: y <- x, or back.
void take(const TwoWays& ways, TwoWays::Columns columns, Index rows, const Real* x, Real* y) {
  for (Index i = 0; i < rows; ++i)
    std::copy_n(x + i * ways.width + columns.first, columns.count, y + i * columns.count);
}
void put(const TwoWays& ways, TwoWays::Columns columns, Index rows, const Real* y, Real* x) {
  for (Index i = 0; i < rows; ++i)
    std::copy_n(y + i * columns.count, columns.count, x + i * ways.width + columns.first);
}

}  // namespace

Traffic TwoWays::traffic() const {
  const Index most = rows_at_once(width);
  Traffic sum;
  Index with_columns = 0, all_columns = 0;
  for (const Columns& one : columns) {
    with_columns += one.count > 0 ? 1 : 0;
    all_columns += one.count;
  }
  for (std::size_t p = 0; p < columns.size(); ++p) {
    const Index rows = first_rows[p + 1] - first_rows[p];
    sum.add((rows + most - 1) / most * (with_columns - (columns[p].count > 0 ? 1 : 0)),
            rows * (all_columns - columns[p].count) * Index{sizeof(Real)});
  }
  return sum;
}

void rows_to_columns(const Communicator& comm, const TwoWays& ways, const Real* rows, Real* columns,
                     Traffic& traffic) {
  const int P = comm.size(), rank = comm.rank();
  const auto columns_of = [&](int p) { return ways.columns[static_cast<std::size_t>(p)]; };
  const Index first = rows_of(ways, rank, 0).first, count = columns_of(rank).count;
  std::vector<Buffer<Real>> packed(static_cast<std::size_t>(P));
  Round messages(comm);
  for (Index round = 0; round < rounds_of(ways); ++round) {
    const StepRange own = rows_of(ways, rank, round);
    const Real* x = rows + (own.first - first) * ways.width;
    for (int shift = 1; shift < P; ++shift) {
      const int from = (rank + P - shift) % P;
      const StepRange theirs = rows_of(ways, from, round);
      messages.receive(columns + theirs.first * count, theirs.size() * count, from);
    }
    for (int shift = 1; shift < P; ++shift) {
      const int to = (rank + shift) % P;
      Buffer<Real>& y = packed[static_cast<std::size_t>(to)];
      y.reserve(own.size() * columns_of(to).count);
      take(ways, columns_of(to), own.size(), x, y.data());
      messages.send(y.data(), own.size() * columns_of(to).count, to, traffic);
    }
    take(ways, columns_of(rank), own.size(), x, columns + own.first * count);
    messages.wait();
  }
}

void columns_to_rows(const Communicator& comm, const TwoWays& ways, const Real* columns, Real* rows,
                     Traffic& traffic) {
  const int P = comm.size(), rank = comm.rank();
  const auto columns_of = [&](int p) { return ways.columns[static_cast<std::size_t>(p)]; };
  const Index first = rows_of(ways, rank, 0).first, count = columns_of(rank).count;
  std::vector<Buffer<Real>> packed(static_cast<std::size_t>(P));
  Round messages(comm);
  for (Index round = 0; round < rounds_of(ways); ++round) {
    const StepRange own = rows_of(ways, rank, round);
    Real* x = rows + (own.first - first) * ways.width;
    for (int shift = 1; shift < P; ++shift) {
      const int from = (rank + P - shift) % P;
      Buffer<Real>& y = packed[static_cast<std::size_t>(from)];
      y.reserve(own.size() * columns_of(from).count);
      messages.receive(y.data(), own.size() * columns_of(from).count, from);
    }
    for (int shift = 1; shift < P; ++shift) {
      const int to = (rank + shift) % P;
      const StepRange theirs = rows_of(ways, to, round);
      messages.send(columns + theirs.first * count, theirs.size() * count, to, traffic);
    }
    put(ways, columns_of(rank), own.size(), columns + own.first * count, x);
    messages.wait();
    for (int from = 0; from < P; ++from)
      if (from != rank)
        put(ways, columns_of(from), own.size(), packed[static_cast<std::size_t>(from)].data(), x);
  }
}

}  // namespace deeppcr::parallel
