#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::parallel {

/// Starts MPI and PETSc, ends them in the destructor; flushes denormal numbers to zero (see
/// flush_denormals()). One a process.
class Runtime {
 public:
  /// petsc_options: words for PETSc's option data base, such as {"-snes_monitor"}.
  Runtime(int argc, char** argv, const std::vector<std::string>& petsc_options = {});
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  const Communicator& world() const { return *world_; }

  /// Adds words to PETSc's option data base. @throws Error for a word that is no option name or
  /// value
  static void add_petsc_options(const std::vector<std::string>& words);
  /// Options set by the user that nothing has asked for, as "-name value".
  static std::vector<std::string> unused_petsc_options();

  /// Runs the program's body and turns errors into an exit code.
  ///
  /// An error seen everywhere is printed once and ends in order. An error of one rank is printed
  /// with its rank and aborts all ranks at once: the others may be waiting for a message that will
  /// not come.
  int run(const std::function<int(const Communicator&)>& body) noexcept;

 private:
  std::unique_ptr<Communicator> world_;
  bool started_mpi_ = false;
};

/// "Open MPI v4.1.4", "3.18.5", 32.
std::string mpi_version();
std::string petsc_version();
int petsc_index_bits();
/// Host names of all ranks, on every rank. Collective.
std::vector<std::string> host_names(const Communicator& comm);

/// Memory that this computer can still give, in bytes; infinity where it does not say.
double available_bytes();
/// Refuses a run whose ranks on one computer need more than it has; `cause` begins the sentence.
/// Collective. @throws Error on all ranks
void check_memory(const Communicator& comm, double bytes_of_this_rank,
                  const std::string& cause = "");

}  // namespace deeppcr::parallel
