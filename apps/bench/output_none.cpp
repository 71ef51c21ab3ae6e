#include "app/storage.hpp"
#include "deeppcr/core/error.hpp"
#include "output.hpp"

namespace deeppcr::bench {

void write_hdf5(const app::Context&, const std::string& path, const std::vector<Row>&) {
  throw input_error("--output {}: {}; use --csv", path, app::storage::unavailable());
}

}  // namespace deeppcr::bench
