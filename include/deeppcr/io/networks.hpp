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

/// [S, channels, height, width]: one channel is grey, three are colours; 0 black and 1 white.
using Images = View<const Real, 4>;

/// What generation writes. Views may be empty.
struct Samples {
  View<const Real, 2> latents;     ///< [S, n]
  Images images;                   ///< grey ones become [S, height, width]
  View<const Real, 3> trajectory;  ///< [L + 1, S, n]
  View<const Real, 3> noise;       ///< [L, S, n], what steps add
};
/// Collective; rank 0's values are written. The file takes its name when it is whole.
void write_samples(const parallel::Communicator& comm, const std::string& path,
                   const Provenance& provenance, const Samples& samples);
/// /latents of such a file, [S, n], on every rank. Collective.
std::vector<Real> read_latents(const parallel::Communicator& comm, const std::string& path,
                               Index width);

/// A dataset of so many numbers, whatever its shape, on every rank. Collective.
std::vector<Real> read_numbers(const parallel::Communicator& comm, const std::string& path,
                               const std::string& dataset, Index count);

/// What samples are conditioned on.
struct Embeddings {
  std::vector<Real> values;   ///< [S, shape]
  std::vector<Index> shape;   ///< of one
  std::vector<Real> of_none;  ///< [shape], for guidance; empty: not there
};
/// /embedding [S, ..], or [1, ..] for all S samples, and /null_embedding of a file, on every rank.
/// Collective.
Embeddings read_embeddings(const parallel::Communicator& comm, const std::string& path,
                           Index samples);

/// Images in a grid as a PNG file, the first at the top left, rows as long as columns or by one
/// longer. What lies outside of 0..1 is cut off. This rank alone writes.
/// @throws Error that names the path and the reason
void write_image_grid(const std::string& path, const Images& images);

}  // namespace deeppcr::io
