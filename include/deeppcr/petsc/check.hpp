#pragma once

#include <petscvec.h>

#include <exception>
#include <utility>

#include "deeppcr/core/types.hpp"

/// Calls PETSc and turns an error code into an exception.
#define DEEPPCR_PETSC(call)                                                         \
  do {                                                                              \
    const int deeppcr_petsc_code = static_cast<int>(call);                          \
    if (deeppcr_petsc_code != 0) ::deeppcr::petsc::fail(deeppcr_petsc_code, #call); \
  } while (false)

namespace deeppcr::petsc {

/// Throws what a callback captured, or else an Error with PETSc's text for the code.
[[noreturn]] void fail(int code, const char* call);

/// Makes PETSc keep the text of an error for fail() in place of printing a page to stderr. Called
/// once, by the Runtime.
void install_error_handler();

/// Tells PETSc that the contents of an object were changed behind its back.
void mark_changed(PetscObject object);
/// How many times it was changed, by PETSc's count: on all ranks alike.
Index changes_of(PetscObject object);

/// Largest number of elements that a Vec of this PETSc build can have (2^31 - 1 with 32-bit
/// indices).
Index max_global_size();

/// Keeps the exception in flight, to be thrown again once PETSc's C frames are left.
void capture_current_exception() noexcept;

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
