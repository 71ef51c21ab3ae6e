#pragma once

#include <string>
#include <vector>

#include "deeppcr/core/types.hpp"
#include "deeppcr/core/view.hpp"
#include "deeppcr/io/provenance.hpp"

namespace deeppcr::io {

/// A network by name in a file: its sizes and all its parameters in a row. Training checkpoints
/// hold /NAME/shape and /NAME/parameters (float64), and so do files that were packed from them
/// (float32, compressed).
struct StoredNetwork {
  std::vector<Index> shape;
  std::vector<Real> parameters;
};

/// Reads /state/name/shape and /state/name/parameters on every rank. Collective.
/// @throws Error (on all ranks) when the file has no such network, or another number of sizes
StoredNetwork read_network(const parallel::Communicator& comm, const std::string& path,
                           const std::string& name, std::size_t sizes);

/// What generation writes. Views may be empty.
struct Samples {
  View<const Real, 2> latents;     ///< [S, n]
  View<const Real, 3> images;      ///< [S, height, width]
  View<const Real, 3> trajectory;  ///< [L + 1, S, n]
};
/// Collective; rank 0's values are written. The file takes its name when it is whole.
void write_samples(const parallel::Communicator& comm, const std::string& path,
                   const Provenance& provenance, const Samples& samples);
/// /latents of such a file, [S, n], on every rank. Collective.
std::vector<Real> read_latents(const parallel::Communicator& comm, const std::string& path,
                               Index width);

/// Grey images in a grid as a PNG file, the first at the top left, rows as long as columns or by
/// one longer. Shape: images [S, height, width], 0 black and 1 white; what lies outside is cut off.
/// This rank alone writes. @throws Error that names the path and the reason
void write_image_grid(const std::string& path, View<const Real, 3> images);

}  // namespace deeppcr::io
