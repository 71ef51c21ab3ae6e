#include "deeppcr/io/networks.hpp"

#include "deeppcr/core/error.hpp"
#include "deeppcr/io/hdf5_file.hpp"

namespace deeppcr::io {

StoredNetwork read_network(const parallel::Communicator& comm, const std::string& path,
                           const std::string& name, std::size_t sizes) {
  StoredNetwork network;
  parallel::agree(comm, [&] {
    const auto file = hdf5::File::open(path, hdf5::File::Access::read);
    const std::string shape = "/state/" + name + "/shape";
    const std::string parameters = "/state/" + name + "/parameters";
    if (!file.is_dataset(shape) || !file.is_dataset(parameters))
      throw local_input_error("'{}' holds no {}: it has no datasets {} and {}", path, name, shape,
                              parameters);
    for (const Real size : file.read<Real>(shape))
      network.shape.push_back(static_cast<Index>(size));
    if (network.shape.size() != sizes) {
      throw local_input_error("{} in '{}' has {} numbers; a {} has {}", shape, path,
                              network.shape.size(), name, sizes);
    }
    network.parameters = file.read<Real>(parameters);
  });
  return network;
}

void write_samples(const parallel::Communicator& comm, const std::string& path,
                   const Provenance& provenance, const Samples& samples) {
  write_file(comm, path, file_format::kResults, provenance, [&](hdf5::File& file) {
    const auto write = [&](const char* name, auto view, const char* what,
                           std::vector<std::string> dimensions) {
      if (view.size() == 0) return;
      const hdf5::Shape shape(view.shape().begin(), view.shape().end());
      file.write<Real>(name, shape, view.data(), {what, std::move(dimensions), ""});
    };
    write("/latents", samples.latents, "generated latents", {"sample", "component"});
    write("/images", samples.images, "generated images, 0 black and 1 white", {"sample", "y", "x"});
    write("/trajectory", samples.trajectory, "states from noise to latents",
          {"state", "sample", "component"});
  });
}

std::vector<Real> read_latents(const parallel::Communicator& comm, const std::string& path,
                               Index width) {
  std::vector<Real> latents;
  parallel::agree(comm, [&] {
    const auto file = hdf5::File::open(path, hdf5::File::Access::read);
    if (!file.is_dataset("/latents"))
      throw local_input_error("'{}' has no dataset /latents: it is no output of generate", path);
    const hdf5::Shape shape = file.shape("/latents");
    if (shape.size() != 2 || shape[1] != width)
      throw local_input_error("/latents in '{}' has {} axes, the last {}; [S, {}] is needed", path,
                              shape.size(), shape.empty() ? 0 : shape.back(), width);
    latents = file.read<Real>("/latents");
  });
  return latents;
}

}  // namespace deeppcr::io
