#pragma once

#include <string>
#include <vector>

#include "deeppcr/models/sampler_config.hpp"

namespace deeppcr::io {

/// What a scheduler_config.json says.
struct SamplerFile {
  models::SamplerConfig config;
  std::vector<std::string> ignored;  ///< fields that its class does not have, for a warning
};

/// Reads the text of such a file. Fields that are missing, or null, are at the defaults of their
/// class.
/// @throws Error that names the file, the field, its value and what is allowed, also where the
/// value asks for something that is not computed
SamplerFile read_sampler_config(const std::string& text, const std::string& file);

}  // namespace deeppcr::io
