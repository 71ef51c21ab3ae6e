#pragma once

#include <functional>
#include <string>
#include <vector>

#include "app/train_config.hpp"
#include "app/training_files.hpp"
#include "deeppcr/cli/command.hpp"
#include "deeppcr/train/chain_network.hpp"
#include "deeppcr/train/trainer.hpp"

namespace deeppcr::app {

/// The optimiser, order and learning rates of a configuration. @throws Error where samples have no
/// class that shards could be by
train::Trainer::Options trainer_options(const TrainConfig& config, const train::Examples& examples,
                                        int data_ranks);

/// Trains until the last update, a stop (signal, STOP file, --max-hours) or a loss that is no
/// number, with trace, checkpoints and progress; the same for every model. Goes on from a
/// checkpoint where the files say so. layout: of the steps over the depth ranks. evaluate: scores
/// the model on other samples, collectively. Collective.
TrainingResult run_training(const cli::Context& context, const parallel::ProcessGrid& grid,
                            const TrainConfig& config, train::Trainable& model,
                            const train::Examples& examples, const parallel::BlockLayout& layout,
                            const std::function<train::Evaluation()>& evaluate);

}  // namespace deeppcr::app
