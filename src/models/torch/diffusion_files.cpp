#include "deeppcr/models/diffusion_files.hpp"

#include <fmt/format.h>

#include "deeppcr/core/view.hpp"
#include "models/torch/torch_denoiser.hpp"
#include "models/torch/torch_end.hpp"

namespace deeppcr::models {

DenoiserFacts look_at_denoiser(const DenoiserOptions& options) {
  return TorchDenoiserFile::open(options)->facts();
}

std::unique_ptr<DenoisingNetwork> make_denoiser(const DenoiserOptions& options,
                                                const DenoiserConditions& conditions) {
  return std::make_unique<TorchDenoiser>(TorchDenoiserFile::open(options), conditions);
}

Decoder make_decoder(const std::string& option, const std::string& file, int precision,
                     const std::vector<Index>& taken) {
  const auto module = TorchModule::open(option, file, precision, taken);
  const Index numbers = numbers_in(taken);
  if (module->input_width() != numbers)
    module->refuse(
        fmt::format("it takes {} numbers, but the states have {}, {}; use the decoder that was "
                    "trained with the denoising network",
                    module->input_width(), numbers, fmt::join(taken, " x ")));
  const DeepPcrShape& shape = module->facts().shape;
  return {std::make_unique<TorchEnd>(module, option), {shape.sizes, shape.sizes + shape.count}};
}

}  // namespace deeppcr::models
