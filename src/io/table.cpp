#include "io/table.hpp"

#include <algorithm>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/files.hpp"
#include "deeppcr/io/hdf5_file.hpp"
#include "io/hdf5_detail.hpp"
#include "io/replace_file.hpp"

namespace deeppcr::io {

const Format kBenchFormat{file_format::kBench, 1};

namespace {

Index length(const Column& column) {
  return std::visit([](const auto& values) { return static_cast<Index>(values.size()); },
                    column.values);
}

/// Texts as UTF-8 strings of variable length.
void write_texts(hdf5::File& file, const std::string& name, const std::vector<std::string>& texts) {
  hdf5::Id type(H5Tcopy(H5T_C_S1), H5Tclose, "H5Tcopy");
  hdf5::check(H5Tset_size(type.get(), H5T_VARIABLE), "use texts of variable length");
  hdf5::check(H5Tset_cset(type.get(), H5T_CSET_UTF8), "use UTF-8 texts");
  const hsize_t count = texts.size();
  const hdf5::Id space(H5Screate_simple(1, &count, nullptr), H5Sclose, "H5Screate_simple");
  const hdf5::Id dataset(H5Dcreate2(file.id(), name.c_str(), type.get(), space.get(), H5P_DEFAULT,
                                    H5P_DEFAULT, H5P_DEFAULT),
                         H5Dclose, "H5Dcreate2 " + name);
  std::vector<const char*> pointers;
  for (const std::string& text : texts) pointers.push_back(text.c_str());
  hdf5::check(H5Dwrite(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, pointers.data()),
              "write " + name);
}

void write_column(hdf5::File& file, const Column& column) {
  const std::string name = "/rows/" + column.name;
  if (const auto* texts = std::get_if<std::vector<std::string>>(&column.values)) {
    write_texts(file, name, *texts);
    file.set(name, "long_name", column.long_name);
    file.set(name, "dimensions", std::vector<std::string>{"row"});
    return;
  }
  const hdf5::Description about{column.long_name, {"row"}, column.units};
  if (const auto* reals = std::get_if<std::vector<double>>(&column.values))
    file.write(name, {length(column)}, reals->data(), about);
  if (const auto* counts = std::get_if<std::vector<Index>>(&column.values))
    file.write(name, {length(column)}, counts->data(), about);
}

}  // namespace

void write_table(const std::string& path, const Format& format, const Provenance& provenance,
                 const std::vector<Column>& columns) {
  const bool equal = std::all_of(columns.begin(), columns.end(), [&](const Column& column) {
    return length(column) == length(columns.front());
  });
  DEEPPCR_ASSERT(equal, "the columns for '{}' differ in length", path);
  StartedFile started(link_target(path));
  hdf5::File file = started.create();
  write_provenance(file, format, provenance);
  file.create_group("/rows");
  for (const Column& column : columns) write_column(file, column);
  file.close();
  started.place();
}

}  // namespace deeppcr::io
