#include "deeppcr/io/cell_weights.hpp"

#include <algorithm>

#include "deeppcr/blocks/kernels.hpp"
#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/io/weights.hpp"
#include "io/cell_layer.hpp"
#include "io/known_content.hpp"
#include "io/weights_detail.hpp"

namespace deeppcr::io {

namespace {

constexpr const char* kRootHolds =
    "a file of cells holds weight_ih, weight_hh, bias or bias_ih and bias_hh, and for para-lstm "
    "peephole, at the root or in /cell/0, /cell/1 .., and beside them /head and samples";

/// A layer above the first takes its state as input, and is of the same kind.
void require_stackable(const hdf5::File& file, const CellsShape& first, const CellsShape& layer,
                       Index index) {
  const auto said = [](const CellsShape& shape) {
    return fmt::format("{}{}{}{} of {} units", shape.cell, shape.candidate.empty() ? "" : " ",
                       shape.candidate + shape.activation,
                       shape.reset_before ? " reset before" : "", shape.units);
  };
  if (said(first) != said(layer)) {
    throw local_input_error(
        "'{}' has layers that differ: /cell/0 is {}, /cell/{} is {}; all must be alike",
        file.path(), said(first), index, said(layer));
  }
  if (layer.features != layer.units) {
    throw local_input_error(
        "/cell/{}/weight_ih in '{}' takes {} features, but the layer below has {} units", index,
        file.path(), layer.features, layer.units);
  }
}

/// Nobody has obeyed these: "speed" of the root, "speed of /weight_hh".
std::vector<std::string> other_attributes(const hdf5::File& file, Index layers) {
  std::vector<std::string> others, looked_at;
  for (Index layer = 0; layer < layers; ++layer) {
    for (const std::string& object : described_by(file, group_of(file, layer))) {
      if (holds(looked_at, object)) continue;
      looked_at.push_back(object);
      require_out_first(file, object);
      for (const std::string& name : unknown_attributes(file, object))
        if (!holds(kObeyed, name) && !holds(kDenied, name))
          others.push_back(object == "/" ? name : fmt::format("{} of {}", name, object));
    }
  }
  if (file.has("/head")) add_unknown_attributes(file, "/head", others);
  return others;
}

std::optional<CellsShape> inspect(const std::string& path) {
  const hdf5::File file = open_weights(path);
  const std::vector<std::string> at_root = members_of(file, "");
  const bool single = holds(at_root, "weight_ih") || holds(at_root, "weight_hh");
  const bool stacked = file.has("/cell");
  if (!single && !stacked) return std::nullopt;
  if (format_of(file).rfind("deeppcr-", 0) == 0) require_format(file, file_format::kWeights);
  require_known_members(file, "/", cell_file_members(), kRootHolds);
  if (stacked && !at_root.empty()) {
    throw local_input_error("'{}' has /{} beside /cell; cells stand at the root or in /cell", path,
                            at_root.front());
  }
  const Index layers = stacked ? count_numbered(file, "/cell") : 1;
  if (layers == 0) throw local_input_error("/cell in '{}' is empty", path);
  CellsShape shape = inspect_layer(file, 0).shape;
  for (Index layer = 1; layer < layers; ++layer)
    require_stackable(file, shape, inspect_layer(file, layer).shape, layer);
  shape.layers = layers;
  const hdf5::Shape head = outer_layer(file, "/head");
  require_width(file, "/head/weight", head[1], shape.units);
  shape.classes = head[0];
  shape.unknown_attributes = other_attributes(file, layers);
  return shape;
}

/// The rows of one part with the file's gates in the cell's order, column-major.
void read_part(const hdf5::File& file, const std::string& name, const CellLayer& layer,
               const CellPart& part, Real* to) {
  if (!file.has(name)) {
    std::fill_n(to, part.size(), Real{0});
    return;
  }
  Buffer<Real> stored(part.size()), ordered(part.size());
  file.read_rows<Real>(name, {{0, part.rows, stored.data()}});
  const Index gates = part.of_gates ? layer.kind->num_gates() : 1;
  const Index block = part.size() / gates;
  for (Index g = 0; g < gates; ++g) {
    const Index place = part.of_gates ? layer.places[static_cast<std::size_t>(g)] : 0;
    std::copy_n(stored.data() + place * block, block, ordered.data() + g * block);
  }
  const Index columns = part.size() / part.rows;
  blocks::transpose(static_cast<int>(columns), static_cast<int>(part.rows), ordered.data(), to);
}

void write_layer(hdf5::File& file, const std::string& group, const std::vector<CellPart>& parts,
                 View<const Real, 1> row, const std::string& what) {
  const Real* from = row.data();
  for (const CellPart& part : parts) {
    Buffer<Real> stored(part.size());
    const Index columns = part.size() / part.rows;
    blocks::transpose(static_cast<int>(part.rows), static_cast<int>(columns), from, stored.data());
    const std::vector<std::string> dimensions =
        part.columns == 0 ? std::vector<std::string>{"out"} : std::vector<std::string>{"out", "in"};
    file.write<Real>(group + "/" + part.name, part.shape(), stored.data(),
                     {fmt::format("{}, {}", what, part.name), dimensions});
    from += part.size();
  }
}

}  // namespace

Index parameters_of_cell(const CellsShape& shape, Index layer) {
  Index size = 0;
  for (const CellPart& part : parts_of(cell_kind(shape.cell), shape.inputs_of(layer), shape.units))
    size += part.size();
  return size;
}

std::optional<CellsShape> inspect_cells(const parallel::Communicator& comm,
                                        const std::string& path) {
  std::optional<CellsShape> found;
  parallel::agree(comm, [&] {
    if (comm.is_root()) found = inspect(path);
  });
  if (!comm.any(found.has_value())) return std::nullopt;
  CellsShape shape = found.value_or(CellsShape{});
  for (Index* number : {&shape.layers, &shape.features, &shape.units, &shape.classes})
    comm.broadcast(*number, 0);
  for (std::string* text : {&shape.cell, &shape.candidate, &shape.activation})
    comm.broadcast(*text, 0);
  shape.reset_before = comm.any(shape.reset_before);
  broadcast_texts(comm, shape.unknown_attributes);
  return shape;
}

void read_cells(const parallel::Communicator& comm, const std::string& path,
                const CellsShape& shape, Index layer, View<Real, 1> row) {
  DEEPPCR_ASSERT(row.size() == parameters_of_cell(shape, layer), "a row of {} for layer {} of {}",
                 row.size(), layer, shape.cell);
  parallel::agree(comm, [&] {
    if (!comm.is_root()) return;
    const hdf5::File file = open_weights(path);
    const CellLayer held = inspect_layer(file, layer);
    if (held.shape.cell != shape.cell || held.shape.units != shape.units ||
        held.shape.features != shape.inputs_of(layer)) {
      throw local_input_error("'{}' has changed since it was looked at; run this again", path);
    }
    Real* to = row.data();
    for (const CellPart& part : held.parts) {
      read_part(file, dataset_of(file, group_of(file, layer), part), held, part, to);
      to += part.size();
    }
  });
  comm.broadcast(row.data(), row.size(), 0);
}

void write_cells(hdf5::File& file, const std::string& group, const CellsShape& shape,
                 const std::vector<View<const Real, 1>>& rows, const std::string& what) {
  DEEPPCR_ASSERT(static_cast<Index>(rows.size()) == shape.layers, "{} rows for {} layers",
                 rows.size(), shape.layers);
  const CellKind& kind = cell_kind(shape.cell);
  if (!group.empty() && !file.has(group)) file.create_group(group);
  const std::string about = group.empty() ? "/" : group;
  file.set_all(about, {{"cell", shape.cell}, {"gates", gates_text(kind)}});
  if (!shape.candidate.empty()) file.set(about, "candidate", shape.candidate);
  if (!shape.activation.empty()) file.set(about, "activation", shape.activation);
  if (kind.reset.size() > 1)
    file.set(about, "reset", std::string(shape.reset_before ? "before" : "after"));
  for (Index layer = 0; layer < shape.layers; ++layer) {
    const std::string place = shape.layers == 1 ? group : fmt::format("{}/cell/{}", group, layer);
    write_layer(file, place, parts_of(kind, shape.inputs_of(layer), shape.units),
                rows[static_cast<std::size_t>(layer)], what);
  }
}

void write_cell_weights(const parallel::Communicator& comm, const std::string& path,
                        const Provenance& provenance, const CellsShape& shape,
                        const std::vector<View<const Real, 1>>& rows, View<const Real, 2> head) {
  write_file(comm, path, file_format::kWeights, provenance, [&](hdf5::File& file) {
    write_cells(file, "", shape, rows, "parameters of the cells");
    if (head.size() > 0) write_dense_layer(file, "/head", head, "head");
  });
}

}  // namespace deeppcr::io
