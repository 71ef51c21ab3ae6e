#pragma once

#include "deeppcr/models/catalogue.hpp"

namespace deeppcr::models {

/// Multilayer perceptron: step l is sigma(W_l z + b_l).
CatalogueEntry mlp_entry();

/// Residual network: step l is z + h g_l(z), g_l = block layers of sigma(W x + b); with an option
/// the blocks see normalised states.
CatalogueEntry resnet_entry();

/// Random affine steps A_l z + c_l for tests and benchmarks: A_l is a random orthogonal matrix
/// times the contraction, c_l standard normal.
CatalogueEntry affine_entry();

}  // namespace deeppcr::models
