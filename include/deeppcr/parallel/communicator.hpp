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

  /// The first `size` ranks as a communicator; the others get themselves alone. Collective.
  Communicator first_ranks(int size) const;
  /// The ranks of the same colour, in rank order. Collective.
  Communicator split(int color) const;

  void barrier() const;
  /// A barrier for long waits: asleep most of the time, so that the cores are left to others.
  void quiet_barrier() const;
  double max(double value) const;
  double min(double value) const;
  double sum(double value) const;
  Index max(Index value) const;
  Index min(Index value) const;
  Index sum(Index value) const;
  /// Maximum over the ranks before this one; `first` on rank 0. NaN counts as infinity.
  double max_before(double value, double first) const;
  /// Element-wise maximum over all ranks, in place. NaN counts as infinity.
  void max(std::vector<double>& values) const;
  /// max() of the ones and the sum of the others in one call, in place. As gather_all(): for a few.
  void max_and_sum(std::vector<double>& maxima, std::vector<double>& sums) const;
  /// Element-wise minimum; for finite values only.
  void min(std::vector<double>& values) const;
  void sum(std::vector<Index>& values) const;
  void sum(double* values, Index count) const;
  bool any(bool value) const { return max(Index{value ? 1 : 0}) != 0; }
  /// Collective: one value from each rank, on every rank.
  std::vector<Index> gather_all(Index value) const;
  /// Collective: any number of values from each rank, in rank order, on every rank.
  std::vector<double> gather_all(const std::vector<double>& values) const;
  /// The same where every rank knows how many there are of each. Collective. While others are not
  /// there yet, `meanwhile` is called, perhaps never, until it returns false: a rank that has work
  /// of its own does a piece of it at each call. It must not wait for other ranks; what it throws
  /// is thrown once all have come.
  std::vector<double> gather_all(
      const std::vector<double>& values, const std::vector<Index>& counts,
      const std::function<bool()>& meanwhile = [] { return false; }) const;
  /// Sends `count` reals from `root` to all.
  void broadcast(Real* data, Index count, int root) const;
  void broadcast(Index& value, int root) const;
  void broadcast(std::string& text, int root) const;
  void broadcast(unsigned char* data, Index count, int root) const;

  /// Blocking messages of reals; the pipelines of sequential substitution use them.
  void send(const Real* data, Index count, int to) const;
  void receive(Real* data, Index count, int from) const;

 private:
  MPI_Comm comm_ = MPI_COMM_NULL;
  int rank_ = 0;
  int size_ = 1;
};

/// Runs `body` on every rank; if it throws on any, all ranks throw the error of the lowest such
/// rank (with Seen::everywhere). For work that only some ranks do, such as reading a file.
/// Collective.
template <typename Body>
void agree(const Communicator& comm, Body&& body);

namespace detail {
struct Outcome {
  bool failed = false;
  ExitCode code = ExitCode::success;
  std::string text;
};
/// Collective: throws on all ranks when one has failed.
void throw_together(const Communicator& comm, const Outcome& mine);
}  // namespace detail

template <typename Body>
void agree(const Communicator& comm, Body&& body) {
  detail::Outcome mine;
  try {
    body();
  } catch (const Error& error) {
    mine = {true, error.code(), error.what()};
  } catch (const std::exception& error) {
    mine = {true, ExitCode::internal, error.what()};
  }
  detail::throw_together(comm, mine);
}

}  // namespace deeppcr::parallel
