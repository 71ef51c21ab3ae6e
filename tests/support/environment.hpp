#pragma once

#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::test {

/// All ranks of the test run. MPI and PETSc run from before the first test until after the last.
const parallel::Communicator& world();

}  // namespace deeppcr::test
