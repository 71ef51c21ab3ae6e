#include "deeppcr/app/storage.hpp"
#include "deeppcr/core/error.hpp"
#include "output.hpp"

namespace deeppcr::app::bench {

void write_hdf5(const Context&, const std::string& path, const std::vector<Row>&) {
  throw input_error("--output {}: {}; use --csv", path, storage::unavailable());
}

}  // namespace deeppcr::app::bench
