#pragma once

#include <mpi.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "deeppcr/parallel/communicator.hpp"
#include "fuzz_target.hpp"

namespace deeppcr::fuzz {

/// MPI, started once.
inline const parallel::Communicator& self() {
  static const bool started = MPI_Init(nullptr, nullptr) == MPI_SUCCESS;
  static const parallel::Communicator comm(MPI_COMM_SELF);
  DEEPPCR_FUZZ_CHECK(started);
  return comm;
}

/// The one file of a target, for what is opened by name: in memory where there is such a folder,
/// and gone at the end.
inline const std::string& scratch_path(const char* extension) {
  static const std::string path = [&] {
    const bool in_memory = ::access("/dev/shm", W_OK) == 0;
    return std::string(in_memory ? "/dev/shm" : "/tmp") + "/deeppcr-fuzz-" +
           std::to_string(::getpid()) + extension;
  }();
  static const int at_end = std::atexit([] { ::unlink(scratch_path("").c_str()); });
  (void)at_end;
  return path;
}

}  // namespace deeppcr::fuzz
