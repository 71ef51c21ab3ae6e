#include "deeppcr/parallel/row_exchange.hpp"

#include <vector>

#include "deeppcr/petsc/check.hpp"

namespace deeppcr::parallel {

RowExchange::RowExchange(const Communicator& comm, const BlockLayout& layout, StepRange wanted,
                         Index length)
    : wanted_(wanted) {
  check_mpi(MPI_Type_contiguous(to_count(length), MPI_DOUBLE, &type_), "MPI_Type_contiguous");
  check_mpi(MPI_Type_commit(&type_), "MPI_Type_commit");
  std::vector<PetscSFNode> remote;
  for (Index row = wanted.first; row < wanted.last; ++row) {
    const int owner = layout.owner(row);
    DEEPPCR_ASSERT(owner != comm.rank(), "row {} is this rank's own", row);
    remote.push_back({owner, static_cast<PetscInt>(row - layout.range(owner).first)});
  }
  DEEPPCR_PETSC(PetscSFCreate(comm.get(), sf_.put()));
  DEEPPCR_PETSC(PetscSFSetType(sf_.get(), PETSCSFBASIC));
  DEEPPCR_PETSC(PetscSFSetGraph(sf_.get(), static_cast<PetscInt>(layout.range(comm.rank()).size()),
                                static_cast<PetscInt>(remote.size()), nullptr, PETSC_COPY_VALUES,
                                remote.data(), PETSC_COPY_VALUES));
  DEEPPCR_PETSC(PetscSFSetUp(sf_.get()));
  PetscInt readers = 0;
  const PetscMPIInt* ranks = nullptr;
  const PetscInt *offsets = nullptr, *rows = nullptr;
  DEEPPCR_PETSC(PetscSFGetLeafRanks(sf_.get(), &readers, &ranks, &offsets, &rows));
  for (PetscInt i = 0; i < readers; ++i) {
    const Index count = offsets[i + 1] - offsets[i];
    if (count > 0) sends_.add(1, count * length * Index{sizeof(Real)});
  }
}

RowExchange::~RowExchange() { MPI_Type_free(&type_); }

void RowExchange::begin(const Real* rows, Real* in, Traffic& traffic) {
  traffic += sends_;
  DEEPPCR_PETSC(PetscSFBcastBegin(sf_.get(), type_, rows, in, MPI_REPLACE));
}

void RowExchange::end(const Real* rows, Real* in) {
  DEEPPCR_PETSC(PetscSFBcastEnd(sf_.get(), type_, rows, in, MPI_REPLACE));
}

}  // namespace deeppcr::parallel
