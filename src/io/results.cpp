#include <algorithm>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/io/weights.hpp"
#include "io/replace_file.hpp"

namespace deeppcr::io {

namespace {

/// Splits the first rows of parameters [m, block_layers (W column-major, b)] into weights row-major
/// and biases.
void split_parameters(View<const Real, 2> local, Index rows, const WeightsShape& shape,
                      Real* weight, Real* bias) {
  const Index n = shape.width;
  for (Index k = 0; k < rows * shape.block_layers; ++k) {
    const Real* from = &local(k / shape.block_layers, k % shape.block_layers * (n * n + n));
    for (Index i = 0; i < n; ++i) {
      for (Index j = 0; j < n; ++j) weight[(k * n + i) * n + j] = from[j * n + i];
    }
    std::copy_n(from + n * n, n, bias + k * n);
  }
}

hdf5::Shape stacked_shape(const WeightsShape& shape) {
  return shape.nested ? hdf5::Shape{shape.num_steps, shape.block_layers, shape.width}
                      : hdf5::Shape{shape.num_steps, shape.width};
}

std::vector<std::string> stacked_dimensions(const WeightsShape& shape) {
  if (shape.nested) return {"step", "layer", "out"};
  return {"step", "out"};
}

}  // namespace

ResultsWriter::ResultsWriter(const parallel::Communicator& comm, const std::string& path,
                             const Format& format, const Provenance& provenance)
    : comm_(comm), target_(std::make_unique<ReplacingFile>(comm, path)) {
  target_->guarded([&] { write_provenance(target_->file(), format, provenance); });
}

ResultsWriter::~ResultsWriter() = default;

void ResultsWriter::settings(const std::map<std::string, std::string>& settings) {
  target_->guarded([&] {
    for (const auto& [name, value] : settings) target_->file().set("/", name, value);
  });
}

void ResultsWriter::layers(const std::string& group, const WeightsShape& shape,
                           const StepSet& steps, View<const Real, 2> local,
                           const std::string& what) {
  const Index m = steps.size();
  const Index n = shape.width;
  Buffer<Real> weight(m * shape.block_layers * n * n);
  Buffer<Real> bias(m * shape.block_layers * n);
  if (m > 0) split_parameters(local, m, shape, weight.data(), bias.data());
  hdf5::Shape sizes = stacked_shape(shape);
  std::vector<std::string> dimensions = stacked_dimensions(shape);
  target_->guarded([&] {
    target_->file().write_rows<Real>(group + "/layers/bias", sizes, {{steps, bias.data()}},
                                     {what + ", biases", dimensions, ""});
    sizes.push_back(n);
    dimensions.emplace_back("in");
    target_->file().write_rows<Real>(group + "/layers/weight", sizes, {{steps, weight.data()}},
                                     {what + ", weights row-major", dimensions, ""});
  });
}

void ResultsWriter::rows(const std::string& name, Index rows, const StepSet& own,
                         View<const Real, 2> local, const std::string& what) {
  target_->guarded([&] {
    target_->file().write_rows<Real>(name, {rows, local.extent(1)}, {{own, local.data()}},
                                     {what, {"row", "number"}, ""});
  });
}

void ResultsWriter::dense_layer(const std::string& group, const DenseLayer& layer,
                                const std::string& what) {
  target_->guarded([&] {
    target_->file().write<Real>(group + "/weight", {layer.out, layer.in}, layer.weight.data(),
                                {what + ", weights row-major", {"out", "in"}, ""});
    target_->file().write<Real>(group + "/bias", {layer.out}, layer.bias.data(),
                                {what + ", biases", {"out"}, ""});
  });
}

void ResultsWriter::last_state(const sequence::Trajectory& trajectory) {
  const Index last = trajectory.layout().num_steps();
  const StepSet steps = trajectory.layout().written_steps(comm_.rank());
  hdf5::Rows<const Real> mine;
  if (last == 0 && comm_.is_root()) mine = {0, trajectory.batch(), trajectory.input().data()};
  if (last > 0 && steps.contains(last - 1)) {
    mine = {0, trajectory.batch(), trajectory.states()[steps.size() - 1].data()};
  }
  target_->guarded([&] {
    target_->file().write_rows<Real>("/z_last", {trajectory.batch(), trajectory.width()}, {mine},
                                     {"last state of the chain", {"sample", "component"}, ""});
  });
}

void ResultsWriter::logits(View<const Real, 2> logits) {
  target_->guarded([&] {
    target_->file().write<Real>("/logits", {logits.extent(0), logits.extent(1)}, logits.data(),
                                {"output of the head", {"sample", "class"}, ""});
  });
}

void ResultsWriter::input_gradient(ConstState gradient) {
  target_->guarded([&] {
    target_->file().write<Real>(
        "/input_gradient", {gradient.extent(0), gradient.extent(1)}, gradient.data(),
        {"gradient of the loss by the input z_0 of the chain", {"sample", "component"}, ""});
  });
}

void ResultsWriter::loss(double loss) {
  target_->guarded([&] {
    target_->file().write<double>("/loss", {}, &loss, {"loss of the batch", {}, ""});
  });
}

void ResultsWriter::close() {
  target_->finish();
  target_->place();
}

void write_weights(const parallel::Communicator& comm, const std::string& path,
                   const Provenance& provenance, const WeightsToSave& weights) {
  const WeightsShape& shape = weights.shape;
  ResultsWriter writer(comm, path, kWeightsFormat, provenance);
  writer.settings(shape.settings);
  writer.layers("", shape, weights.steps, weights.parameters, "parameters of the chain");
  if (weights.embedding != nullptr)
    writer.dense_layer("/embedding", *weights.embedding, "embedding");
  if (weights.head != nullptr) writer.dense_layer("/head", *weights.head, "head");
  writer.close();
}

}  // namespace deeppcr::io
