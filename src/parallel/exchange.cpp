#include "deeppcr/parallel/exchange.hpp"

#include <mpi.h>

#include <algorithm>
#include <limits>

#include "deeppcr/petsc/check.hpp"

namespace deeppcr::parallel {

namespace {

constexpr int kShiftTag = 1;

int to_count(Index count) {
  DEEPPCR_ASSERT(0 <= count && count <= std::numeric_limits<int>::max(),
                 "a message of {} reals; use fewer samples at a time", count);
  return static_cast<int>(count);
}

}  // namespace

void shift(const Communicator& comm, const ShiftPlan& plan, const Real* out, Index send_count,
           Real* in, Index receive_count, Traffic& traffic) {
  const int rank = comm.rank();
  if (rank < plan.first || rank > plan.last) return;
  const int step = plan.direction == Direction::forward ? plan.stride : -plan.stride;
  const int to = rank + step, from = rank - step;
  MPI_Request requests[2];
  int pending = 0;
  if (receive_count > 0 && from >= plan.first && from <= plan.last) {
    check_mpi(MPI_Irecv(in, to_count(receive_count), MPI_DOUBLE, from, kShiftTag, comm.get(),
                        &requests[pending++]),
              "MPI_Irecv");
  }
  if (send_count > 0 && to >= plan.first && to <= plan.last) {
    check_mpi(MPI_Isend(out, to_count(send_count), MPI_DOUBLE, to, kShiftTag, comm.get(),
                        &requests[pending++]),
              "MPI_Isend");
    traffic.add(1, send_count * static_cast<Index>(sizeof(Real)));
  }
  check_mpi(MPI_Waitall(pending, requests, MPI_STATUSES_IGNORE), "MPI_Waitall");
}

void halo(const Communicator& comm, int first, int last, Direction direction, const Real* out,
          Real* in, Index count, Traffic& traffic) {
  shift(comm, {first, last, 1, direction}, out, count, in, count, traffic);
}

void gather_rows(const Communicator& comm, const std::vector<Index>& first_rows, Real* table,
                 Index row, Traffic& traffic) {
  if (comm.size() == 1) return;
  const auto P = static_cast<std::size_t>(comm.size());
  std::vector<int> counts(P), offsets(P);
  for (std::size_t p = 0; p < P; ++p) {
    counts[p] = to_count((first_rows[p + 1] - first_rows[p]) * row);
    offsets[p] = to_count(first_rows[p] * row);
  }
  check_mpi(MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, table, counts.data(), offsets.data(),
                           MPI_DOUBLE, comm.get()),
            "MPI_Allgatherv");
  const int mine = counts[static_cast<std::size_t>(comm.rank())];
  if (mine > 0) traffic.add(comm.size() - 1, (comm.size() - 1) * mine * Index{sizeof(Real)});
}

void prefix_sum(const Communicator& comm, int active, Direction direction, Real* values,
                Index count, TrafficByLevel& traffic) {
  traffic.clear();
  if (comm.rank() >= active) return;
  const int before = direction == Direction::forward ? comm.rank() : active - 1 - comm.rank();
  Buffer<Real> sum(count), in(count);  // of the 2^k ranks that end with this one
  std::copy_n(values, count, sum.data());
  std::fill_n(values, count, Real{0});
  for (int stride = 1; stride < active; stride *= 2) {
    traffic.emplace_back();
    const ShiftPlan plan{0, active - 1, stride, direction};
    shift(comm, plan, sum.data(), count, in.data(), count, traffic.back());
    if (before < stride) continue;
    for (Index i = 0; i < count; ++i) {
      values[i] += in[i];
      sum[i] += in[i];
    }
  }
}

RowExchange::RowExchange(const Communicator& comm, const BlockLayout& layout, StepRange wanted) {
  const auto leaves = static_cast<PetscInt>(wanted.empty() ? 0 : wanted.size());
  std::vector<PetscSFNode> remote(static_cast<std::size_t>(leaves));
  for (PetscInt i = 0; i < leaves; ++i) {
    const Index row = wanted.first + i;
    const int owner = layout.owner(row);
    DEEPPCR_ASSERT(owner != comm.rank(), "row {} is this rank's own", row);
    remote[static_cast<std::size_t>(i)] = {owner,
                                           static_cast<PetscInt>(row - layout.range(owner).first)};
  }
  DEEPPCR_PETSC(PetscSFCreate(comm.get(), sf_.put()));
  DEEPPCR_PETSC(PetscSFSetType(sf_.get(), PETSCSFBASIC));
  DEEPPCR_PETSC(PetscSFSetGraph(sf_.get(), static_cast<PetscInt>(layout.range(comm.rank()).size()),
                                leaves, nullptr, PETSC_COPY_VALUES, remote.data(),
                                PETSC_COPY_VALUES));
  DEEPPCR_PETSC(PetscSFSetUp(sf_.get()));
  PetscInt receivers = 0;
  const PetscMPIInt* ranks = nullptr;
  const PetscInt *offsets = nullptr, *rows = nullptr;
  DEEPPCR_PETSC(PetscSFGetLeafRanks(sf_.get(), &receivers, &ranks, &offsets, &rows));
  for (PetscInt i = 0; i < receivers; ++i) {
    if (ranks[i] != comm.rank()) sends_.push_back(offsets[i + 1] - offsets[i]);
  }
  if (receivers == 0 || offsets[receivers] == 0) return;
  const auto [lowest, highest] = std::minmax_element(rows, rows + offsets[receivers]);
  sent_ = {*lowest, *highest + 1};
}

RowType::RowType(Index length) : length_(length) {
  check_mpi(MPI_Type_contiguous(to_count(length), MPI_DOUBLE, &type_), "MPI_Type_contiguous");
  check_mpi(MPI_Type_commit(&type_), "MPI_Type_commit");
}

RowType::~RowType() { MPI_Type_free(&type_); }

void RowExchange::begin(const Real* rows, Real* in, const RowType& type, Traffic& traffic) {
  for (Index count : sends_)
    traffic.add(1, count * type.length() * static_cast<Index>(sizeof(Real)));
  packed_.reserve(sent_.size() * type.length());
  std::copy(rows + sent_.first * type.length(), rows + sent_.last * type.length(), packed_.data());
  // The PetscSF counts rows from this rank's first; it touches only those that are sent.
  now_ = {packed_.data() - sent_.first * type.length(), in, type.get()};
  DEEPPCR_PETSC(PetscSFBcastBegin(sf_.get(), now_.type, now_.rows, now_.in, MPI_REPLACE));
}

void RowExchange::end() {
  DEEPPCR_PETSC(PetscSFBcastEnd(sf_.get(), now_.type, now_.rows, now_.in, MPI_REPLACE));
}

}  // namespace deeppcr::parallel
