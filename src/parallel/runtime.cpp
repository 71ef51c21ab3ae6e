#include "deeppcr/parallel/runtime.hpp"

#include <petscsnes.h>

#include <cstdio>

#include "deeppcr/core/processor.hpp"
#include "deeppcr/core/profile.hpp"
#include "deeppcr/petsc/check.hpp"

namespace deeppcr::parallel {

Runtime::Runtime(int argc, char** argv, const std::vector<std::string>& petsc_options) {
  int started = 0;
  MPI_Initialized(&started);
  if (!started) {
    check_mpi(MPI_Init(&argc, &argv), "MPI_Init");
    started_mpi_ = true;
  }
  use_clock(MPI_Wtime);
  // PETSc must neither read our command line nor catch our signals. It looks at some options, such
  // as -log_view, only here.
  std::vector<std::string> words{"deeppcr"};
  words.insert(words.end(), petsc_options.begin(), petsc_options.end());
  words.emplace_back("-no_signal_handler");
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  int count = static_cast<int>(pointers.size());
  pointers.push_back(nullptr);
  char** arguments = pointers.data();
  PetscInitialize(&count, &arguments, nullptr, nullptr);
  petsc::install_error_handler();
  PetscOptionsClearValue(nullptr, "-no_signal_handler");
  world_ = std::make_unique<Communicator>(Communicator::world());
  flush_denormals();
}

Runtime::~Runtime() {
  world_.reset();
  // Finalising waits for all ranks; while an exception unwinds they may never come.
  if (std::uncaught_exceptions() > 0) return;
  PetscFinalize();
  if (started_mpi_) MPI_Finalize();
}

void Runtime::add_petsc_options(const std::vector<std::string>& words) {
  if (words.empty()) return;
  if (words.front().empty() || words.front()[0] != '-') {
    throw input_error(
        "'{}' behind '--' is no PETSc option; those begin with '-', such as "
        "-snes_monitor",
        words.front());
  }
  std::vector<char*> pointers;
  std::vector<std::string> copy = words;
  for (std::string& word : copy) pointers.push_back(word.data());
  DEEPPCR_PETSC(
      PetscOptionsInsertArgs(nullptr, static_cast<int>(pointers.size()), pointers.data()));
}

std::vector<std::string> Runtime::unused_petsc_options() {
  PetscInt count = 0;
  char **names = nullptr, **values = nullptr;
  DEEPPCR_PETSC(PetscOptionsLeftGet(nullptr, &count, &names, &values));
  std::vector<std::string> unused;
  for (PetscInt i = 0; i < count; ++i) {
    unused.push_back(
        fmt::format("-{}{}{}", names[i], values[i] ? " " : "", values[i] ? values[i] : ""));
  }
  DEEPPCR_PETSC(PetscOptionsLeftRestore(nullptr, &count, &names, &values));
  return unused;
}

int Runtime::run(const std::function<int(const Communicator&)>& body) noexcept {
  const int rank = world_->rank();
  int code = 0;
  bool together = false;
  try {
    return body(*world_);
  } catch (const Error& error) {
    together = error.seen() == Error::Seen::everywhere;
    code = static_cast<int>(error.code());
    if (!together) {
      std::fprintf(stderr, "deeppcr: rank %d: %s\n", rank, error.what());
    } else if (rank == 0) {
      std::fprintf(stderr, "deeppcr: %s\n", error.what());
    }
  } catch (const std::exception& error) {
    code = static_cast<int>(ExitCode::internal);
    std::fprintf(stderr, "deeppcr: rank %d: %s\n", rank, error.what());
  }
  std::fflush(stderr);
  // A library that has failed may wait for ever in its own clean-up (HDF5 after a full disk), so
  // the run ends without it, once rank 0 has spoken.
  const bool broken = code == static_cast<int>(ExitCode::internal);
  if (together && broken) MPI_Barrier(world_->get());
  if (!together || broken) MPI_Abort(world_->get(), code);
  return code;
}

std::string mpi_version() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string full(text, static_cast<std::size_t>(length));
  return full.substr(0, full.find_first_of(",\n"));
}

std::string petsc_version() {
  return fmt::format("{}.{}.{}", PETSC_VERSION_MAJOR, PETSC_VERSION_MINOR, PETSC_VERSION_SUBMINOR);
}

int petsc_index_bits() { return static_cast<int>(sizeof(PetscInt)) * 8; }

std::vector<std::string> host_names(const Communicator& comm) {
  char mine[MPI_MAX_PROCESSOR_NAME] = {};
  int length = 0;
  MPI_Get_processor_name(mine, &length);
  std::vector<char> all(static_cast<std::size_t>(comm.size()) * MPI_MAX_PROCESSOR_NAME);
  check_mpi(MPI_Allgather(mine, MPI_MAX_PROCESSOR_NAME, MPI_CHAR, all.data(),
                          MPI_MAX_PROCESSOR_NAME, MPI_CHAR, comm.get()),
            "MPI_Allgather");
  std::vector<std::string> names;
  for (int p = 0; p < comm.size(); ++p)
    names.emplace_back(all.data() + static_cast<std::size_t>(p) * MPI_MAX_PROCESSOR_NAME);
  return names;
}

}  // namespace deeppcr::parallel
