#pragma once

#include <mpi.h>

#include <functional>
#include <string>
#include <vector>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/types.hpp"

namespace deeppcr::parallel {

/// Turns an MPI error code into an exception.
void check_mpi(int code, const char* call);

/// A number of elements as MPI takes it. @throws Error where it is beyond an int
int to_count(Index count);

inline MPI_Datatype mpi_type(const double*) { return MPI_DOUBLE; }
inline MPI_Datatype mpi_type(const Index*) { return MPI_INT64_T; }
inline MPI_Datatype mpi_type(const char*) { return MPI_CHAR; }
inline MPI_Datatype mpi_type(const unsigned char*) { return MPI_UNSIGNED_CHAR; }

/// Owns a duplicated communicator, so that our messages never meet those of others.
class Communicator {
 public:
  /// Collective on comm.
  explicit Communicator(MPI_Comm comm);
  /// All ranks of the run. The only place that names MPI_COMM_WORLD.
  static Communicator world();
  /// This rank alone.
  static Communicator self();
  Communicator(Communicator&& other) noexcept;
  Communicator& operator=(Communicator&&) = delete;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  ~Communicator();

  MPI_Comm get() const { return comm_; }
  int rank() const { return rank_; }
  int size() const { return size_; }
  bool is_root() const { return rank_ == 0; }
  /// Node i has ranks i node_ranks() and on, so many but for the last node. Where ranks lie
  /// otherwise (dealt to nodes in turns), all count as one node.
  int node_ranks() const { return node_ranks_; }
  /// The same ranks, taken for nodes of so many: for tests of what is done between nodes.
  /// Collective.
  Communicator as_nodes_of(int ranks) const;

  /// The first `size` ranks as a communicator; the others get themselves alone. Collective.
  Communicator first_ranks(int size) const;
  /// The ranks of the same colour, in rank order. Collective.
  Communicator split(int color) const;

  // All calls below are collective. Who waits long naps, so that the core is left to others.

  void barrier() const;
  /// Of one value of each rank.
  template <typename T>
  T max(T value) const {
    reduce(&value, 1, mpi_type(&value), MPI_MAX);
    return value;
  }
  template <typename T>
  T min(T value) const {
    reduce(&value, 1, mpi_type(&value), MPI_MIN);
    return value;
  }
  template <typename T>
  T sum(T value) const {
    reduce(&value, 1, mpi_type(&value), MPI_SUM);
    return value;
  }
  bool any(bool value) const { return max(Index{value ? 1 : 0}) != 0; }
  /// Element-wise, in place. In maxima NaN counts as infinity; minima are for finite values only.
  void max(std::vector<double>& values) const;
  void min(std::vector<double>& values) const;
  template <typename T>
  void sum(std::vector<T>& values) const {
    reduce(values.data(), static_cast<Index>(values.size()), mpi_type(values.data()), MPI_SUM);
  }
  /// Of a whole array: without naps.
  void sum(double* values, Index count) const;
  /// In place, by any operation that commutes.
  void reduce(void* values, Index count, MPI_Datatype type, MPI_Op op) const;

  /// One value from each rank, on every rank.
  std::vector<Index> gather_all(Index value) const;
  /// Any number of values from each rank, in rank order, on every rank.
  std::vector<double> gather_all(const std::vector<double>& values) const;

  /// Sends `count` elements from `root` to all.
  template <typename T>
  void broadcast(T* data, Index count, int root) const {
    broadcast(data, count, mpi_type(data), root);
  }
  void broadcast(Index& value, int root) const { broadcast(&value, 1, root); }
  /// Of a text or a vector, which takes the root's size.
  template <typename Container>
  void broadcast(Container& values, int root) const {
    auto count = static_cast<Index>(values.size());
    broadcast(count, root);
    values.resize(static_cast<std::size_t>(count));
    broadcast(values.data(), count, root);
  }

  /// Blocking messages of reals, not collective; the pipelines of sequential substitution use them.
  void send(const Real* data, Index count, int to) const;
  void receive(Real* data, Index count, int from) const;

 private:
  void broadcast(void* data, Index count, MPI_Datatype type, int root) const;

  MPI_Comm comm_ = MPI_COMM_NULL;
  int rank_ = 0;
  int size_ = 1;
  int node_ranks_ = 1;
};

/// Runs `body` on every rank; if it throws on any, all ranks throw the error of the lowest such
/// rank (with Seen::everywhere). For work that only some ranks do, such as reading a file.
/// Collective.
void agree(const Communicator& comm, const std::function<void()>& body);

}  // namespace deeppcr::parallel
