#include "deeppcr/parallel/node_memory.hpp"

#include <sys/statvfs.h>

#include <algorithm>
#include <exception>

namespace deeppcr::parallel {

namespace {

bool on_one_node(const Communicator& comm) {
  MPI_Comm node = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split_type(comm.get(), MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node),
            "MPI_Comm_split_type");
  int ranks = 0;
  MPI_Comm_size(node, &ranks);
  MPI_Comm_free(&node);
  return !comm.any(ranks < comm.size());
}

/// Whether there is room to spare. It must be known before: MPI may hang where one rank meets the
/// end of the shared memory, and a write to memory that is not there kills the rank.
bool has_room(Index bytes) {
  struct statvfs memory {};
  if (statvfs("/dev/shm", &memory) != 0) return false;
  return static_cast<double>(bytes) <=
         0.25 * static_cast<double>(memory.f_bavail) * static_cast<double>(memory.f_frsize);
}

}  // namespace

std::unique_ptr<NodeMemory> NodeMemory::make(const Communicator& comm, Index count) {
  const Index bytes = count * Index{sizeof(Real)}, all = comm.sum(bytes);
  if (comm.any(bytes > kMostBytes || !has_room(all)) || !on_one_node(comm)) return nullptr;
  MPI_Win window = MPI_WIN_NULL;
  void* mine = nullptr;
  check_mpi(MPI_Win_allocate_shared(static_cast<MPI_Aint>(bytes), sizeof(Real), MPI_INFO_NULL,
                                    comm.get(), &mine, &window),
            "MPI_Win_allocate_shared");
  MPI_Win_set_errhandler(window, MPI_ERRORS_RETURN);
  // Whoever asks next must see that this memory is taken.
  std::fill_n(static_cast<Real*>(mine), count, Real{0});
  comm.barrier();
  return std::unique_ptr<NodeMemory>(new NodeMemory(window, comm.size()));
}

NodeMemory::NodeMemory(MPI_Win window, int ranks)
    : window_(window), parts_(static_cast<std::size_t>(ranks)) {
  for (int p = 0; p < ranks; ++p) {
    MPI_Aint bytes = 0;
    int unit = 0;
    check_mpi(MPI_Win_shared_query(window_, p, &bytes, &unit, &parts_[static_cast<std::size_t>(p)]),
              "MPI_Win_shared_query");
  }
  check_mpi(MPI_Win_lock_all(MPI_MODE_NOCHECK, window_), "MPI_Win_lock_all");
}

NodeMemory::~NodeMemory() {
  int finalized = 0;
  MPI_Finalized(&finalized);
  // Freeing waits for all ranks: one that fails alone must get to the end of the run.
  if (finalized || std::uncaught_exceptions() > 0) return;
  MPI_Win_unlock_all(window_);
  MPI_Win_free(&window_);
}

void NodeMemory::sync() const { check_mpi(MPI_Win_sync(window_), "MPI_Win_sync"); }

}  // namespace deeppcr::parallel
