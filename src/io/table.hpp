#pragma once

#include <string>
#include <variant>
#include <vector>

#include "deeppcr/io/provenance.hpp"

namespace deeppcr::io {

/// One column of a table: a dataset of texts, reals or whole numbers.
struct Column {
  std::string name;
  std::string long_name;
  std::string units;  ///< empty: none
  std::variant<std::vector<std::string>, std::vector<double>, std::vector<Index>> values;
};

extern const Format kBenchFormat;

/// Writes columns of equal length as datasets of /rows, with provenance. One rank's file: only the
/// caller writes. Replaces what has that name, when it is whole. @throws Error that names the path
/// and the reason
void write_table(const std::string& path, const Format& format, const Provenance& provenance,
                 const std::vector<Column>& columns);

}  // namespace deeppcr::io
