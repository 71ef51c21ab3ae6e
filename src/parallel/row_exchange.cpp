#include "deeppcr/parallel/row_exchange.hpp"

#include <algorithm>

#include "deeppcr/petsc/check.hpp"
#include "parallel/mpi_count.hpp"

namespace deeppcr::parallel {

RowType::RowType(Index length) : length_(length) {
  check_mpi(MPI_Type_contiguous(to_count(length), MPI_DOUBLE, &type_), "MPI_Type_contiguous");
  check_mpi(MPI_Type_commit(&type_), "MPI_Type_commit");
}

RowType::~RowType() { MPI_Type_free(&type_); }

RowExchange::RowExchange(const Communicator& comm, const BlockLayout& layout, StepRange wanted)
    : wanted_(wanted) {
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
  find_peers(comm, layout);
}

void RowExchange::find_peers(const Communicator& comm, const BlockLayout& layout) {
  PetscInt count = 0;
  const PetscMPIInt* ranks = nullptr;
  const PetscInt *offsets = nullptr, *rows = nullptr;
  DEEPPCR_PETSC(PetscSFGetLeafRanks(sf_.get(), &count, &ranks, &offsets, &rows));
  for (PetscInt i = 0; i < count; ++i) {
    if (ranks[i] == comm.rank() || offsets[i + 1] == offsets[i]) continue;
    readers_.push_back(ranks[i]);
    sends_.push_back(offsets[i + 1] - offsets[i]);
  }
  if (count > 0 && offsets[count] > 0) {
    const auto [lowest, highest] = std::minmax_element(rows, rows + offsets[count]);
    sent_ = {*lowest, *highest + 1};
  }
  const std::vector<Index> first_sent = comm.gather_all(sent_.first);
  for (int p = 0; p < layout.num_ranks(); ++p) {
    const StepRange theirs = layout.range(p), here = intersect(theirs, wanted_);
    if (here.empty()) continue;
    owners_.push_back(p);
    pieces_.push_back({here, p, theirs.first + first_sent[static_cast<std::size_t>(p)]});
  }
}

Real* RowExchange::claim(const RowType& type) {
  DEEPPCR_ASSERT(stage_ == Stage::idle, "rows that are still to be sent");
  const Index length = type.length();
  if (outbox_ == nullptr) packed_.reserve(sent_.size() * length);
  Real* first = outbox_ == nullptr ? packed_.data() : outbox_->claim();
  stage_ = Stage::claimed;
  // The PetscSF counts rows from this rank's first; it touches only those that are sent.
  return now_.rows = first - sent_.first * length;
}

void RowExchange::begin(const Real* rows, Real* in, const RowType& type, Traffic& traffic) {
  const Index length = type.length();
  for (Index count : sends_) traffic.add(1, count * length * static_cast<Index>(sizeof(Real)));
  if (stage_ != Stage::claimed) {
    Real* copy = claim(type);
    std::copy(rows + sent_.first * length, rows + sent_.last * length, copy + sent_.first * length);
  }
  stage_ = Stage::under_way;
  now_.in = in;
  now_.type = type.get();
  now_.length = length;
  if (outbox_ != nullptr) return outbox_->announce(readers_);
  DEEPPCR_PETSC(PetscSFBcastBegin(sf_.get(), now_.type, now_.rows, now_.in, MPI_REPLACE));
}

void RowExchange::end() {
  if (outbox_ != nullptr) return outbox_->await(owners_);
  DEEPPCR_PETSC(PetscSFBcastEnd(sf_.get(), now_.type, now_.rows, now_.in, MPI_REPLACE));
}

const Real* RowExchange::row(Index row) const {
  if (outbox_ == nullptr) return now_.in + (row - wanted_.first) * now_.length;
  for (const Piece& piece : pieces_) {
    if (piece.rows.contains(row))
      return outbox_->of(piece.owner) + (row - piece.first_sent) * now_.length;
  }
  return nullptr;
}

void RowExchange::release() {
  stage_ = Stage::idle;
  if (outbox_ != nullptr) outbox_->release(owners_);
}

}  // namespace deeppcr::parallel
