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
    const Images& images = samples.images;
    const char* what = "generated images, 0 black and 1 white";
    if (images.extent(1) == 1) {
      const View<const Real, 3> grey(images.data(),
                                     {images.extent(0), images.extent(2), images.extent(3)});
      write("/images", grey, what, {"sample", "y", "x"});
    } else {
      write("/images", images, what, {"sample", "channel", "y", "x"});
    }
    write("/trajectory", samples.trajectory, "states from noise to latents",
          {"state", "sample", "component"});
    write("/noise", samples.noise, "what each step adds", {"step", "sample", "component"});
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

std::vector<Real> read_numbers(const parallel::Communicator& comm, const std::string& path,
                               const std::string& dataset, Index count) {
  std::vector<Real> numbers;
  parallel::agree(comm, [&] {
    const auto file = hdf5::File::open(path, hdf5::File::Access::read);
    if (!file.is_dataset(dataset)) throw local_input_error("'{}' has no dataset {}", path, dataset);
    numbers = file.read<Real>(dataset);
    if (static_cast<Index>(numbers.size()) != count)
      throw local_input_error("{} in '{}' has {} numbers; {} are needed", dataset, path,
                              numbers.size(), count);
  });
  return numbers;
}

Embeddings read_embeddings(const parallel::Communicator& comm, const std::string& path,
                           Index samples) {
  Embeddings found;
  parallel::agree(comm, [&] {
    const std::string name = "/embedding", none = "/null_embedding";
    const auto file = hdf5::File::open(path, hdf5::File::Access::read);
    if (!file.is_dataset(name)) throw local_input_error("'{}' has no dataset {}", path, name);
    const hdf5::Shape shape = file.shape(name);
    const Index rows = shape.empty() ? 0 : static_cast<Index>(shape.front());
    if (shape.size() < 2 || (rows != samples && rows != 1)) {
      throw local_input_error(
          "{} in '{}' has {} rows; one for each of {} samples, or one for all, "
          "is needed: [{}, ..]",
          name, path, rows, samples, samples);
    }
    found.shape.assign(shape.begin() + 1, shape.end());
    const std::vector<Real> read = file.read<Real>(name);
    for (Index b = 0; b < samples / rows; ++b)
      found.values.insert(found.values.end(), read.begin(), read.end());
    if (!file.is_dataset(none)) return;
    found.of_none = file.read<Real>(none);
    if (found.of_none.size() * static_cast<std::size_t>(rows) != read.size())
      throw local_input_error("{} in '{}' has {} numbers, an embedding {}", none, path,
                              found.of_none.size(), read.size() / static_cast<std::size_t>(rows));
  });
  return found;
}

}  // namespace deeppcr::io
