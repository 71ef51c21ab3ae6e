#include "output.hpp"

#include "app/files.hpp"
#include "columns.hpp"
#include "deeppcr/blocks/gemm.hpp"
#include "io/table.hpp"

namespace deeppcr::bench {
namespace {

template <typename T>
std::vector<T> values_of(const Column& column, const std::vector<Row>& rows) {
  std::vector<T> values;
  for (const Row& row : rows) values.push_back(std::get<T>(column.cell(row)));
  return values;
}

io::Column to_file(const Column& column, const std::vector<Row>& rows) {
  io::Column stored{column.name, column.long_name, column.units, {}};
  const Cell example = column.cell(Row{});
  if (std::holds_alternative<std::string>(example)) {
    stored.values = values_of<std::string>(column, rows);
  } else if (std::holds_alternative<Index>(example)) {
    stored.values = values_of<Index>(column, rows);
  } else {
    stored.values = values_of<double>(column, rows);
  }
  return stored;
}

}  // namespace

void write_hdf5(const app::Context& context, const std::string& path,
                const std::vector<Row>& rows) {
  io::Provenance about = app::provenance(context);
  about.library_versions.push_back("BLAS: " + blocks::blas_library());
  about.library_versions.push_back("small products: " + blocks::gemm_library());
  parallel::agree(context.comm, [&] {
    if (!context.comm.is_root()) return;
    std::vector<io::Column> stored;
    for (const Column& column : columns()) stored.push_back(to_file(column, rows));
    io::write_table(path, io::kBenchFormat, about, stored);
  });
}

}  // namespace deeppcr::bench
