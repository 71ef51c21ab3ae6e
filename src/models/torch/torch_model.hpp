#pragma once

#include "deeppcr/models/catalogue.hpp"

namespace deeppcr::models {

/// `torch`: steps that are a TorchScript module of a file, by the plug-in.
CatalogueEntry torch_entry();

}  // namespace deeppcr::models
