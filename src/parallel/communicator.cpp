#include "deeppcr/parallel/communicator.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <limits>
#include <thread>
#include <utility>

#include "mpi_count.hpp"

namespace deeppcr::parallel {

void check_mpi(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw internal_error("MPI error in {}: {}", call, std::string(text, text + length));
}

namespace {

/// Tells the processor that this is a loop that waits.
void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

/// Waits without taking the core's resources from a rank that works on its other hardware thread:
/// looks ever more rarely (a pause is some 40 ns), and after a while sleeps for a small share of
/// the time waited so far.
void wait_aside(MPI_Request& request) {
  constexpr int kMostPauses = 32;
  constexpr double kShare = 0.02;
  constexpr std::chrono::microseconds kShortestSleep{60};
  const auto start = std::chrono::steady_clock::now();
  int pauses = 1;
  for (int done = 0; !done;) {
    check_mpi(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Test");
    if (done) return;
    const auto nap = std::chrono::duration_cast<std::chrono::microseconds>(
        kShare * (std::chrono::steady_clock::now() - start));
    if (nap >= kShortestSleep) {
      std::this_thread::sleep_for(
          std::min<std::chrono::microseconds>(nap, std::chrono::milliseconds(10)));
    } else {
      for (int i = 0; i < pauses; ++i) relax();
      pauses = std::min(pauses + 1, kMostPauses);
    }
  }
}

/// Whether it is done, after some looks: a collective call goes on by one round at each.
bool is_done(MPI_Request& request, int looks) {
  int done = 0;
  for (; looks > 0 && !done; --looks)
    check_mpi(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Test");
  return done != 0;
}

/// start(&request) and the wait for it; `call` names what it starts. As long as meanwhile() returns
/// true it is called instead of waiting, with `looks` looks in between. What it throws is thrown
/// once the memory is no longer in use.
template <typename Start, typename Meanwhile>
void run_aside(const char* call, Start&& start, Meanwhile&& meanwhile, int looks) {
  MPI_Request request = MPI_REQUEST_NULL;
  check_mpi(start(&request), call);
  std::exception_ptr failure;
  try {
    while (!is_done(request, looks) && meanwhile()) {
    }
  } catch (...) {
    failure = std::current_exception();
  }
  wait_aside(request);
  if (failure) std::rethrow_exception(failure);
}
template <typename Start>
void run_aside(const char* call, Start&& start) {
  run_aside(
      call, start, [] { return false; }, 1);
}

/// A few numbers of all ranks, in place. Some ranks may come much later than others.
void reduce(MPI_Comm comm, void* values, Index count, MPI_Datatype type, MPI_Op op) {
  run_aside("MPI_Iallreduce", [&](MPI_Request* request) {
    return MPI_Iallreduce(MPI_IN_PLACE, values, to_count(count), type, op, comm, request);
  });
}
double reduce(MPI_Comm comm, double value, MPI_Op op) {
  reduce(comm, &value, 1, MPI_DOUBLE, op);
  return value;
}
Index reduce(MPI_Comm comm, Index value, MPI_Op op) {
  reduce(comm, &value, 1, MPI_INT64_T, op);
  return value;
}

/// What max_and_sum() reduces, as one element of an MPI type: an operation sees it whole.
struct MaximaAndSums {
  static constexpr std::size_t kMost = 8;
  std::array<double, kMost> maxima{}, sums{};

  static void combine(void* in, void* in_out, int* count, MPI_Datatype*) {
    const auto* from = static_cast<const MaximaAndSums*>(in);
    auto* to = static_cast<MaximaAndSums*>(in_out);
    for (int c = 0; c < *count; ++c) {
      for (std::size_t i = 0; i < kMost; ++i) {
        to[c].maxima[i] = std::max(to[c].maxima[i], from[c].maxima[i]);
        to[c].sums[i] += from[c].sums[i];
      }
    }
  }
  static MPI_Datatype type() {
    static const MPI_Datatype made = [] {
      MPI_Datatype reals = MPI_DATATYPE_NULL;
      check_mpi(MPI_Type_contiguous(2 * int{kMost}, MPI_DOUBLE, &reals), "MPI_Type_contiguous");
      check_mpi(MPI_Type_commit(&reals), "MPI_Type_commit");
      return reals;
    }();
    return made;
  }
  static MPI_Op operation() {
    static const MPI_Op made = [] {
      MPI_Op op = MPI_OP_NULL;
      check_mpi(MPI_Op_create(&combine, 1, &op), "MPI_Op_create");
      return op;
    }();
    return made;
  }
};

double without_nan(double v) { return v != v ? std::numeric_limits<double>::infinity() : v; }

MPI_Comm duplicate(MPI_Comm comm) {
  MPI_Comm copy = MPI_COMM_NULL;
  check_mpi(MPI_Comm_dup(comm, &copy), "MPI_Comm_dup");
  MPI_Comm_set_errhandler(copy, MPI_ERRORS_RETURN);
  return copy;
}

}  // namespace

Communicator::Communicator(MPI_Comm comm) : comm_(duplicate(comm)) {
  MPI_Comm_rank(comm_, &rank_);
  MPI_Comm_size(comm_, &size_);
}

Communicator Communicator::world() { return Communicator(MPI_COMM_WORLD); }
Communicator Communicator::self() { return Communicator(MPI_COMM_SELF); }

Communicator::Communicator(Communicator&& other) noexcept
    : comm_(std::exchange(other.comm_, MPI_COMM_NULL)), rank_(other.rank_), size_(other.size_) {}

Communicator::~Communicator() {
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (comm_ != MPI_COMM_NULL && !finalized) MPI_Comm_free(&comm_);
}

Communicator Communicator::first_ranks(int size) const { return split(rank_ < size ? 0 : rank_); }

Communicator Communicator::split(int color) const {
  MPI_Comm part = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split(comm_, color, rank_, &part), "MPI_Comm_split");
  Communicator result(part);
  MPI_Comm_free(&part);
  return result;
}

void Communicator::barrier() const { check_mpi(MPI_Barrier(comm_), "MPI_Barrier"); }

void Communicator::quiet_barrier() const {
  constexpr auto kNap = std::chrono::microseconds(500);
  MPI_Request request = MPI_REQUEST_NULL;
  check_mpi(MPI_Ibarrier(comm_, &request), "MPI_Ibarrier");
  for (int done = 0; !done;) {
    check_mpi(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Test");
    if (!done) std::this_thread::sleep_for(kNap);
  }
}

double Communicator::max(double v) const { return reduce(comm_, v, MPI_MAX); }
double Communicator::min(double v) const { return reduce(comm_, v, MPI_MIN); }
double Communicator::sum(double v) const { return reduce(comm_, v, MPI_SUM); }
Index Communicator::max(Index v) const { return reduce(comm_, v, MPI_MAX); }
Index Communicator::min(Index v) const { return reduce(comm_, v, MPI_MIN); }
Index Communicator::sum(Index v) const { return reduce(comm_, v, MPI_SUM); }

double Communicator::max_before(double value, double first) const {
  value = without_nan(value);
  double before = first;
  check_mpi(MPI_Exscan(&value, &before, 1, MPI_DOUBLE, MPI_MAX, comm_), "MPI_Exscan");
  return rank_ == 0 ? first : std::max(before, first);
}

void Communicator::max(std::vector<double>& values) const {
  // MPI_MAX may drop a NaN, so NaNs travel as infinity.
  for (double& v : values) v = without_nan(v);
  reduce(comm_, values.data(), static_cast<Index>(values.size()), MPI_DOUBLE, MPI_MAX);
}

void Communicator::max_and_sum(std::vector<double>& maxima, std::vector<double>& sums) const {
  DEEPPCR_ASSERT(std::max(maxima.size(), sums.size()) <= MaximaAndSums::kMost,
                 "{} maxima and {} sums", maxima.size(), sums.size());
  MaximaAndSums values;
  values.maxima.fill(-std::numeric_limits<double>::infinity());
  std::transform(maxima.begin(), maxima.end(), values.maxima.begin(), without_nan);
  std::copy(sums.begin(), sums.end(), values.sums.begin());
  reduce(comm_, &values, 1, MaximaAndSums::type(), MaximaAndSums::operation());
  std::copy_n(values.maxima.begin(), maxima.size(), maxima.begin());
  std::copy_n(values.sums.begin(), sums.size(), sums.begin());
}

void Communicator::min(std::vector<double>& values) const {
  reduce(comm_, values.data(), static_cast<Index>(values.size()), MPI_DOUBLE, MPI_MIN);
}

void Communicator::sum(std::vector<Index>& values) const {
  reduce(comm_, values.data(), static_cast<Index>(values.size()), MPI_INT64_T, MPI_SUM);
}

void Communicator::sum(double* values, Index count) const {
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, values, to_count(count), MPI_DOUBLE, MPI_SUM, comm_),
            "MPI_Allreduce");
}

std::vector<Index> Communicator::gather_all(Index value) const {
  std::vector<Index> all(static_cast<std::size_t>(size_));
  run_aside("MPI_Iallgather", [&](MPI_Request* request) {
    return MPI_Iallgather(&value, 1, MPI_INT64_T, all.data(), 1, MPI_INT64_T, comm_, request);
  });
  return all;
}

std::vector<double> Communicator::gather_all(const std::vector<double>& values) const {
  return gather_all(values, gather_all(static_cast<Index>(values.size())));
}

std::vector<double> Communicator::gather_all(const std::vector<double>& values,
                                             const std::vector<Index>& counts,
                                             const std::function<bool()>& meanwhile) const {
  std::vector<int> sizes(counts.size()), offsets(counts.size());
  Index total = 0;
  for (std::size_t p = 0; p < counts.size(); ++p) {
    sizes[p] = to_count(counts[p]);
    offsets[p] = to_count(total);
    total += counts[p];
  }
  std::vector<double> all(static_cast<std::size_t>(total));
  const auto start = [&](MPI_Request* request) {
    return MPI_Iallgatherv(values.data(), to_count(static_cast<Index>(values.size())), MPI_DOUBLE,
                           all.data(), sizes.data(), offsets.data(), MPI_DOUBLE, comm_, request);
  };
  run_aside("MPI_Iallgatherv", start, meanwhile, size_);
  return all;
}

void Communicator::broadcast(Real* data, Index count, int root) const {
  check_mpi(MPI_Bcast(data, to_count(count), MPI_DOUBLE, root, comm_), "MPI_Bcast");
}

void Communicator::broadcast(Index& value, int root) const {
  check_mpi(MPI_Bcast(&value, 1, MPI_INT64_T, root, comm_), "MPI_Bcast");
}

void Communicator::broadcast(std::string& text, int root) const {
  auto length = static_cast<Index>(text.size());
  broadcast(length, root);
  text.resize(static_cast<std::size_t>(length));
  check_mpi(MPI_Bcast(text.data(), to_count(length), MPI_CHAR, root, comm_), "MPI_Bcast");
}

void Communicator::broadcast(unsigned char* data, Index count, int root) const {
  check_mpi(MPI_Bcast(data, to_count(count), MPI_UNSIGNED_CHAR, root, comm_), "MPI_Bcast");
}

void Communicator::send(const Real* data, Index count, int to) const {
  check_mpi(MPI_Send(data, to_count(count), MPI_DOUBLE, to, 0, comm_), "MPI_Send");
}

void Communicator::receive(Real* data, Index count, int from) const {
  run_aside("MPI_Irecv", [&](MPI_Request* request) {
    return MPI_Irecv(data, to_count(count), MPI_DOUBLE, from, 0, comm_, request);
  });
}

namespace detail {

void throw_together(const Communicator& comm, const Outcome& mine) {
  const Index nobody = comm.size();
  const Index first = comm.min(mine.failed ? Index{comm.rank()} : nobody);
  if (first == nobody) return;
  const int root = static_cast<int>(first);
  auto code = static_cast<Index>(mine.code);
  std::string text = mine.text;
  comm.broadcast(code, root);
  comm.broadcast(text, root);
  throw Error(static_cast<ExitCode>(code), Error::Seen::everywhere, text);
}

}  // namespace detail

}  // namespace deeppcr::parallel
