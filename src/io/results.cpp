#include <algorithm>

#include "deeppcr/blocks/kernels.hpp"
#include "deeppcr/core/buffer.hpp"
#include "deeppcr/io/weights.hpp"

namespace deeppcr::io {

void write_layers(hdf5::File& file, const std::string& group, const WeightsShape& shape,
                  const StepSet& steps, View<const Real, 2> local, const std::string& what) {
  const Index m = steps.size();
  const Index n = shape.width;
  Buffer<Real> weight(m * shape.block_layers * n * n);
  Buffer<Real> bias(m * shape.block_layers * n);
  for (Index k = 0; k < m * shape.block_layers; ++k) {  // W column-major, b
    const Real* from = &local(k / shape.block_layers, k % shape.block_layers * (n * n + n));
    blocks::transpose(static_cast<int>(n), static_cast<int>(n), from, weight.data() + k * n * n);
    std::copy_n(from + n * n, n, bias.data() + k * n);
  }
  hdf5::Shape sizes{shape.num_steps, n};
  std::vector<std::string> dimensions{"step", "out"};
  if (shape.nested) {
    sizes.insert(sizes.begin() + 1, shape.block_layers);
    dimensions.insert(dimensions.begin() + 1, "layer");
  }
  file.write_rows<Real>(group + "/layers/bias", sizes, {{steps, bias.data()}},
                        {what + ", biases", dimensions, ""});
  sizes.push_back(n);
  dimensions.emplace_back("in");
  file.write_rows<Real>(group + "/layers/weight", sizes, {{steps, weight.data()}},
                        {what + ", weights row-major", dimensions, ""});
}

void write_dense_layer(hdf5::File& file, const std::string& group, const DenseLayer& layer,
                       const std::string& what) {
  file.write<Real>(group + "/weight", {layer.out, layer.in}, layer.weight.data(),
                   {what + ", weights row-major", {"out", "in"}, ""});
  file.write<Real>(group + "/bias", {layer.out}, layer.bias.data(),
                   {what + ", biases", {"out"}, ""});
}

void write_last_state(hdf5::File& file, const sequence::Trajectory& trajectory) {
  const Index last = trajectory.layout().num_steps();
  const StepSet steps = trajectory.layout().written_steps(trajectory.comm().rank());
  hdf5::Rows<const Real> mine;
  if (last == 0 && trajectory.comm().is_root())
    mine = {0, trajectory.batch(), trajectory.input().data()};
  if (last > 0 && steps.contains(last - 1))
    mine = {0, trajectory.batch(), trajectory.states()[steps.size() - 1].data()};
  file.write_rows<Real>("/z_last", {trajectory.batch(), trajectory.width()}, {mine},
                        {"last state of the chain", {"sample", "component"}, ""});
}

void write_weights(const parallel::Communicator& comm, const std::string& path,
                   const Provenance& provenance, const WeightsToSave& weights) {
  write_file(comm, path, file_format::kWeights, provenance, [&](hdf5::File& file) {
    for (const auto& [name, value] : weights.shape.settings) file.set("/", name, value);
    write_layers(file, "", weights.shape, weights.steps, weights.parameters,
                 "parameters of the chain");
    if (weights.embedding != nullptr)
      write_dense_layer(file, "/embedding", *weights.embedding, "embedding");
    if (weights.head != nullptr) write_dense_layer(file, "/head", *weights.head, "head");
  });
}

}  // namespace deeppcr::io
