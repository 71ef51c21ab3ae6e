#include "io/live_file.hpp"

#include <algorithm>
#include <utility>

namespace deeppcr::io {

namespace {

/// Which rank holds which steps: /layout/first_step, the first step of each rank (of a layout that
/// is not contiguous: of each range in the chain's order), then the number of steps; the latter
/// layouts have /layout/rank beside it.
void write_layout(hdf5::File& file, const parallel::BlockLayout& layout) {
  std::vector<Index> first_steps, ranks;
  if (layout.is_contiguous()) {
    first_steps = layout.first_steps();
  } else {
    for (const parallel::OwnedRange& part : layout.ranges()) {
      first_steps.push_back(part.steps.first);
      ranks.push_back(layout.is_replicated() ? -1 : part.owner);
    }
    first_steps.push_back(layout.num_steps());
    file.write<Index>("/layout/rank", {static_cast<Index>(ranks.size())}, ranks.data(),
                      {"rank that holds each range, -1 for all", {"range"}, ""});
  }
  const std::string axis = layout.is_contiguous() ? "rank" : "range";
  file.write<Index>("/layout/first_step", {static_cast<Index>(first_steps.size())},
                    first_steps.data(),
                    {"first step of each " + axis + ", then the number of steps", {axis}, ""});
}

hdf5::Shape row_shape(const LiveColumn& column) {
  return column.axis.empty() ? hdf5::Shape{} : hdf5::Shape{column.width};
}

void create_table(hdf5::File& file, const LiveTable& table) {
  for (const LiveColumn& column : table.columns) {
    const std::string name = table.group + "/" + column.name;
    hdf5::Description about{column.long_name, {table.axis}, column.units};
    if (!column.axis.empty()) about.dimensions.push_back(column.axis);
    if (column.whole) {
      file.create_extendible<Index>(name, row_shape(column), about);
    } else {
      file.create_extendible<double>(name, row_shape(column), about);
    }
  }
}

}  // namespace

LiveFile::LiveFile(const std::string& path, const Provenance& provenance, const Problem& problem,
                   const parallel::BlockLayout& layout, std::vector<LiveTable> tables,
                   double flush_seconds)
    : path_(path),
      tables_(std::move(tables)),
      flush_seconds_(flush_seconds),
      started_(path),
      file_(started_.create()),
      waiting_(tables_.size()) {
  write_provenance(file_, kTraceFormat, provenance);
  write_problem(file_, problem);
  write_layout(file_, layout);
  for (const LiveTable& table : tables_) create_table(file_, table);
  file_.create_group("/outcome");
  file_.set("/outcome", "status", "running");
}

void LiveFile::append(std::size_t table, Row row) {
  waiting_[table].push_back(std::move(row));
  if (since_flush_.seconds() >= flush_seconds_) flush();
}

void LiveFile::flush() {
  for (std::size_t table = 0; table < tables_.size(); ++table) write(table);
  file_.flush();
  since_flush_.restart();
}

void LiveFile::write(std::size_t table) {
  std::vector<Row>& rows = waiting_[table];
  if (rows.empty()) return;
  for (std::size_t c = 0; c < tables_[table].columns.size(); ++c) {
    LiveColumn& column = tables_[table].columns[c];
    for (const Row& row : rows)
      column.width = std::max(column.width, static_cast<Index>(row[c].size()));
    std::vector<double> values;
    for (const Row& row : rows) {
      values.insert(values.end(), row[c].begin(), row[c].end());
      values.resize(values.size() + static_cast<std::size_t>(column.width) - row[c].size());
    }
    // HDF5 makes whole numbers of them where the dataset holds such.
    file_.append<double>(tables_[table].group + "/" + column.name, static_cast<Index>(rows.size()),
                         row_shape(column), values.data());
  }
  rows.clear();
}

hdf5::File& LiveFile::end() {
  flush();
  file_.close();
  file_ = hdf5::File::open(path_, hdf5::File::Access::finish);
  return file_;
}

}  // namespace deeppcr::io
