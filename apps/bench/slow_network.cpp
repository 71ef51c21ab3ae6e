// A network with a delay, for measurements: preloaded, each call of MPI that asks other ranks waits
// 5 ms, or as many microseconds as DEEPPCR_DELAY says.
//
//     mpirun -x LD_PRELOAD=lib/deeppcr/slow_network.so -n 4 deeppcr train ..
#include <mpi.h>

#include <chrono>
#include <cstdlib>
#include <thread>

namespace {

void delay(MPI_Comm ranks) {
  constexpr int kMicroseconds = 5000;
  static const char* const asked = std::getenv("DEEPPCR_DELAY");
  static const int microseconds = asked != nullptr ? std::atoi(asked) : kMicroseconds;
  int size = 0;
  PMPI_Comm_size(ranks, &size);
  if (size > 1) std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
}

}  // namespace

extern "C" {

int MPI_Allreduce(const void* from, void* to, int count, MPI_Datatype type, MPI_Op op,
                  MPI_Comm ranks) {
  delay(ranks);
  return PMPI_Allreduce(from, to, count, type, op, ranks);
}

int MPI_Iallreduce(const void* from, void* to, int count, MPI_Datatype type, MPI_Op op,
                   MPI_Comm ranks, MPI_Request* request) {
  delay(ranks);
  return PMPI_Iallreduce(from, to, count, type, op, ranks, request);
}

int MPI_Bcast(void* data, int count, MPI_Datatype type, int root, MPI_Comm ranks) {
  delay(ranks);
  return PMPI_Bcast(data, count, type, root, ranks);
}

}  // extern "C"
