#pragma once

#include <string>
#include <variant>
#include <vector>

#include "deeppcr/app/bench_row.hpp"

namespace deeppcr::app::bench {

/// What a row holds in one column.
using Cell = std::variant<std::string, double, Index>;

/// One column of the results, with the same name in the table, CSV and HDF5.
struct Column {
  const char* name;
  const char* long_name;
  const char* units;  ///< "" for none
  Cell (*cell)(const Row&);
};

/// The only table that names the columns.
const std::vector<Column>& columns();

}  // namespace deeppcr::app::bench
