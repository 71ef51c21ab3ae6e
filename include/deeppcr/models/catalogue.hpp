#pragma once

#include <deque>
#include <memory>
#include <string>

#include "deeppcr/models/catalogue_entry.hpp"

namespace deeppcr::models {

/// All models by their names: those that come with the library, then those that were added.
const std::deque<CatalogueEntry>& catalogue();

/// Adds a model; to be called before the command line is read. @throws Error for a name that is
/// taken
void add_to_catalogue(CatalogueEntry entry);

/// @throws Error that lists the known models
const CatalogueEntry& find(const std::string& model);

/// Makes a model with the parameters of the `local` steps. They depend on seed and global step
/// only, not on the split.
/// @throws Error for an unknown word (with the known ones) or a size without sense
std::unique_ptr<sequence::Sequence> make(const ModelOptions& options, const StepSet& local);

/// What a step of such a model takes. @throws as make()
StepCost step_cost(const ModelOptions& options);

/// Makes the options those of a chain in a weights file.
/// @throws Error where they contradict it, and for a model that no weights file holds
void adopt(ModelOptions& options, const StoredLayers& stored);

/// Layers in a step, as the option says that its weights file is told by; 1 without.
Index stored_layers(const ModelOptions& options);

}  // namespace deeppcr::models
