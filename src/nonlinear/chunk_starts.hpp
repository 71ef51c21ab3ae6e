#pragma once

#include <array>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/sequence/trajectory.hpp"
#include "nonlinear/chunk_coupling.hpp"
#include "nonlinear/chunk_sweep.hpp"

namespace deeppcr::nonlinear {

/// The states between the chunks: what each chunk behind this rank's was swept from, and what it is
/// to be swept from next.
///
/// Exchanges: one message of B n reals to the right neighbour each time.
class ChunkStarts {
 public:
  ChunkStarts(const sequence::Trajectory& states, const Chunks& chunks, ChunkSweep& sweep);

  /// The first chunk of each rank starts from the left neighbour's guess.
  void exchange_guess(parallel::Traffic& traffic);

  /// r_c = end of chunk c - start that chunk c + 1 was swept from; zero at the end of the chain.
  /// Returns the largest |r| of each local chunk.
  const std::vector<double>& measure();
  /// The next starts: the end of each chunk, and what the coupling makes of the mismatches; without
  /// one, the ends themselves. Starts are the ends to the last bit where nothing changed. @pre
  /// measure()
  void propose(ChunkCoupling* coupling, Index exact_chunks);
  ConstStates used() const { return {used_.data(), shape_}; }
  /// May be changed before they are sent.
  States next() { return {next_.data(), shape_}; }
  /// Hands the next starts on. Returns the largest change of this rank's.
  double send(parallel::Traffic& traffic);

  /// Local chunks whose start has changed by more than merging allows.
  const std::vector<bool>& changed() const { return changed_; }
  /// What the left neighbour's last chunk ends with, [B, n]; nothing for the chain's first rank.
  const Real* receive_end(parallel::Traffic& traffic);

 private:
  /// Gives `last`, of this rank's last chunk, to the right neighbour, and fills incoming_.
  void exchange(const Real* last, parallel::Traffic& traffic);
  void take(Index i, const Real* start);

  const parallel::Communicator& comm_;
  ChunkSweep& sweep_;
  StepRange own_;
  Index num_chunks_;
  int last_rank_;
  Index state_;
  std::array<Index, 3> shape_;
  Buffer<Real> used_, next_, mismatch_;  ///< [C_local, B, n]
  Buffer<Real> incoming_;                ///< [B, n]
  std::vector<double> sizes_;
  std::vector<bool> changed_;
};

}  // namespace deeppcr::nonlinear
