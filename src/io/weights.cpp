#include "deeppcr/io/weights.hpp"

#include <algorithm>

#include "deeppcr/blocks/kernels.hpp"
#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/io/safetensors.hpp"
#include "io/known_content.hpp"
#include "io/weights_detail.hpp"

namespace deeppcr::io {

namespace {

/// How much of a file a rank holds beside the parameters while it reads or writes.
constexpr Index kPieceBytes = Index{16} << 20;

/// Rows of so many numbers in a piece of a file.
Index rows_at_once(Index numbers) {
  return std::max<Index>(1, kPieceBytes / std::max<Index>(1, numbers * Index{sizeof(Real)}));
}

constexpr const char* kLayerHolds = "a layer holds weight and bias";
constexpr const char* kRootHolds =
    "a weights file holds /layers, /embedding and /head, and beside them /inputs, /labels, "
    "/lengths and /targets";

std::string layer_name(const WeightsShape& shape, Index step, Index layer) {
  return shape.nested ? fmt::format("/layers/{}/{}", step, layer) : fmt::format("/layers/{}", step);
}

WeightsShape inspect_stacked(const hdf5::File& file) {
  const hdf5::Shape sizes = real_shape(file, "/layers/weight");
  const std::size_t axes = sizes.size();
  if ((axes != 3 && axes != 4) || sizes[axes - 1] != sizes[axes - 2]) {
    throw local_input_error(
        "/layers/weight in '{}' has sizes {}; it must be [L, n, n] or [L, block_layers, n, n]",
        file.path(), text_of(sizes));
  }
  require_known_members(file, "/layers", {"weight", "bias"}, kLayerHolds);
  WeightsShape shape;
  shape.num_steps = sizes[0];
  shape.nested = axes == 4;
  shape.block_layers = shape.nested ? sizes[1] : 1;
  shape.width = sizes[axes - 1];
  shape.bias = file.is_dataset("/layers/bias");
  if (shape.bias) {
    require_sizes(file, "/layers/bias", hdf5::Shape(sizes.begin(), sizes.end() - 1));
  }
  return shape;
}

/// What holds for the first layer must hold for all.
void require_alike(const hdf5::File& file, const WeightsShape& shape) {
  for (Index step = 0; step < shape.num_steps; ++step) {
    const std::string group = fmt::format("/layers/{}", step);
    if (shape.nested && count_numbered(file, group) != shape.block_layers) {
      throw local_input_error("{} in '{}' has {} layers, but /layers/0 has {}", group, file.path(),
                              file.children(group).size(), shape.block_layers);
    }
    for (Index layer = 0; layer < shape.block_layers; ++layer) {
      const std::string name = layer_name(shape, step, layer);
      require_known_members(file, name, {"weight", "bias"}, kLayerHolds);
      require_sizes(file, name + "/weight", {shape.width, shape.width});
      if (file.is_dataset(name + "/bias") != shape.bias) {
        throw local_input_error(
            "{} in '{}' has {} bias, but the first layer has {}; give all of them one, or none",
            name, file.path(), shape.bias ? "no" : "a", shape.bias ? "one" : "none");
      }
      if (shape.bias) require_sizes(file, name + "/bias", {shape.width});
    }
  }
}

WeightsShape inspect_separate(const hdf5::File& file) {
  WeightsShape shape;
  shape.stacked = false;
  shape.num_steps = count_numbered(file, "/layers");
  if (shape.num_steps == 0) throw local_input_error("/layers in '{}' is empty", file.path());
  shape.nested = !file.is_dataset("/layers/0/weight");
  if (shape.nested) shape.block_layers = count_numbered(file, "/layers/0");
  const std::string first = layer_name(shape, 0, 0);
  const hdf5::Shape sizes = real_shape(file, first + "/weight");
  if (sizes.size() != 2 || sizes[0] != sizes[1]) {
    throw local_input_error("{}/weight in '{}' has sizes {}; a layer of the chain must be [n, n]",
                            first, file.path(), text_of(sizes));
  }
  shape.width = sizes[0];
  shape.bias = file.is_dataset(first + "/bias");
  require_alike(file, shape);
  return shape;
}

/// What the file says of its model, and what it says that nobody understands.
void read_attributes(const hdf5::File& file, WeightsShape& shape) {
  for (const std::string& name : unknown_attributes(file, "/")) {
    const std::optional<std::string> value = file.as_text("/", name);
    if (value) {
      shape.settings[name] = *value;
    } else {
      shape.unknown_attributes.push_back(name);
    }
  }
  for (const char* group : {"/layers", "/embedding", "/head"})
    if (file.has(group)) add_unknown_attributes(file, group, shape.unknown_attributes);
}

WeightsShape inspect(const std::string& path) {
  const hdf5::File file = open_weights(path);
  if (!file.has("/layers")) {
    throw local_input_error(
        "'{}' has no group /layers; a weights file has /layers/weight [L, n, n] or one "
        "/layers/0/weight [n, n] a layer, one of recurrent cells weight_ih and weight_hh",
        path);
  }
  const std::string format = format_of(file);
  if (format.rfind("deeppcr-", 0) == 0) require_format(file, file_format::kWeights);
  require_known_members(file, "/", chain_file_members(), kRootHolds);
  WeightsShape shape =
      file.is_dataset("/layers/weight") ? inspect_stacked(file) : inspect_separate(file);
  const hdf5::Shape embedding = outer_layer(file, "/embedding");
  const hdf5::Shape head = outer_layer(file, "/head");
  require_width(file, "/embedding/weight", embedding[0], shape.width);
  require_width(file, "/head/weight", head[1], shape.width);
  shape.features = embedding[1];
  shape.classes = head[0];
  read_attributes(file, shape);
  return shape;
}

/// The layers of some steps, one after another, row-major as in the file.
void read_layers(const hdf5::File& file, const WeightsShape& shape, const StepSet& steps,
                 Real* weight, Real* bias) {
  if (shape.stacked) {
    file.read_rows<Real>("/layers/weight", {{steps, weight}});
    if (shape.bias) file.read_rows<Real>("/layers/bias", {{steps, bias}});
    return;
  }
  const Index n = shape.width;
  for (Index k = 0; k < steps.size() * shape.block_layers; ++k) {
    const std::string name =
        layer_name(shape, steps.step(k / shape.block_layers), k % shape.block_layers);
    require_sizes(file, name + "/weight", {n, n});
    file.read_rows<Real>(name + "/weight", {{0, n, weight + k * n * n}});
    if (!shape.bias) continue;
    require_sizes(file, name + "/bias", {n});
    file.read_rows<Real>(name + "/bias", {{0, n, bias + k * n}});
  }
}

/// Reads the pieces of the local steps one after another, each into its place.
void read_pieces(const hdf5::File& file, const WeightsShape& shape,
                 const std::vector<StepSet>& pieces, View<Real, 2> parameters) {
  const Index n = shape.width, layers = shape.block_layers;
  const Index largest = pieces.empty() ? 0 : pieces.front().size();
  Buffer<Real> weight(largest * layers * n * n), bias(largest * layers * n);
  Index row = 0;  // of the piece's first step
  for (const StepSet& piece : pieces) {
    read_layers(file, shape, piece, weight.data(), bias.data());
    for (Index k = 0; k < piece.size() * layers; ++k) {
      Real* to = &parameters(row + k / layers, k % layers * (n * n + n));
      blocks::transpose(static_cast<int>(n), static_cast<int>(n), weight.data() + k * n * n, to);
      std::copy_n(bias.data() + k * n, n, to + n * n);
    }
    row += piece.size();
  }
}

}  // namespace

WeightsShape inspect_weights(const parallel::Communicator& comm, const std::string& path) {
  WeightsShape shape;
  parallel::agree(comm, [&] {
    if (comm.is_root()) shape = inspect(path);
  });
  for (Index* value :
       {&shape.num_steps, &shape.width, &shape.block_layers, &shape.features, &shape.classes})
    comm.broadcast(*value, 0);
  for (bool* flag : {&shape.bias, &shape.stacked, &shape.nested})
    *flag = comm.any(comm.is_root() && *flag);
  std::vector<std::string> names, values;
  for (const auto& [name, value] : shape.settings) {
    names.push_back(name);
    values.push_back(value);
  }
  for (std::vector<std::string>* texts : {&names, &values, &shape.unknown_attributes})
    broadcast_texts(comm, *texts);
  for (std::size_t i = 0; i < names.size(); ++i) shape.settings[names[i]] = values[i];
  return shape;
}

void read_weights(const parallel::Communicator& comm, const std::string& path,
                  const WeightsShape& shape, const StepSet& steps, View<Real, 2> parameters) {
  DEEPPCR_ASSERT(
      parameters.extent(0) == steps.size() && parameters.extent(1) == shape.parameters_per_step(),
      "parameters [{}, {}] for {} steps of {}", parameters.extent(0), parameters.extent(1),
      steps.size(), shape.parameters_per_step());
  std::vector<StepSet> pieces = steps.cut(rows_at_once(shape.parameters_per_step()));
  if (shape.stacked && !is_safetensors(path)) {
    pieces.resize(static_cast<std::size_t>(comm.max(static_cast<Index>(pieces.size()))));
    read_pieces(hdf5::File::open(path, hdf5::File::Access::read, &comm), shape, pieces, parameters);
  } else {  // no collective reads: each rank has other layers, or its own look at the file
    parallel::agree(comm, [&] { read_pieces(open_weights(path), shape, pieces, parameters); });
  }
}

void read_dense_layer(const parallel::Communicator& comm, const std::string& path,
                      const std::string& group, View<Real, 2> rows) {
  const Index in = rows.extent(0) - 1, out = rows.extent(1);
  parallel::agree(comm, [&] {
    if (!comm.is_root()) return;
    const hdf5::File file = open_weights(path);
    const hdf5::Shape sizes = outer_layer(file, group);
    if (sizes[0] == 0) throw local_input_error("'{}' has no {}/weight", path, group);
    if (sizes != hdf5::Shape{out, in}) {
      throw local_input_error("{}: {} is {}, but [{}, {}] is needed", path, group, text_of(sizes),
                              out, in);
    }
    const std::vector<Real> weight = file.read<Real>(group + "/weight");
    blocks::transpose(static_cast<int>(in), static_cast<int>(out), weight.data(), rows.data());
    std::fill_n(rows[in].data(), out, Real{0});
    if (file.is_dataset(group + "/bias"))
      file.read_rows<Real>(group + "/bias", {{0, out, rows[in].data()}});
  });
  comm.broadcast(rows.data(), rows.size(), 0);
}

void write_layers(hdf5::File& file, const std::string& group, const WeightsShape& shape,
                  const StepSet& steps, View<const Real, 2> local, const std::string& what) {
  const Index n = shape.width, layers = shape.block_layers;
  const Index layer = local.extent(1) / layers;  // W column-major, b
  const bool bias = layer > n * n;
  hdf5::Shape sizes{shape.num_steps, n};
  std::vector<std::string> dimensions{"step", "out"};
  if (shape.nested) {
    sizes.insert(sizes.begin() + 1, layers);
    dimensions.insert(dimensions.begin() + 1, "layer");
  }
  hdf5::MadeRows<Real> rows{steps, rows_at_once(layers * n), {}};
  rows.make = [&](Index first, Index count, Real* to) {
    std::fill_n(to, count * layers * n, Real{0});
    for (Index k = 0; bias && k < count * layers; ++k)
      std::copy_n(local.data() + (first * layers + k) * layer + n * n, n, to + k * n);
  };
  file.write_rows<Real>(group + "/layers/bias", sizes, rows, {what + ", biases", dimensions});
  rows.at_once = rows_at_once(layers * n * n);
  rows.make = [&](Index first, Index count, Real* to) {
    for (Index k = 0; k < count * layers; ++k) {
      const Real* from = local.data() + (first * layers + k) * layer;
      blocks::transpose(static_cast<int>(n), static_cast<int>(n), from, to + k * n * n);
    }
  };
  sizes.push_back(n);
  dimensions.emplace_back("in");
  file.write_rows<Real>(group + "/layers/weight", sizes, rows,
                        {what + ", weights row-major", dimensions});
}

void write_dense_layer(hdf5::File& file, const std::string& group, View<const Real, 2> rows,
                       const std::string& what) {
  const Index in = rows.extent(0) - 1, out = rows.extent(1);
  Buffer<Real> weight(in * out);
  blocks::transpose(static_cast<int>(out), static_cast<int>(in), rows.data(), weight.data());
  file.write<Real>(group + "/weight", {out, in}, weight.data(),
                   {what + ", weights row-major", {"out", "in"}});
  file.write<Real>(group + "/bias", {out}, rows[in].data(), {what + ", biases", {"out"}});
}

void write_last_state(hdf5::File& file, const sequence::Trajectory& trajectory,
                      const std::string& name) {
  const Index last = trajectory.layout().num_steps();
  const StepSet steps = trajectory.layout().written_steps(trajectory.comm().rank());
  hdf5::Rows<const Real> mine;
  if (last == 0 && trajectory.comm().is_root())
    mine = {0, trajectory.batch(), trajectory.input().data()};
  if (last > 0 && steps.contains(last - 1))
    mine = {0, trajectory.batch(), trajectory.states()[steps.size() - 1].data()};
  file.write_rows<Real>(name, {trajectory.batch(), trajectory.width()}, {mine},
                        {"last state of the chain", {"sample", "component"}});
}

void write_weights(const parallel::Communicator& comm, const std::string& path,
                   const Provenance& provenance, const WeightsToSave& weights) {
  write_file(comm, path, file_format::kWeights, provenance, [&](hdf5::File& file) {
    for (const auto& [name, value] : weights.shape.settings) file.set("/", name, value);
    write_layers(file, "", weights.shape, weights.steps, weights.parameters,
                 "parameters of the chain");
    if (weights.embedding.size() > 0)
      write_dense_layer(file, "/embedding", weights.embedding, "embedding");
    if (weights.head.size() > 0) write_dense_layer(file, "/head", weights.head, "head");
  });
}

}  // namespace deeppcr::io
