#pragma once

#include <limits>
#include <vector>

#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::parallel {

/// Maxima and sums of many numbers over all ranks in one collective call. Numbers are put in, in
/// the same order on all ranks, and read behind run() at the place that putting them in has told.
///
///     BEFORE   rank 0 max 3, sum 1   rank 1 max 5, sum 1   rank 2 max 4, sum 1
///     AFTER    all    maximum 5, total 3
class Reduction {
 public:
  /// NaN counts as infinity. A minimum is the maximum of what is negated.
  Index max(double value);
  Index sum(double value);
  /// Collective; nothing where nothing was put in, or on one rank.
  void run(const Communicator& comm);

  double maximum(Index place) const { return pairs_[static_cast<std::size_t>(place)].most; }
  double total(Index place) const { return pairs_[static_cast<std::size_t>(place)].total; }

 private:
  /// What travels: each has room for a maximum and a sum, with neutral numbers where one is unused.
  struct Pair {
    double most = -std::numeric_limits<double>::infinity();
    double total = 0;
  };
  static void combine(void* in, void* inout, int* count, MPI_Datatype*);
  Pair& pair(Index place);

  std::vector<Pair> pairs_;
  Index maxima_ = 0, sums_ = 0;
};

}  // namespace deeppcr::parallel
