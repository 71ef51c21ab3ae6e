#include "deeppcr/parallel/communicator.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "parallel/waiting.hpp"

namespace deeppcr::parallel {

void check_mpi(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw internal_error("MPI error in {}: {}", call, std::string(text, text + length));
}

int to_count(Index count) {
  DEEPPCR_ASSERT(0 <= count && count <= std::numeric_limits<int>::max(),
                 "a message of {} elements; use fewer samples at a time", count);
  return static_cast<int>(count);
}

namespace {

/// Elements of one broadcast: 1 GiB of reals.
constexpr Index kMostAtOnce = Index{1} << 27;

/// Communicator::node_ranks(). Collective.
int ranks_of_a_node(MPI_Comm comm, int rank, int size) {
  if (size == 1) return 1;
  MPI_Comm node = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &node),
            "MPI_Comm_split_type");
  int ends[2] = {-rank, rank};
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, ends, 2, MPI_INT, MPI_MAX, node), "MPI_Allreduce");
  int most = 0;
  MPI_Comm_size(node, &most);
  MPI_Comm_free(&node);
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, &most, 1, MPI_INT, MPI_MAX, comm), "MPI_Allreduce");
  const int first = rank / most * most;
  int regular = ends[0] == -first && ends[1] == std::min(first + most, size) - 1 ? 1 : 0;
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, &regular, 1, MPI_INT, MPI_MIN, comm), "MPI_Allreduce");
  return regular == 1 ? most : size;
}

double without_nan(double v) { return v != v ? std::numeric_limits<double>::infinity() : v; }

}  // namespace

Communicator::Communicator(MPI_Comm comm) {
  check_mpi(MPI_Comm_dup(comm, &comm_), "MPI_Comm_dup");
  MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN);
  MPI_Comm_rank(comm_, &rank_);
  MPI_Comm_size(comm_, &size_);
  node_ranks_ = ranks_of_a_node(comm_, rank_, size_);
}

Communicator Communicator::world() { return Communicator(MPI_COMM_WORLD); }
Communicator Communicator::self() { return Communicator(MPI_COMM_SELF); }

Communicator::Communicator(Communicator&& other) noexcept
    : comm_(std::exchange(other.comm_, MPI_COMM_NULL)),
      rank_(other.rank_),
      size_(other.size_),
      node_ranks_(other.node_ranks_) {}

Communicator::~Communicator() {
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (comm_ != MPI_COMM_NULL && !finalized) MPI_Comm_free(&comm_);
}

Communicator Communicator::first_ranks(int size) const { return split(rank_ < size ? 0 : rank_); }

Communicator Communicator::as_nodes_of(int ranks) const {
  Communicator result(comm_);
  result.node_ranks_ = ranks;
  return result;
}

Communicator Communicator::split(int color) const {
  MPI_Comm part = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split(comm_, color, rank_, &part), "MPI_Comm_split");
  Communicator result(part);
  MPI_Comm_free(&part);
  return result;
}

void Communicator::barrier() const {
  MPI_Request request = MPI_REQUEST_NULL;
  check_mpi(MPI_Ibarrier(comm_, &request), "MPI_Ibarrier");
  wait_aside(request);
}

void Communicator::reduce(void* values, Index count, MPI_Datatype type, MPI_Op op) const {
  if (size_ == 1 || count == 0) return;
  MPI_Request request = MPI_REQUEST_NULL;
  check_mpi(MPI_Iallreduce(MPI_IN_PLACE, values, to_count(count), type, op, comm_, &request),
            "MPI_Iallreduce");
  wait_aside(request);
}

void Communicator::max(std::vector<double>& values) const {
  // MPI_MAX may drop a NaN, so NaNs travel as infinity.
  for (double& v : values) v = without_nan(v);
  reduce(values.data(), static_cast<Index>(values.size()), MPI_DOUBLE, MPI_MAX);
}

void Communicator::min(std::vector<double>& values) const {
  reduce(values.data(), static_cast<Index>(values.size()), MPI_DOUBLE, MPI_MIN);
}

void Communicator::sum(double* values, Index count) const {
  for (Index first = 0; first < count; first += kMostAtOnce) {  // MPI counts in an int
    const int piece = to_count(std::min(kMostAtOnce, count - first));
    check_mpi(MPI_Allreduce(MPI_IN_PLACE, values + first, piece, MPI_DOUBLE, MPI_SUM, comm_),
              "MPI_Allreduce");
  }
}

std::vector<Index> Communicator::gather_all(Index value) const {
  std::vector<Index> all(static_cast<std::size_t>(size_));
  MPI_Request request = MPI_REQUEST_NULL;
  check_mpi(MPI_Iallgather(&value, 1, MPI_INT64_T, all.data(), 1, MPI_INT64_T, comm_, &request),
            "MPI_Iallgather");
  wait_aside(request);
  return all;
}

std::vector<double> Communicator::gather_all(const std::vector<double>& values) const {
  std::vector<int> sizes, offsets;
  Index total = 0;
  for (const Index size : gather_all(static_cast<Index>(values.size()))) {
    sizes.push_back(to_count(size));
    offsets.push_back(to_count(total));
    total += size;
  }
  std::vector<double> all(static_cast<std::size_t>(total));
  MPI_Request request = MPI_REQUEST_NULL;
  check_mpi(MPI_Iallgatherv(values.data(), sizes[static_cast<std::size_t>(rank_)], MPI_DOUBLE,
                            all.data(), sizes.data(), offsets.data(), MPI_DOUBLE, comm_, &request),
            "MPI_Iallgatherv");
  wait_aside(request);
  return all;
}

void Communicator::broadcast(void* data, Index count, MPI_Datatype type, int root) const {
  int bytes = 0;
  MPI_Type_size(type, &bytes);
  for (Index first = 0; first < count; first += kMostAtOnce) {  // MPI counts in an int
    const Index piece = std::min(kMostAtOnce, count - first);
    char* at = static_cast<char*>(data) + first * bytes;
    check_mpi(MPI_Bcast(at, to_count(piece), type, root, comm_), "MPI_Bcast");
  }
}

void Communicator::send(const Real* data, Index count, int to) const {
  check_mpi(MPI_Send(data, to_count(count), MPI_DOUBLE, to, 0, comm_), "MPI_Send");
}

void Communicator::receive(Real* data, Index count, int from) const {
  MPI_Request request = MPI_REQUEST_NULL;
  check_mpi(MPI_Irecv(data, to_count(count), MPI_DOUBLE, from, 0, comm_, &request), "MPI_Irecv");
  wait_aside(request);
}

void agree(const Communicator& comm, const std::function<void()>& body) {
  auto code = static_cast<Index>(ExitCode::success);
  std::string text;
  try {
    body();
  } catch (const Error& error) {
    code = static_cast<Index>(error.code());
    text = error.what();
  } catch (const std::exception& error) {
    code = static_cast<Index>(ExitCode::internal);
    text = error.what();
  }
  const Index nobody = comm.size();
  const bool failed = code != static_cast<Index>(ExitCode::success);
  const Index first = comm.min(failed ? Index{comm.rank()} : nobody);
  if (first == nobody) return;
  comm.broadcast(code, static_cast<int>(first));
  comm.broadcast(text, static_cast<int>(first));
  throw Error(static_cast<ExitCode>(code), Error::Seen::everywhere, text);
}

}  // namespace deeppcr::parallel
