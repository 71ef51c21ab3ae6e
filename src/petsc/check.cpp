#include "deeppcr/petsc/check.hpp"

#include <petsc/private/petscimpl.h>

#include <string>

#include "deeppcr/core/error.hpp"
#include "deeppcr/petsc/callback.hpp"

namespace deeppcr::petsc {

namespace {

std::string last_error;

PetscErrorCode keep_error(MPI_Comm, int, const char* function, const char*, PetscErrorCode code,
                          PetscErrorType type, const char* message, void*) {
  if (type == PETSC_ERROR_INITIAL)
    last_error = fmt::format("{}: {}", function ? function : "?", message ? message : "?");
  return code;
}

}  // namespace

void install_error_handler() { PetscPushErrorHandler(keep_error, nullptr); }

void fail(int code, const char* call) {
  rethrow_captured();
  const char* text = nullptr;
  PetscErrorMessage(static_cast<PetscErrorCode>(code), &text, nullptr);
  throw internal_error("PETSc error {} in {}: {} ({})", code, call, text ? text : "unknown",
                       last_error);
}

void mark_changed(PetscObject object) { DEEPPCR_PETSC(PetscObjectStateIncrease(object)); }

Index max_global_size() { return static_cast<Index>(PETSC_MAX_INT); }

}  // namespace deeppcr::petsc
