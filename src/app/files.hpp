#pragma once

#include <string>
#include <vector>

#include "app/config.hpp"
#include "deeppcr/cli/command.hpp"
#include "deeppcr/io/provenance.hpp"
#include "deeppcr/io/weights.hpp"
#include "deeppcr/models/autoencoder.hpp"
#include "deeppcr/models/catalogue.hpp"
#include "deeppcr/models/denoiser.hpp"
#include "deeppcr/models/dense_layer.hpp"
#include "deeppcr/parallel/communicator.hpp"
#include "deeppcr/sequence/sequence.hpp"

namespace deeppcr::app {

/// Where a file of this run comes from: versions, command line, options.
/// Collective.
io::Provenance provenance(const cli::Context& context);

/// The group of parameters that weights files hold of a chain of layers.
constexpr const char* kLayers = "layers";
/// Its rows, or those of recurrent cells, one each. @throws Error for a chain with other parameters
std::vector<View<Real, 2>> stored_rows(sequence::Sequence& model);
/// Whether the groups are recurrent cells, one a layer.
bool are_cells(const std::vector<sequence::ParameterGroup>& groups);
/// Cells as files know them. @pre are_cells()
io::CellsShape cells_shape(const models::ModelOptions& model);
/// @throws Error for a model with other parameters, where --save-weights names a file
void check_save_weights(const models::ModelOptions& model, const std::string& file);

/// Fills the parameters of the local steps from --weights, once they were looked at. Collective.
void read_weights(const parallel::Communicator& comm, const ChainConfig& config,
                  sequence::Sequence& model);
/// How files have the layers of a model.
io::WeightsShape file_shape(const models::ModelOptions& model);

/// What weights files hold of an end that is a linear layer, [inputs + 1, outputs]; empty of null.
View<Real, 2> stored_rows(models::End* end);
/// The parts of a network; embedding and head may be missing.
struct NetworkParts {
  models::ModelOptions model;
  StepSet steps;                                  ///< that this rank writes
  std::vector<View<Real, 2>> parameters;          ///< stored_rows() of those steps
  View<const Real, 2> embedding = {}, head = {};  ///< stored_rows()
};
/// Collective.
void save_weights(const cli::Context& context, const std::string& path,
                  const NetworkParts& network);

/// Trained networks from their checkpoints. Collective.
models::Denoiser read_denoiser(const parallel::Communicator& comm, const std::string& path);
models::Autoencoder read_autoencoder(const parallel::Communicator& comm, const std::string& path);
/// The pair that comes with the program. @throws Error that says where it was looked for
std::string own_networks();

}  // namespace deeppcr::app
