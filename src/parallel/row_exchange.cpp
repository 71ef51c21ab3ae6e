#include "deeppcr/parallel/row_exchange.hpp"

#include <algorithm>

namespace deeppcr::parallel {

namespace {

constexpr int kRowTag = 3;

/// Rows `shift` away from `own`, within `limits`, that others have: beyond the end of `own` on that
/// side.
StepRange rows_of_others(StepRange own, Index shift, StepRange limits) {
  if (own.empty()) return {};
  const StepRange there{own.first + shift, own.last + shift};
  const StepRange outside = shift < 0 ? StepRange{there.first, std::min(there.last, own.first)}
                                      : StepRange{std::max(there.first, own.last), there.last};
  return intersect(outside, limits);
}

}  // namespace

RowExchange::RowExchange(const Communicator& comm, const BlockLayout& layout, Index shift,
                         StepRange limits, Index length)
    : comm_(comm), length_(length) {
  const StepRange own = layout.range(comm.rank()), all{0, layout.num_steps()};
  limits = intersect(limits, all);
  wanted_ = rows_of_others(own, shift, limits);
  const auto each_owner = [&](StepRange rows, const auto& visit) {
    for (Index row = rows.first; row < rows.last;) {
      const int owner = layout.owner(row);
      const StepRange theirs = intersect(rows, layout.range(owner));
      visit(owner, theirs);
      row = theirs.last;
    }
  };
  each_owner(wanted_, [&](int owner, StepRange rows) {
    in_.push_back({owner, {rows.first - wanted_.first, rows.last - wanted_.first}});
  });
  // Who has the rows that ours are `shift` away from wants ours.
  const StepRange given = intersect(own, limits);
  const StepRange readers = intersect({given.first - shift, given.last - shift}, all);
  each_owner(readers, [&](int reader, StepRange rows) {
    if (reader == comm.rank()) return;
    const Index to_own = shift - own.first;
    out_.push_back({reader, {rows.first + to_own, rows.last + to_own}});
  });
  check_mpi(MPI_Type_contiguous(to_count(length), MPI_DOUBLE, &type_), "MPI_Type_contiguous");
  check_mpi(MPI_Type_commit(&type_), "MPI_Type_commit");
  requests_.reserve(in_.size() + out_.size());
}

RowExchange::~RowExchange() { MPI_Type_free(&type_); }

void RowExchange::begin(const Real* rows, Real* in, Traffic& traffic) {
  requests_.assign(in_.size() + out_.size(), MPI_REQUEST_NULL);
  MPI_Request* request = requests_.data();
  for (const Part& part : in_)
    check_mpi(MPI_Irecv(in + part.rows.first * length_, to_count(part.rows.size()), type_,
                        part.rank, kRowTag, comm_.get(), request++),
              "MPI_Irecv");
  for (const Part& part : out_) {
    check_mpi(MPI_Isend(rows + part.rows.first * length_, to_count(part.rows.size()), type_,
                        part.rank, kRowTag, comm_.get(), request++),
              "MPI_Isend");
    traffic.add(1, part.rows.size() * length_ * Index{sizeof(Real)});
  }
}

void RowExchange::end() {
  check_mpi(MPI_Waitall(to_count(static_cast<Index>(requests_.size())), requests_.data(),
                        MPI_STATUSES_IGNORE),
            "MPI_Waitall");
}

}  // namespace deeppcr::parallel
