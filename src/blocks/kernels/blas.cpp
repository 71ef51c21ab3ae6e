#include <fmt/format.h>

#include "deeppcr/blocks/kernels.hpp"

extern "C" {
// OpenBLAS tells its name; other BLAS libraries do not have these symbols.
char* openblas_get_config() __attribute__((weak));
char* openblas_get_corename() __attribute__((weak));
}

namespace deeppcr::blocks {

std::string blas_library() {
  if (openblas_get_config == nullptr) return "unknown BLAS";
  const char* core = openblas_get_corename != nullptr ? openblas_get_corename() : "unknown core";
  return fmt::format("{} on {}", openblas_get_config(), core);
}

}  // namespace deeppcr::blocks
