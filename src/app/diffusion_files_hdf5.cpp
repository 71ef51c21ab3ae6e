#include <filesystem>

#include "app/diffusion_files.hpp"
#include "app/provenance.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/io/idx.hpp"
#include "deeppcr/io/networks.hpp"
#include "deeppcr/io/png.hpp"

namespace deeppcr::app::storage {
namespace {

constexpr const char* kOwnNetworks = "share/deeppcr/fashion_mnist.h5";

/// The parameters of a network whose sizes are right.
template <typename Network>
void fill(const std::string& path, const char* what, const io::StoredNetwork& stored,
          Network& network) {
  const auto theta = network.parameters();
  if (static_cast<Index>(stored.parameters.size()) != theta.size()) {
    throw input_error("'{}' has {} parameters of its {}, but its sizes ask for {}", path,
                      stored.parameters.size(), what, theta.size());
  }
  std::copy(stored.parameters.begin(), stored.parameters.end(), theta.begin());
}

}  // namespace

models::Denoiser read_denoiser(const parallel::Communicator& comm, const std::string& path) {
  const io::StoredNetwork stored = io::read_network(comm, path, "denoiser", 7);
  const auto size = [&](std::size_t i) { return static_cast<int>(stored.shape[i]); };
  const models::DenoiserShape shape{size(0), size(1), size(2), size(3), size(4)};
  const auto kind = size(5) == 1 ? models::ScheduleKind::cosine : models::ScheduleKind::linear;
  models::Denoiser denoiser(shape, models::NoiseSchedule(kind, size(6)), 0);
  fill(path, "denoiser", stored, denoiser);
  return denoiser;
}

models::Autoencoder read_autoencoder(const parallel::Communicator& comm, const std::string& path) {
  const io::StoredNetwork stored = io::read_network(comm, path, "autoencoder", 5);
  if (stored.shape[4] != 1) {
    throw input_error("'{}': the autoencoder's training has not ended; go on with --restart {}",
                      path, path);
  }
  const auto size = [&](std::size_t i) { return static_cast<int>(stored.shape[i]); };
  models::Autoencoder autoencoder({size(0), size(1), size(2), size(3)}, 0);
  fill(path, "autoencoder", stored, autoencoder);
  return autoencoder;
}

std::string own_networks() {
  std::error_code ignored;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  const auto path = program.parent_path().parent_path() / kOwnNetworks;
  if (std::filesystem::exists(path, ignored)) return path.string();
  throw input_error("{} is missing; give --denoiser and --autoencoder", path.string());
}

void write_samples(const Context& context, const std::string& path,
                   const GeneratedSamples& samples) {
  io::write_samples(context.comm, path, provenance(context),
                    {samples.latents, samples.images, samples.trajectory});
}

void write_picture(const parallel::Communicator& comm, const std::string& path,
                   View<const Real, 3> images) {
  parallel::agree(comm, [&] {
    if (comm.is_root()) io::write_image_grid(path, images);
  });
}

std::vector<Real> read_latents(const parallel::Communicator& comm, const std::string& path,
                               Index width) {
  return io::read_latents(comm, path, width);
}

std::vector<Real> read_test_images(const parallel::Communicator& comm, const std::string& set,
                                   Index first, Index count) {
  io::ImageSelection selection;
  selection.training_set = false;
  selection.first = first;
  selection.samples = count;
  return io::read_images(comm, set, selection).inputs;
}

}  // namespace deeppcr::app::storage
