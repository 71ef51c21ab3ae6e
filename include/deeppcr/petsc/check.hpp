#pragma once

#include <petscsys.h>

#include "deeppcr/core/types.hpp"

namespace deeppcr::petsc {

/// Throws what a callback captured, or else an Error with PETSc's text for the code.
[[noreturn]] void fail(int code, const char* call);

/// Makes PETSc keep the text of an error for fail() in place of printing a page to stderr. Called
/// once, by the Runtime.
void install_error_handler();

/// Tells PETSc that the contents of an object were changed behind its back.
void mark_changed(PetscObject object);

/// Largest number of elements that a Vec of this PETSc build can have (2^31 - 1 with 32-bit
/// indices).
Index max_global_size();

}  // namespace deeppcr::petsc

/// Calls PETSc and turns an error code into an exception.
#define DEEPPCR_PETSC(call)                                                         \
  do {                                                                              \
    const int deeppcr_petsc_code = static_cast<int>(call);                          \
    if (deeppcr_petsc_code != 0) ::deeppcr::petsc::fail(deeppcr_petsc_code, #call); \
  } while (false)
