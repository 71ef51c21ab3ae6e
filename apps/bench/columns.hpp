#pragma once

#include <string>
#include <variant>
#include <vector>

#include "row.hpp"

namespace deeppcr::bench {

/// What a row holds in one column.
using Cell = std::variant<std::string, double, Index>;

/// As text; empty for what is unknown or does not apply.
std::string cell_text(const Cell& cell, const char* number_format);

/// One column of the results, with the same name in CSV and HDF5.
struct Column {
  const char* name;
  const char* long_name;
  const char* units;  ///< "" for none
  Cell (*cell)(const Row&);
};

/// The only table that names the columns; table.cpp says which of them people see.
const std::vector<Column>& columns();

}  // namespace deeppcr::bench
