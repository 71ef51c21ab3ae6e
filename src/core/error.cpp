#include "deeppcr/core/error.hpp"

namespace deeppcr::detail {

void assertion_failed(const char* condition, const char* file, int line,
                      const std::string& values) {
  throw Error(ExitCode::internal, Error::Seen::this_rank,
              fmt::format("internal error, please report it: '{}' is false at {}:{} ({})",
                          condition, file, line, values));
}

}  // namespace deeppcr::detail
