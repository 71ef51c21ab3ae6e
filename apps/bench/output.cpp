#include "output.hpp"

#include <algorithm>

#include "app/files.hpp"
#include "columns.hpp"
#include "deeppcr/blocks/kernels.hpp"
#include "deeppcr/io/hdf5_file.hpp"
#include "gemm.hpp"
#include "io/hdf5_detail.hpp"

namespace deeppcr::bench {
namespace {

namespace hdf5 = io::hdf5;

template <typename T>
std::vector<T> values_of(const Column& column, const std::vector<Row>& rows) {
  std::vector<T> values;
  for (const Row& row : rows) values.push_back(std::get<T>(column.cell(row)));
  return values;
}

void write_texts(hdf5::File& file, const std::string& name, const std::vector<std::string>& texts) {
  const std::string bytes = hdf5::padded(texts);
  const hdf5::Id type = hdf5::text_type(bytes.size() / std::max<std::size_t>(texts.size(), 1));
  const hsize_t count = texts.size();
  const hdf5::Id space(H5Screate_simple(1, &count, nullptr), H5Sclose, "H5Screate_simple");
  const hdf5::Id dataset(H5Dcreate2(file.id(), name.c_str(), type.get(), space.get(), H5P_DEFAULT,
                                    H5P_DEFAULT, H5P_DEFAULT),
                         H5Dclose, "create " + name);
  hdf5::check(H5Dwrite(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data()),
              "write " + name);
}

void write_column(hdf5::File& file, const Column& column, const std::vector<Row>& rows) {
  const std::string name = std::string("/rows/") + column.name;
  const hdf5::Shape shape{static_cast<Index>(rows.size())};
  const hdf5::Description about{column.long_name, {"row"}, column.units};
  const Cell example = column.cell(Row{});
  if (std::holds_alternative<std::string>(example)) {
    write_texts(file, name, values_of<std::string>(column, rows));
    file.set_all(name, {{"long_name", about.long_name}, {"dimensions", about.dimensions}});
  } else if (std::holds_alternative<Index>(example)) {
    file.write<Index>(name, shape, values_of<Index>(column, rows).data(), about);
  } else {
    file.write<double>(name, shape, values_of<double>(column, rows).data(), about);
  }
}

}  // namespace

void write_hdf5(const cli::Context& context, const std::string& path,
                const std::vector<Row>& rows) {
  io::Provenance about = app::provenance(context);
  for (auto& [name, value] : about) {
    if (name != "library_versions") continue;
    auto& libraries = std::get<std::vector<std::string>>(value);
    libraries.push_back("BLAS: " + blocks::blas_library());
    libraries.push_back("small products: " + gemm_library());
  }
  parallel::agree(context.comm, [&] {
    if (!context.comm.is_root()) return;  // the rows are its own
    io::write_file(parallel::Communicator::self(), path, file_format::kBench, about,
                   [&](hdf5::File& file) {
                     file.create_group("/rows");
                     for (const Column& column : columns()) write_column(file, column, rows);
                   });
  });
}

}  // namespace deeppcr::bench
