#include "deeppcr/parallel/pending_sums.hpp"

#include <algorithm>
#include <exception>
#include <limits>

namespace deeppcr::parallel {

PendingSums::~PendingSums() {
  if (std::uncaught_exceptions() == 0)
    MPI_Waitall(static_cast<int>(requests_.size()), requests_.data(), MPI_STATUSES_IGNORE);
}

void PendingSums::start(double* values, Index count) {
  if (comm_.size() == 1) return;
  constexpr Index kMost = std::numeric_limits<int>::max();
  for (Index done = 0; done < count; done += kMost) {
    const auto part = static_cast<int>(std::min(kMost, count - done));
    requests_.push_back(MPI_REQUEST_NULL);
    check_mpi(MPI_Iallreduce(MPI_IN_PLACE, values + done, part, MPI_DOUBLE, MPI_SUM, comm_.get(),
                             &requests_.back()),
              "MPI_Iallreduce");
  }
  int finished = 0;  // asking is what makes MPI go on
  check_mpi(MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &finished,
                        MPI_STATUSES_IGNORE),
            "MPI_Testall");
}

void PendingSums::wait() {
  check_mpi(MPI_Waitall(static_cast<int>(requests_.size()), requests_.data(), MPI_STATUSES_IGNORE),
            "MPI_Waitall");
  requests_.clear();
}

}  // namespace deeppcr::parallel
