#pragma once

#include <mpi.h>

namespace deeppcr::parallel {

/// Waits for a request without taking the core's resources from a rank that works on its other
/// hardware thread.
void wait_aside(MPI_Request request);

}  // namespace deeppcr::parallel
