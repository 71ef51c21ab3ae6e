#pragma once

#include <cstdint>

namespace deeppcr::models {

class TorchDenoiserFile;

/// Tries a denoising network at random states, some of the times 0..times-1 and conditions: values
/// that do not depend on the call or on other rows, and derivatives that are theirs.
/// Cost: ten evaluations of three rows. @throws Error (of this rank) with the first fault, in one
/// sentence
void check_torch_denoiser(const TorchDenoiserFile& file, std::int64_t times);

}  // namespace deeppcr::models
