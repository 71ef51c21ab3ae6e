#include "deeppcr/nonlinear/report.hpp"

namespace deeppcr::nonlinear {

const char* to_string(Status status) {
  switch (status) {
    case Status::converged:
      return "converged";
    case Status::fell_back:
      return "fell_back";
    case Status::failed:
      return "failed";
    case Status::interrupted:
      return "interrupted";
  }
  return "unknown";
}

}  // namespace deeppcr::nonlinear
