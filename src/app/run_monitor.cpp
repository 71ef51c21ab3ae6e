#include "app/run_monitor.hpp"

#include <cstdlib>

#include "deeppcr/core/error.hpp"

namespace deeppcr::app {
namespace {

void throw_for_tests(const parallel::Communicator& comm, int iteration) {
  const char* rank = std::getenv("DEEPPCR_TEST_THROW_ON_RANK");
  if (rank != nullptr && iteration == 1 && std::atoi(rank) == comm.rank())
    throw internal_error("asked to fail by DEEPPCR_TEST_THROW_ON_RANK");
}

}  // namespace

RunMonitor::RunMonitor(const parallel::Communicator& comm, Interrupts& interrupts,
                       Progress& progress)
    : comm_(comm), interrupts_(interrupts), progress_(progress) {}

storage::Wish RunMonitor::wish() const {
  if (requests_.stop) return storage::Wish::checkpoint_and_stop;
  return requests_.save ? storage::Wish::checkpoint : storage::Wish::nothing;
}

RunMonitor::Action RunMonitor::iteration(const nonlinear::IterationRecord& record,
                                         const Real* local_states) {
  throw_for_tests(comm_, record.iteration);
  progress_.show(record);
  requests_ = interrupts_.poll();
  if (recorder_ != nullptr) recorder_->monitor().iteration(record, local_states);
  last_ = record;
  return requests_.stop ? Action::stop : Action::go_on;
}

RunMonitor::Action RunMonitor::iterations_end(const Real* local_states) {
  interrupts_.release();
  requests_ = interrupts_.poll();
  const bool saves = requests_.stop || requests_.save;
  if (saves && recorder_ != nullptr) recorder_->checkpoint(last_, local_states);
  return requests_.stop ? Action::stop : Action::go_on;
}

}  // namespace deeppcr::app
