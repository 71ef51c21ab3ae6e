#pragma once

#include <vector>

#include "app/train_config.hpp"
#include "app/training.hpp"

namespace deeppcr::app {

/// The optimiser, order and learning rates of a configuration.
train::Trainer::Options trainer_options(const TrainConfig& config, const train::Images& images);

/// What the loop is to do; first_steps [D+1] of the depth ranks. `evaluate` is left out.
TrainingPlan make_plan(const TrainConfig& config, Index updates_per_epoch,
                       std::vector<Index> first_steps);

}  // namespace deeppcr::app
