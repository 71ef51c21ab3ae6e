#include "deeppcr/parallel/outbox.hpp"

#include <exception>
#include <utility>

namespace deeppcr::parallel {

namespace {

/// Tags below are those of other exchanges.
constexpr int kFirstTag = 100;

/// An empty message. It is never waited for: there is nothing in it that must be kept.
void tell(MPI_Comm comm, int rank, int tag) {
  MPI_Request request = MPI_REQUEST_NULL;
  check_mpi(MPI_Isend(nullptr, 0, MPI_BYTE, rank, tag, comm, &request), "MPI_Isend");
  check_mpi(MPI_Request_free(&request), "MPI_Request_free");
}

}  // namespace

Outbox::Outbox(const Communicator& comm, std::shared_ptr<const NodeMemory> memory, Index offset,
               int name)
    : comm_(comm.get()),
      rank_(comm.rank()),
      memory_(std::move(memory)),
      offset_(offset),
      announced_(kFirstTag + 2 * name),
      released_(announced_ + 1) {}

// A release that came after this would be taken for one of the next outbox of the same name.
Outbox::~Outbox() {
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (finalized || std::uncaught_exceptions() > 0) return;
  MPI_Waitall(static_cast<int>(releases_.size()), releases_.data(), MPI_STATUSES_IGNORE);
}

Real* Outbox::claim() {
  check_mpi(MPI_Waitall(static_cast<int>(releases_.size()), releases_.data(), MPI_STATUSES_IGNORE),
            "MPI_Waitall");
  if (!releases_.empty()) memory_->sync();
  releases_.clear();
  return memory_->part(rank_) + offset_;
}

void Outbox::announce(const std::vector<int>& readers) {
  memory_->sync();
  for (const int reader : readers) {
    releases_.push_back(MPI_REQUEST_NULL);
    check_mpi(MPI_Irecv(nullptr, 0, MPI_BYTE, reader, released_, comm_, &releases_.back()),
              "MPI_Irecv");
    tell(comm_, reader, announced_);
  }
}

void Outbox::await(const std::vector<int>& owners) const {
  for (const int owner : owners) {
    check_mpi(MPI_Recv(nullptr, 0, MPI_BYTE, owner, announced_, comm_, MPI_STATUS_IGNORE),
              "MPI_Recv");
  }
  if (!owners.empty()) memory_->sync();
}

void Outbox::release(const std::vector<int>& owners) const {
  if (!owners.empty()) memory_->sync();
  for (const int owner : owners) tell(comm_, owner, released_);
}

}  // namespace deeppcr::parallel
