#pragma once

#include <string>
#include <vector>

#include "deeppcr/cli/command.hpp"
#include "deeppcr/cli/options.hpp"
#include "deeppcr/models/autoencoder.hpp"
#include "deeppcr/train/images.hpp"

namespace deeppcr::app {

/// Models of `train` that are no chains: "autoencoder", "denoiser", with their options.
const std::vector<cli::OfferedEntry>& diffusion_models();
bool is_diffusion_model(const std::string& model);

/// @throws Error where images of `data` have not the pixels of the autoencoder in `path`
void require_pixels(const models::Autoencoder& autoencoder, const std::string& path,
                    const train::Images& images, const std::string& data);

/// `train` for one of them: every rank holds the whole network, samples are split over all ranks.
int train_diffusion(const OptionValues& options, const cli::Context& context);

}  // namespace deeppcr::app
