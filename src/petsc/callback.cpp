#include "deeppcr/petsc/callback.hpp"

namespace deeppcr::petsc {

namespace {
std::exception_ptr captured;
}

void capture_current_exception() noexcept {
  if (!captured) captured = std::current_exception();
}

void rethrow_captured() {
  if (!captured) return;
  std::exception_ptr pending;
  std::swap(pending, captured);
  std::rethrow_exception(pending);
}

}  // namespace deeppcr::petsc
