#pragma once

#include "deeppcr/core/view.hpp"
#include "deeppcr/io/cell_weights.hpp"
#include "deeppcr/train/examples.hpp"

namespace deeppcr::app {

/// Recurrent cells are trained on normalised features (x - mean) / deviation, but weights files are
/// for x as it is: what layer 0 adds to its gates is the same,
///   W x + b = W' (x - mean) / deviation + b'   with   W' = W deviation,  b' = b + W mean.
/// Both functions rewrite the row of layer 0; the states of the cells stay the same to rounding.
/// Cost: one pass through W

/// From W', b' to W, b.
void take_raw_inputs(const io::CellsShape& shape, const train::Normalisation& normalisation,
                     View<Real, 1> row);
/// From W, b to W', b'.
void take_normalised_inputs(const io::CellsShape& shape, const train::Normalisation& normalisation,
                            View<Real, 1> row);

}  // namespace deeppcr::app
