#include "support/mpi_count.hpp"

#include <mpi.h>

namespace deeppcr::test {
namespace {

MpiCount g_count;

void count_reduction(int numbers) {
  ++g_count.reductions;
  g_count.large_sums += numbers > 2 ? 1 : 0;
}

}  // namespace

MpiCount mpi_count() { return g_count; }

}  // namespace deeppcr::test

// What MPI calls are named, in place of the library's; the library has each a second time, as
// PMPI_.
using deeppcr::test::count_reduction;
using deeppcr::test::g_count;

extern "C" {

int MPI_Allreduce(const void* in, void* out, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm) {
  count_reduction(n);
  return PMPI_Allreduce(in, out, n, type, op, comm);
}
int MPI_Iallreduce(const void* in, void* out, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm,
                   MPI_Request* request) {
  count_reduction(n);
  return PMPI_Iallreduce(in, out, n, type, op, comm, request);
}
int MPI_Reduce(const void* in, void* out, int n, MPI_Datatype type, MPI_Op op, int root,
               MPI_Comm comm) {
  ++g_count.reductions;
  return PMPI_Reduce(in, out, n, type, op, root, comm);
}
int MPI_Exscan(const void* in, void* out, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm) {
  ++g_count.gathers;
  return PMPI_Exscan(in, out, n, type, op, comm);
}
int MPI_Allgather(const void* in, int n, MPI_Datatype type, void* out, int m, MPI_Datatype to,
                  MPI_Comm comm) {
  ++g_count.gathers;
  return PMPI_Allgather(in, n, type, out, m, to, comm);
}
int MPI_Iallgather(const void* in, int n, MPI_Datatype type, void* out, int m, MPI_Datatype to,
                   MPI_Comm comm, MPI_Request* request) {
  ++g_count.gathers;
  return PMPI_Iallgather(in, n, type, out, m, to, comm, request);
}
int MPI_Allgatherv(const void* in, int n, MPI_Datatype type, void* out, const int m[],
                   const int at[], MPI_Datatype to, MPI_Comm comm) {
  ++g_count.gathers;
  return PMPI_Allgatherv(in, n, type, out, m, at, to, comm);
}
int MPI_Iallgatherv(const void* in, int n, MPI_Datatype type, void* out, const int m[],
                    const int at[], MPI_Datatype to, MPI_Comm comm, MPI_Request* request) {
  ++g_count.gathers;
  return PMPI_Iallgatherv(in, n, type, out, m, at, to, comm, request);
}
int MPI_Bcast(void* data, int n, MPI_Datatype type, int root, MPI_Comm comm) {
  ++g_count.others;
  return PMPI_Bcast(data, n, type, root, comm);
}
int MPI_Barrier(MPI_Comm comm) {
  ++g_count.others;
  return PMPI_Barrier(comm);
}
int MPI_Ibarrier(MPI_Comm comm, MPI_Request* request) {
  ++g_count.others;
  return PMPI_Ibarrier(comm, request);
}
int MPI_Send(const void* data, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm) {
  ++g_count.messages;
  return PMPI_Send(data, n, type, to, tag, comm);
}
int MPI_Sendrecv(const void* out, int n, MPI_Datatype type, int to, int tag, void* in, int m,
                 MPI_Datatype from_type, int from, int from_tag, MPI_Comm comm,
                 MPI_Status* status) {
  if (to != MPI_PROC_NULL) ++g_count.messages;
  return PMPI_Sendrecv(out, n, type, to, tag, in, m, from_type, from, from_tag, comm, status);
}
int MPI_Isend(const void* data, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm,
              MPI_Request* request) {
  ++g_count.messages;
  return PMPI_Isend(data, n, type, to, tag, comm, request);
}
}
