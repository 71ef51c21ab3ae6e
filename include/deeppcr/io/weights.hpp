#pragma once

#include <map>
#include <string>
#include <vector>

#include "deeppcr/core/view.hpp"
#include "deeppcr/io/hdf5_file.hpp"
#include "deeppcr/io/provenance.hpp"
#include "deeppcr/sequence/trajectory.hpp"

namespace deeppcr::io {

/// What a weights file holds, so that options can be taken from it.
struct WeightsShape {
  Index num_steps = 0;     ///< L
  Index width = 0;         ///< n
  Index block_layers = 1;  ///< fully connected layers of one step
  bool bias = true;        ///< without: read as zero
  Index features = 0;      ///< columns of /embedding/weight, 0 where there is none
  Index classes = 0;       ///< rows of /head/weight, 0 where there is none
  bool stacked = true;     ///< one dataset for all layers, else one a layer
  bool nested =
      false;  ///< with an axis (or level of groups) for the block's layers, even if it has just one
  /// What the file says of its model: attributes of the root by name, as text ("model", and options
  /// of that model).
  std::map<std::string, std::string> settings;
  /// Attributes that are no text and no number, or not at the root; for a warning.
  std::vector<std::string> unknown_attributes;

  Index parameters_per_step() const { return block_layers * (width * width + width); }
};

/// Collective: rank 0 looks, all get the answer. @throws Error (on all ranks) when the file is no
/// weights file:
///   /layers/weight [L, n, n] or [L, block_layers, n, n], /layers/bias [L, n] or [L, block_layers,
///   n]; or /layers/0/weight [n, n] .. or /layers/0/0/weight ..; optional /embedding, /head.
///   float32 or float64, row-major [out, in]. All layers are looked at, and must be alike; members
///   that nobody reads are refused. /inputs, /labels, /lengths and /targets may stand beside them.
WeightsShape inspect_weights(const parallel::Communicator& comm, const std::string& path);

/// Reads the layers of the local steps only. Shapes: parameters [steps.size(),
/// parameters_per_step()], for each block layer W column-major, then b. Values are taken as they
/// are, not-a-numbers too. Collective.
void read_weights(const parallel::Communicator& comm, const std::string& path,
                  const WeightsShape& shape, const StepSet& steps, View<Real, 2> parameters);
/// Fills the rows of a fully connected layer outside the chain, one for each input, then the bias
/// [in + 1, out], from "/embedding" or "/head", on every rank. Collective. @throws Error (on all
/// ranks) where the file has none, or one of other sizes
void read_dense_layer(const parallel::Communicator& comm, const std::string& path,
                      const std::string& group, View<Real, 2> rows);

/// Parameters or gradients of the chain, in the layout of weights files: group + "/layers/weight"
/// [L, n, n] (or [L, block_layers, n, n]) and "/layers/bias". `steps` are those that this rank
/// writes, each step by one rank (BlockLayout::written_steps()); `local` as in read_weights(), or
/// without b, which is written as zero. Collective.
void write_layers(hdf5::File& file, const std::string& group, const WeightsShape& shape,
                  const StepSet& steps, View<const Real, 2> local, const std::string& what);
/// group + "/weight" [out, in] and "/bias" [out], from rank 0's rows [in + 1, out]. Collective.
void write_dense_layer(hdf5::File& file, const std::string& group, View<const Real, 2> rows,
                       const std::string& what);
/// name [B, n], from the rank that owns it (z_0 for L = 0). Collective.
void write_last_state(hdf5::File& file, const sequence::Trajectory& trajectory,
                      const std::string& name = "/z_last");

/// Writes a weights file that read_weights() reads (stacked, float64). Collective.
struct WeightsToSave {
  WeightsShape shape;
  StepSet steps;  ///< that this rank writes, as in write_layers()
  View<const Real, 2> parameters;
  View<const Real, 2> embedding = {};  ///< as in write_dense_layer(); empty: none
  View<const Real, 2> head = {};
};
/// shape.settings become attributes.
void write_weights(const parallel::Communicator& comm, const std::string& path,
                   const Provenance& provenance, const WeightsToSave& weights);

}  // namespace deeppcr::io
