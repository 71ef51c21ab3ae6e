#include "deeppcr/parallel/hand_over.hpp"

#include <exception>
#include <utility>

#include "parallel/waiting.hpp"

namespace deeppcr::parallel {

namespace {

constexpr int kMessage = 0, kTaken = 4;  // tags; other exchanges have those between

}  // namespace

HandOver::HandOver(const Communicator& comm, int to, Index count, int most)
    : comm_(comm), to_(to), messages_(static_cast<std::size_t>(most)) {
  for (Message& one : messages_) one.numbers = Buffer<Real>(count);
}

HandOver::~HandOver() {
  if (std::uncaught_exceptions() > 0) return;
  for (; waiting_ > 0; await_one()) {
  }
  for (Message& one : messages_) MPI_Wait(&one.request, MPI_STATUS_IGNORE);
}

void HandOver::expect_next() {
  if (waiting_ > 0)
    check_mpi(MPI_Irecv(nullptr, 0, MPI_BYTE, to_, kTaken, comm_.get(), &taken_), "MPI_Irecv");
}

void HandOver::await_one() {
  wait_aside(std::exchange(taken_, MPI_REQUEST_NULL));
  --waiting_;
  expect_next();
}

bool HandOver::is_idle() {
  while (waiting_ > 0) {
    int taken = 0;
    check_mpi(MPI_Test(&taken_, &taken, MPI_STATUS_IGNORE), "MPI_Test");
    if (!taken) return false;
    --waiting_;
    expect_next();
  }
  return true;
}

Real* HandOver::room() {
  if (waiting_ == messages_.size()) await_one();
  Message& next = messages_[next_];
  check_mpi(MPI_Wait(&next.request, MPI_STATUS_IGNORE), "MPI_Wait");  // it has been taken
  return next.numbers.data();
}

void HandOver::send() {
  Message& next = messages_[next_];
  check_mpi(MPI_Isend(next.numbers.data(), to_count(next.numbers.size()), MPI_DOUBLE, to_, kMessage,
                      comm_.get(), &next.request),
            "MPI_Isend");
  next_ = (next_ + 1) % messages_.size();
  if (waiting_++ == 0) expect_next();
}

void HandOver::take(const Communicator& comm, Real* data, Index count, int from) {
  comm.receive(data, count, from);
  check_mpi(MPI_Send(nullptr, 0, MPI_BYTE, from, kTaken, comm.get()), "MPI_Send");
}

}  // namespace deeppcr::parallel
