// GoogleTest's main for MPI: the runtime once, output from rank 0, one verdict for all ranks.
#include <gtest/gtest.h>
#include <mpi.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "deeppcr/parallel/runtime.hpp"
#include "support/environment.hpp"

namespace deeppcr::test {
namespace {

/// How long a rank that has failed waits for the others to finish the test before it ends them all.
constexpr std::chrono::seconds kPatience{10};

const parallel::Communicator* g_world = nullptr;

std::string failures_of(const testing::TestResult& result) {
  std::string text;
  for (int i = 0; i < result.total_part_count(); ++i) {
    const testing::TestPartResult& part = result.GetTestPartResult(i);
    if (!part.failed()) continue;
    const char* file = part.file_name() != nullptr ? part.file_name() : "unknown file";
    text += std::string(file) + ":" + std::to_string(part.line_number()) + ": " + part.message();
    text += "\n";
  }
  return text;
}

/// After each test all ranks come together and share the verdict: a failure on one is a failure on
/// all.
///
///     BEFORE   rank 0 passed   rank 1 failed   rank 2 passed
///     AFTER    rank 0 failed   rank 1 failed   rank 2 failed    rank 0 prints rank 1's messages
class OneVerdict : public testing::EmptyTestEventListener {
 public:
  explicit OneVerdict(const parallel::Communicator& comm) : comm_(comm.get()) {}

  void OnTestEnd(const testing::TestInfo& info) override {
    const bool failed = info.result()->Failed();
    const std::string mine = failed ? failures_of(*info.result()) : "";
    meet(failed, info, mine);
    const std::vector<Index> verdicts = comm_.gather_all(failed ? 1 : 0);
    for (int rank = 0; rank < comm_.size(); ++rank) {
      if (verdicts[static_cast<std::size_t>(rank)] == 0 || comm_.size() == 1) continue;
      std::string text = mine;
      comm_.broadcast(text, rank);
      // What this rank has met itself is recorded already.
      if (comm_.rank() != rank && text != mine)
        ADD_FAILURE() << "on rank " << rank << ":\n" << text;
    }
  }

 private:
  /// A barrier. A rank that has left the test early may have left others waiting in it for ever, so
  /// its patience ends.
  void meet(bool failed, const testing::TestInfo& info, const std::string& text) const {
    MPI_Request request;
    MPI_Ibarrier(comm_.get(), &request);
    const auto start = std::chrono::steady_clock::now();
    for (int done = 0; done == 0;) {
      MPI_Test(&request, &done, MPI_STATUS_IGNORE);
      if (done != 0) return;
      const auto waited = std::chrono::steady_clock::now() - start;
      if (failed && waited > kPatience) {
        std::fprintf(stderr,
                     "[  FAILED  ] %s.%s on rank %d, and the other ranks do not return:\n%s",
                     info.test_suite_name(), info.name(), comm_.rank(), text.c_str());
        std::fflush(stderr);
        MPI_Abort(comm_.get(), 1);
      }
      if (waited > std::chrono::milliseconds(1)) {
        std::this_thread::sleep_for(std::chrono::microseconds(200));
      }
    }
  }

  parallel::Communicator comm_;
};

int run_all_tests(const parallel::Communicator& comm) {
  g_world = &comm;
  testing::TestEventListeners& listeners = testing::UnitTest::GetInstance()->listeners();
  if (!comm.is_root()) {
    delete listeners.Release(listeners.default_result_printer());
    delete listeners.Release(listeners.default_xml_generator());
  }
  // Events at the end of a test reach listeners last to first: the verdict is settled before rank 0
  // prints it.
  auto* verdict = new OneVerdict(comm);
  listeners.Append(verdict);
  const bool failed = comm.any(RUN_ALL_TESTS() != 0);
  delete listeners.Release(verdict);  // it owns a communicator, which must go before MPI ends
  return failed ? 1 : 0;
}

}  // namespace

const parallel::Communicator& world() { return *g_world; }

}  // namespace deeppcr::test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  deeppcr::parallel::Runtime runtime(argc, argv);
  return runtime.run(deeppcr::test::run_all_tests);
}
