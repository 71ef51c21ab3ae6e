#pragma once

#include <string>

#include "app/train_config.hpp"
#include "deeppcr/parallel/process_grid.hpp"
#include "deeppcr/train/chain_network.hpp"

namespace deeppcr::app {

/// Refuses what PETSc cannot index and what would not fit into memory. Collective; allocates
/// nothing.
void check_network_size(const parallel::ProcessGrid& grid, const TrainConfig& config,
                        const train::Sharing& sharing, const train::Examples& examples,
                        int outputs);

/// What the choice of grid and methods depends on.
train::TrainingProblem training_problem(const TrainConfig& config);
/// Grid and methods, where the user has left them open. @throws Error as train::choose_sharing()
train::Sharing choose_sharing(const TrainConfig& config, int ranks);

/// The steps of each depth rank.
parallel::BlockLayout network_layout(const TrainConfig& config, const train::Sharing& sharing);

/// The network of a configuration with so many outputs, with its first weights by the seed or from
/// --weights. Collective. @throws Error for files that do not fit
train::ChainNetwork make_network(const parallel::ProcessGrid& grid, const TrainConfig& config,
                                 const train::Sharing& sharing,
                                 const train::Normalisation& normalisation,
                                 const train::Examples& examples, int outputs);

}  // namespace deeppcr::app
