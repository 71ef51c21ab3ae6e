#include "deeppcr/petsc/check.hpp"

#include <petsc/private/petscimpl.h>

#include <string>

#include "deeppcr/core/error.hpp"

namespace deeppcr::petsc {

namespace {

std::string last_error;
std::exception_ptr captured;

PetscErrorCode keep_error(MPI_Comm, int, const char* function, const char*, PetscErrorCode code,
                          PetscErrorType type, const char* message, void*) {
  if (type == PETSC_ERROR_INITIAL)
    last_error = fmt::format("{}: {}", function ? function : "?", message ? message : "?");
  return code;
}

}  // namespace

void install_error_handler() { PetscPushErrorHandler(keep_error, nullptr); }

void fail(int code, const char* call) {
  if (captured) std::rethrow_exception(std::exchange(captured, nullptr));
  const char* text = nullptr;
  PetscErrorMessage(static_cast<PetscErrorCode>(code), &text, nullptr);
  throw internal_error("PETSc error {} in {}: {} ({})", code, call, text ? text : "unknown",
                       last_error);
}

void capture_current_exception() noexcept {
  if (!captured) captured = std::current_exception();
}

void mark_changed(PetscObject object) { DEEPPCR_PETSC(PetscObjectStateIncrease(object)); }

Index changes_of(PetscObject object) {
  PetscObjectState count = 0;
  DEEPPCR_PETSC(PetscObjectStateGet(object, &count));
  return count;
}

Index max_global_size() { return static_cast<Index>(PETSC_MAX_INT); }

}  // namespace deeppcr::petsc
