#pragma once

#include <memory>
#include <string>

#include "app/examples.hpp"
#include "app/train_config.hpp"
#include "deeppcr/models/end.hpp"
#include "deeppcr/parallel/process_grid.hpp"

namespace deeppcr::app {

/// @throws Error for --embedding, --head and --save-module beside a model that has no such files
void refuse_modules(const OptionValues& options);

/// Opens the modules before and behind the chain, where there are any, once the model was looked
/// at. Collective. @throws Error for files that are no ends, or do not fit the chain and the loss
void look_at_ends(const parallel::Communicator& comm, const TrainConfig& config);
/// What a network takes and makes is what these modules do. @pre look_at_ends()
void adopt_ends(const TrainConfig& config, KnownNetwork& known);
/// The module for a role, with its stored weights; null where it is a linear layer.
std::unique_ptr<models::End> make_end(const TrainConfig& config, models::LayerRole role);

/// "x.pt" -> "x.head.pt"
std::string module_beside(const std::string& path, models::LayerRole role);
/// A trained chain, of whose steps each rank in depth has some, and its ends.
struct TrainedModules {
  sequence::Sequence& chain;
  const models::End* embedding;  ///< of rank 0
  models::End* head;
  int head_owner;  ///< the rank in depth that has trained it
};
/// Writes them to --save-module. Collective.
void save_modules(const parallel::ProcessGrid& grid, const TrainedModules& trained,
                  const TrainConfig& config);

}  // namespace deeppcr::app
