#pragma once

#include <petscvec.h>

#include <exception>
#include <utility>

#include "deeppcr/petsc/check.hpp"

namespace deeppcr::petsc {

/// Keeps the exception in flight, to be thrown again once PETSc's C frames are left.
void capture_current_exception() noexcept;

/// Throws the kept exception, if there is one.
void rethrow_captured();

/// Runs the body of a PETSc callback: an exception must not cross C frames, so it is kept and PETSc
/// gets an error code. The DEEPPCR_PETSC check around the PETSc call that led here throws it again
/// with its type.
template <typename Body>
PetscErrorCode guard(Body&& body) noexcept {
  try {
    std::forward<Body>(body)();
    return 0;
  } catch (...) {
    capture_current_exception();
    return PETSC_ERR_LIB;
  }
}

/// body(const PetscScalar* in, PetscScalar* out) on this rank's entries of two vectors.
template <typename Body>
void with_arrays(Vec in, Vec out, Body&& body) {
  const PetscScalar* from = nullptr;
  PetscScalar* to = nullptr;
  DEEPPCR_PETSC(VecGetArrayRead(in, &from));
  DEEPPCR_PETSC(VecGetArrayWrite(out, &to));
  body(from, to);
  DEEPPCR_PETSC(VecRestoreArrayWrite(out, &to));
  DEEPPCR_PETSC(VecRestoreArrayRead(in, &from));
}

}  // namespace deeppcr::petsc
