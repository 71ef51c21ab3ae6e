#pragma once

#include <string>
#include <vector>

#include "deeppcr/app/command.hpp"
#include "deeppcr/core/view.hpp"
#include "deeppcr/models/autoencoder.hpp"
#include "deeppcr/models/denoiser.hpp"

/// Files of diffusion: networks, samples, pictures. As storage.hpp: by the io module, or refused.
/// All calls are collective.
namespace deeppcr::app::storage {

models::Denoiser read_denoiser(const parallel::Communicator& comm, const std::string& path);
models::Autoencoder read_autoencoder(const parallel::Communicator& comm, const std::string& path);
/// The pair that comes with the program. @throws Error that says where it was looked for
std::string own_networks();

/// Views may be empty.
struct GeneratedSamples {
  View<const Real, 2> latents;     ///< [S, n]
  View<const Real, 3> images;      ///< [S, height, width]
  View<const Real, 3> trajectory;  ///< [L + 1, S, n]
};
void write_samples(const Context& context, const std::string& path,
                   const GeneratedSamples& samples);
void write_picture(const parallel::Communicator& comm, const std::string& path,
                   View<const Real, 3> images);
std::vector<Real> read_latents(const parallel::Communicator& comm, const std::string& path,
                               Index width);
/// Images first .. first + count - 1 of the test set, [count, pixels].
std::vector<Real> read_test_images(const parallel::Communicator& comm, const std::string& set,
                                   Index first, Index count);

}  // namespace deeppcr::app::storage
