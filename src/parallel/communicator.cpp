#include "deeppcr/parallel/communicator.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <limits>
#include <thread>
#include <utility>

#include "parallel/mpi_count.hpp"

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

/// Ranks between which values go from each to each: with caches that are full of other things, a
/// collective call of the library that does not block takes 10 to 20 us, messages 5 (measured).
constexpr int kFewRanks = 4;

/// What is waited for together.
class Requests {
 public:
  MPI_Request* next() { return &requests_.at(count_++); }
  bool done() {
    int done = 0;
    check_mpi(MPI_Testall(static_cast<int>(count_), requests_.data(), &done, MPI_STATUSES_IGNORE),
              "MPI_Testall");
    return done != 0;
  }
  /// After some looks: a collective call goes on by one round at each.
  bool done(int looks) {
    for (; looks > 0; --looks)
      if (done()) return true;
    return false;
  }

 private:
  std::array<MPI_Request, 2 * (kFewRanks - 1)> requests_{};
  std::size_t count_ = 0;
};

/// Waits without taking the core's resources from a rank that works on its other hardware thread:
/// looks ever more rarely (a pause is some 40 ns), and after a while sleeps between two looks for a
/// very small share of the time waited so far, by half of which it is late on average.
void wait_aside(Requests& requests) {
  using std::chrono::microseconds;
  constexpr int kMostPauses = 32;
  constexpr microseconds kAwake{30000}, kLongestSleep{10000};
  constexpr int kWaitedForOneOfSleep = 300;
  const auto start = std::chrono::steady_clock::now();
  int pauses = 1;
  while (!requests.done()) {
    const auto waited =
        std::chrono::duration_cast<microseconds>(std::chrono::steady_clock::now() - start);
    if (waited >= kAwake) {
      std::this_thread::sleep_for(std::min(waited / kWaitedForOneOfSleep, kLongestSleep));
    } else {
      for (int i = 0; i < pauses; ++i) relax();
      pauses = std::min(pauses + 1, kMostPauses);
    }
  }
}

/// start(requests) and the wait for them; `call` names what it starts. As long as meanwhile()
/// returns true it is called instead of waiting, with `looks` looks in between. What it throws is
/// thrown once the memory is no longer in use.
template <typename Start, typename Meanwhile>
void run_aside(const char* call, Start&& start, Meanwhile&& meanwhile, int looks) {
  Requests requests;
  check_mpi(start(requests), call);
  std::exception_ptr failure;
  try {
    while (!requests.done(looks) && meanwhile()) {
    }
  } catch (...) {
    failure = std::current_exception();
  }
  wait_aside(requests);
  if (failure) std::rethrow_exception(failure);
}
template <typename Start>
void run_aside(const char* call, Start&& start) {
  run_aside(
      call, start, [] { return false; }, 1);
}

/// A few numbers of all ranks, in place. Some ranks may come much later than others.
void reduce(MPI_Comm comm, void* values, Index count, MPI_Datatype type, MPI_Op op) {
  run_aside("MPI_Iallreduce", [&](Requests& requests) {
    return MPI_Iallreduce(MPI_IN_PLACE, values, to_count(count), type, op, comm, requests.next());
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

/// How many values each rank has, and where they go.
struct Places {
  const std::vector<int>&sizes, &offsets;
};

// rank 0 [a]  --a--> 1, 2    rank 1 [b]  --b--> 0, 2    rank 2 [c]  --c--> 0, 1
// all    [a b c]             all    [a b c]             all    [a b c]
int send_to_all(MPI_Comm comm, const std::vector<double>& mine, const Places& places, double* all,
                Requests& requests) {
  constexpr int kTag = 2;
  int rank = 0;
  MPI_Comm_rank(comm, &rank);
  std::copy(mine.begin(), mine.end(), all + places.offsets[static_cast<std::size_t>(rank)]);
  for (std::size_t p = 0; p < places.sizes.size(); ++p) {
    const int other = static_cast<int>(p);
    if (other == rank) continue;
    int code = MPI_Irecv(all + places.offsets[p], places.sizes[p], MPI_DOUBLE, other, kTag, comm,
                         requests.next());
    if (code != MPI_SUCCESS) return code;
    code = MPI_Isend(mine.data(), static_cast<int>(mine.size()), MPI_DOUBLE, other, kTag, comm,
                     requests.next());
    if (code != MPI_SUCCESS) return code;
  }
  return MPI_SUCCESS;
}

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
  std::vector<double> mine(maxima);
  mine.insert(mine.end(), sums.begin(), sums.end());
  const std::vector<Index> counts(static_cast<std::size_t>(size_), static_cast<Index>(mine.size()));
  const std::vector<double> all = gather_all(mine, counts);
  std::fill(maxima.begin(), maxima.end(), -std::numeric_limits<double>::infinity());
  std::fill(sums.begin(), sums.end(), 0.0);
  for (auto from = all.begin(); from != all.end();) {
    for (double& most : maxima) most = std::max(most, without_nan(*from++));
    for (double& sum : sums) sum += *from++;
  }
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
  run_aside("MPI_Iallgather", [&](Requests& requests) {
    return MPI_Iallgather(&value, 1, MPI_INT64_T, all.data(), 1, MPI_INT64_T, comm_,
                          requests.next());
  });
  return all;
}

std::vector<double> Communicator::gather_all(const std::vector<double>& values) const {
  return gather_all(values, gather_all(static_cast<Index>(values.size())));
}

std::vector<double> Communicator::gather_all(const std::vector<double>& values,
                                             const std::vector<Index>& counts,
                                             const std::function<bool()>& meanwhile) const {
  DEEPPCR_ASSERT(static_cast<int>(counts.size()) == size_ &&
                     static_cast<Index>(values.size()) == counts[static_cast<std::size_t>(rank_)],
                 "{} values, {} counts", values.size(), counts.size());
  std::vector<int> sizes(counts.size()), offsets(counts.size());
  Index total = 0;
  for (std::size_t p = 0; p < counts.size(); ++p) {
    sizes[p] = to_count(counts[p]);
    offsets[p] = to_count(total);
    total += counts[p];
  }
  std::vector<double> all(static_cast<std::size_t>(total));
  const auto by_the_library = [&](Requests& requests) {
    return MPI_Iallgatherv(values.data(), to_count(static_cast<Index>(values.size())), MPI_DOUBLE,
                           all.data(), sizes.data(), offsets.data(), MPI_DOUBLE, comm_,
                           requests.next());
  };
  if (size_ <= kFewRanks) {
    const auto from_each_to_each = [&](Requests& requests) {
      return send_to_all(comm_, values, {sizes, offsets}, all.data(), requests);
    };
    run_aside("MPI_Irecv or MPI_Isend", from_each_to_each, meanwhile, 1);
  } else {
    run_aside("MPI_Iallgatherv", by_the_library, meanwhile, size_);
  }
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
  run_aside("MPI_Irecv", [&](Requests& requests) {
    return MPI_Irecv(data, to_count(count), MPI_DOUBLE, from, 0, comm_, requests.next());
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
