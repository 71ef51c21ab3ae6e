#pragma once

#include <string>

#include "app/train_config.hpp"
#include "deeppcr/parallel/process_grid.hpp"
#include "deeppcr/train/chain_network.hpp"

namespace deeppcr::app {

/// Training or test images for the ranks of a grid: labels on all, pixels on the first rank in
/// depth. Collective.
train::Images load_images(const parallel::ProcessGrid& grid, const TrainConfig& config,
                          bool training_set);

/// The network that training starts from or that is scored, where a file has one.
struct KnownNetwork {
  std::string file;
  Index features = 0;  ///< 0: not known
  Index classes = 0;   ///< 0: not known
};
/// By --weights or --restart; of no file where there is neither. Collective.
KnownNetwork known_network(const parallel::Communicator& comm, const TrainConfig& config);

/// Both sets, checked before anything is computed with them.
struct ImageSets {
  train::Images training, test;
};
/// Collective. @throws Error where the test images have another size than the training images, or
/// where --shift leaves nothing of them
ImageSets load_image_sets(const parallel::ProcessGrid& grid, const TrainConfig& config);

/// Classes of the network: those of its file, or those that the training images ask for.
int classes_of(const KnownNetwork& network, const train::Images& training);
/// @throws Error for images of another size than the network takes and for a label that it has no
/// class for; `set` is what they are called
void check_images(const KnownNetwork& network, int classes, const TrainConfig& config,
                  const char* set, const train::Images& images);
/// One warning where test images have labels that no training image has.
void warn_of_new_labels(const TrainConfig& config, const ImageSets& images);

/// Refuses what PETSc cannot index and what would not fit into memory. Collective; allocates
/// nothing.
void check_network_size(const parallel::ProcessGrid& grid, const TrainConfig& config,
                        const train::Sharing& sharing, const train::Images& images);

/// What the choice of grid and methods depends on.
train::TrainingProblem training_problem(const TrainConfig& config);
/// Grid and methods, where the user has left them open. @throws Error as train::choose_sharing()
train::Sharing choose_sharing(const TrainConfig& config, int ranks);

/// The steps of each depth rank.
parallel::BlockLayout network_layout(const TrainConfig& config, const train::Sharing& sharing);

/// The network of a configuration with so many classes, with its first weights by the seed or from
/// --weights. Collective. @throws Error for files that do not fit
train::ChainNetwork make_network(const parallel::ProcessGrid& grid, const TrainConfig& config,
                                 const train::Sharing& sharing,
                                 const train::Normalisation& normalisation,
                                 const train::Images& images, int classes);

}  // namespace deeppcr::app
