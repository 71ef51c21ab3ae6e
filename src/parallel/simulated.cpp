// MPI as programs meet it on a simulated cluster (SimGrid's SMPI): what kernels have counted since
// the last call passes as simulated time first, messages and collectives are counted, and what the
// simulator does badly is replaced. Its own functions have a second name each, as MPI's profiling
// interface asks for, so that PETSc's calls come here too.
#include <mpi.h>
#include <smpi/smpi.h>

#include <cstdlib>
#include <cstring>

#include "deeppcr/core/work.hpp"
#include "deeppcr/parallel/communicator.hpp"
#include "parallel/waiting.hpp"

namespace deeppcr::parallel {

namespace {

/// DEEPPCR_SIMULATED_COMPUTE=none: only the network takes time.
bool compute_takes_time() {
  static const bool takes = [] {
    const char* word = std::getenv("DEEPPCR_SIMULATED_COMPUTE");
    return word == nullptr || std::strcmp(word, "none") != 0;
  }();
  return takes;
}

/// Lets simulated time pass for what was counted.
void pass_time() {
  static double passed = 0;
  const double due = work().seconds - passed;
  if (due <= 0) return;
  passed = work().seconds;
  if (compute_takes_time()) smpi_execute(due);
}

void before_message(int to) {
  pass_time();
  if (to != MPI_PROC_NULL) ++work().messages;
}

void before_collective() {
  pass_time();
  ++work().collectives;
}

}  // namespace

// One rank runs at a time there: nobody is spared by naps.
void wait_aside(MPI_Request request) {
  check_mpi(MPI_Wait(&request, MPI_STATUS_IGNORE), "MPI_Wait");
}

}  // namespace deeppcr::parallel

using deeppcr::parallel::before_collective;
using deeppcr::parallel::before_message;
using deeppcr::parallel::pass_time;

extern "C" {

double MPI_Wtime() {
  pass_time();
  return PMPI_Wtime();
}

// NOLINTBEGIN(bugprone-macro-parentheses): lists of parameters and arguments
#define DEEPPCR_AFTER(what, name, parameters, arguments) \
  int MPI_##name parameters {                            \
    what;                                                \
    return PMPI_##name arguments;                        \
  }
// NOLINTEND(bugprone-macro-parentheses)

DEEPPCR_AFTER(before_message(to), Send,
              (const void* data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm),
              (data, count, type, to, tag, comm))
DEEPPCR_AFTER(pass_time(), Recv,
              (void* data, int count, MPI_Datatype type, int from, int tag, MPI_Comm comm,
               MPI_Status* status),
              (data, count, type, from, tag, comm, status))
DEEPPCR_AFTER(before_message(to), Isend,
              (const void* data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm,
               MPI_Request* request),
              (data, count, type, to, tag, comm, request))
DEEPPCR_AFTER(pass_time(), Irecv,
              (void* data, int count, MPI_Datatype type, int from, int tag, MPI_Comm comm,
               MPI_Request* request),
              (data, count, type, from, tag, comm, request))
DEEPPCR_AFTER(before_message(to), Sendrecv,
              (const void* out, int sent, MPI_Datatype sent_type, int to, int sent_tag, void* in,
               int received, MPI_Datatype received_type, int from, int received_tag, MPI_Comm comm,
               MPI_Status* status),
              (out, sent, sent_type, to, sent_tag, in, received, received_type, from, received_tag,
               comm, status))
DEEPPCR_AFTER(pass_time(), Start, (MPI_Request * request), (request))
DEEPPCR_AFTER(pass_time(), Startall, (int count, MPI_Request* requests), (count, requests))
DEEPPCR_AFTER(pass_time(), Test, (MPI_Request * request, int* done, MPI_Status* status),
              (request, done, status))
DEEPPCR_AFTER(pass_time(), Testall,
              (int count, MPI_Request* requests, int* done, MPI_Status* statuses),
              (count, requests, done, statuses))
DEEPPCR_AFTER(pass_time(), Wait, (MPI_Request * request, MPI_Status* status), (request, status))
DEEPPCR_AFTER(pass_time(), Waitall, (int count, MPI_Request* requests, MPI_Status* statuses),
              (count, requests, statuses))
DEEPPCR_AFTER(pass_time(), Waitany,
              (int count, MPI_Request* requests, int* index, MPI_Status* status),
              (count, requests, index, status))
DEEPPCR_AFTER(before_collective(), Barrier, (MPI_Comm comm), (comm))
DEEPPCR_AFTER(before_collective(), Bcast,
              (void* data, int count, MPI_Datatype type, int root, MPI_Comm comm),
              (data, count, type, root, comm))
DEEPPCR_AFTER(before_collective(), Allreduce,
              (const void* in, void* out, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm),
              (in, out, count, type, op, comm))
DEEPPCR_AFTER(before_collective(), Reduce,
              (const void* in, void* out, int count, MPI_Datatype type, MPI_Op op, int root,
               MPI_Comm comm),
              (in, out, count, type, op, root, comm))
DEEPPCR_AFTER(before_collective(), Scan,
              (const void* in, void* out, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm),
              (in, out, count, type, op, comm))
DEEPPCR_AFTER(before_collective(), Allgather,
              (const void* in, int sent, MPI_Datatype sent_type, void* out, int received,
               MPI_Datatype received_type, MPI_Comm comm),
              (in, sent, sent_type, out, received, received_type, comm))
#undef DEEPPCR_AFTER

// The simulator's own sends to a rank -1 where there is one rank alone.
int MPI_Allgatherv(const void* in, int sent, MPI_Datatype sent_type, void* out, const int* received,
                   const int* offsets, MPI_Datatype received_type, MPI_Comm comm) {
  before_collective();
  int size = 0;
  PMPI_Comm_size(comm, &size);
  if (size > 1)
    return PMPI_Allgatherv(in, sent, sent_type, out, received, offsets, received_type, comm);
  MPI_Aint lower = 0, extent = 0;
  PMPI_Type_get_extent(received_type, &lower, &extent);
  return PMPI_Allgather(in, sent, sent_type, static_cast<char*>(out) + offsets[0] * extent,
                        received[0], received_type, comm);
}

// The simulator's non-blocking collectives send to each rank in turn, whatever algorithms it was
// asked for, and loops of tests see no end of them: they block here. Who tests or waits for a null
// request goes on at once.

int MPI_Ibarrier(MPI_Comm comm, MPI_Request* request) {
  *request = MPI_REQUEST_NULL;
  return MPI_Barrier(comm);
}

int MPI_Iallreduce(const void* in, void* out, int count, MPI_Datatype type, MPI_Op op,
                   MPI_Comm comm, MPI_Request* request) {
  *request = MPI_REQUEST_NULL;
  return MPI_Allreduce(in, out, count, type, op, comm);
}

int MPI_Iallgather(const void* in, int sent, MPI_Datatype sent_type, void* out, int received,
                   MPI_Datatype received_type, MPI_Comm comm, MPI_Request* request) {
  *request = MPI_REQUEST_NULL;
  return MPI_Allgather(in, sent, sent_type, out, received, received_type, comm);
}

int MPI_Iallgatherv(const void* in, int sent, MPI_Datatype sent_type, void* out,
                    const int* received, const int* offsets, MPI_Datatype received_type,
                    MPI_Comm comm, MPI_Request* request) {
  *request = MPI_REQUEST_NULL;
  return MPI_Allgatherv(in, sent, sent_type, out, received, offsets, received_type, comm);
}

}  // extern "C"
