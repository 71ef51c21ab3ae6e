#include "deeppcr/parallel/reduction.hpp"

#include <algorithm>
#include <utility>

namespace deeppcr::parallel {

Reduction::Pair& Reduction::pair(Index place) {
  const auto at = static_cast<std::size_t>(place);
  if (at >= pairs_.size()) pairs_.resize(at + 1);
  return pairs_[at];
}

Index Reduction::max(double value) {
  pair(maxima_).most = value != value ? std::numeric_limits<double>::infinity() : value;
  return maxima_++;
}

Index Reduction::sum(double value) {
  pair(sums_).total = value;
  return sums_++;
}

void Reduction::combine(void* in, void* inout, int* count, MPI_Datatype*) {
  const auto* from = static_cast<const Pair*>(in);
  auto* to = static_cast<Pair*>(inout);
  for (int i = 0; i < *count; ++i) {
    to[i].most = std::max(to[i].most, from[i].most);
    to[i].total += from[i].total;
  }
}

void Reduction::run(const Communicator& comm) {
  if (pairs_.empty() || comm.size() == 1) return;
  static const std::pair<MPI_Datatype, MPI_Op> kPairs = [] {  // as long as MPI runs
    MPI_Datatype pairs = MPI_DATATYPE_NULL;
    MPI_Op combines = MPI_OP_NULL;
    check_mpi(MPI_Type_contiguous(2, MPI_DOUBLE, &pairs), "MPI_Type_contiguous");
    check_mpi(MPI_Type_commit(&pairs), "MPI_Type_commit");
    check_mpi(MPI_Op_create(combine, 1, &combines), "MPI_Op_create");
    return std::pair(pairs, combines);
  }();
  comm.reduce(pairs_.data(), static_cast<Index>(pairs_.size()), kPairs.first, kPairs.second);
}

}  // namespace deeppcr::parallel
