#include "deeppcr/parallel/hand_over.hpp"

#include <exception>
#include <utility>

#include "parallel/waiting.hpp"

namespace deeppcr::parallel {

HandOver::HandOver(const Communicator& comm, int to, Index count)
    : comm_(comm), to_(to), message_(count) {}

HandOver::~HandOver() {
  if (std::uncaught_exceptions() == 0) MPI_Wait(&request_, MPI_STATUS_IGNORE);
}

bool HandOver::has_room() {
  int taken = 0;
  check_mpi(MPI_Test(&request_, &taken, MPI_STATUS_IGNORE), "MPI_Test");
  return taken != 0;
}

Real* HandOver::room() {
  if (!has_room()) wait_aside(std::exchange(request_, MPI_REQUEST_NULL));
  return message_.data();
}

// A synchronous send is complete when its receiver has begun to take it, however small it is.
void HandOver::send() {
  check_mpi(MPI_Issend(message_.data(), to_count(message_.size()), MPI_DOUBLE, to_, 0, comm_.get(),
                       &request_),
            "MPI_Issend");
}

}  // namespace deeppcr::parallel
