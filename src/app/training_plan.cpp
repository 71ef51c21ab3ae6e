#include "app/training_plan.hpp"

#include <algorithm>

namespace deeppcr::app {

train::Trainer::Options trainer_options(const TrainConfig& config, const train::Images& images) {
  train::Trainer::Options options;
  options.optimiser = config.optimiser;
  options.schedule = config.schedule;
  options.samples = images.count();
  options.batch = config.chain.batch;
  options.seed = config.chain.model.seed;
  options.schedule.total = config.epochs * (options.samples / std::max<Index>(1, options.batch));
  return options;
}

TrainingPlan make_plan(const TrainConfig& config, Index updates_per_epoch,
                       std::vector<Index> first_steps) {
  TrainingPlan plan;
  plan.files = config.files;
  plan.updates_to_save = config.updates_to_save;
  plan.last_update = config.epochs * updates_per_epoch;
  if (config.max_updates > 0) plan.last_update = std::min(plan.last_update, config.max_updates);
  const models::ModelOptions& model = config.chain.model;
  plan.model = {model.model, model.steps, model.width, config.chain.batch,
                static_cast<Index>(model.seed)};
  plan.first_steps = std::move(first_steps);
  plan.samples_per_update = config.chain.batch;
  plan.updates_per_evaluation = config.epochs_per_evaluation * updates_per_epoch;
  return plan;
}

}  // namespace deeppcr::app
