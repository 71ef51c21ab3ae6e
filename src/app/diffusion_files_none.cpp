#include "app/diffusion_files.hpp"
#include "app/storage.hpp"
#include "deeppcr/core/error.hpp"

// Builds without HDF5: `generate` is refused long before these are called.
namespace deeppcr::app::storage {
namespace {

[[noreturn]] void refuse() { throw input_error("{}", unavailable()); }

}  // namespace

models::Denoiser read_denoiser(const parallel::Communicator&, const std::string&) { refuse(); }
models::Autoencoder read_autoencoder(const parallel::Communicator&, const std::string&) {
  refuse();
}
std::string own_networks() { refuse(); }
void write_samples(const Context&, const std::string&, const GeneratedSamples&) { refuse(); }
void write_picture(const parallel::Communicator&, const std::string&, View<const Real, 3>) {
  refuse();
}
std::vector<Real> read_latents(const parallel::Communicator&, const std::string&, Index) {
  refuse();
}
std::vector<Real> read_test_images(const parallel::Communicator&, const std::string&, Index,
                                   Index) {
  refuse();
}

}  // namespace deeppcr::app::storage
