#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "app/config.hpp"
#include "app/training_files.hpp"
#include "deeppcr/app/command.hpp"
#include "deeppcr/nonlinear/report.hpp"
#include "deeppcr/train/chain_network.hpp"
#include "deeppcr/train/trainer.hpp"

namespace deeppcr::app {

/// What the loop around a trainer needs to know; the same for every model.
struct TrainingPlan {
  FilesConfig files;
  Index updates_to_save = 0;  ///< updates between checkpoints; 0: by the clock alone
  Index last_update = 0;      ///< the run is done after so many, over all its parts
  storage::TrainedModel model;
  std::vector<Index> first_steps;  ///< of the depth ranks, [D+1]
  Index samples_per_update = 0;
  Index updates_per_evaluation = 0;  ///< 0: none but the last
  /// Scores the model on other samples; may be empty. Collective.
  std::function<train::Evaluation()> evaluate;
};

/// How a training run ended.
struct TrainingResult {
  nonlinear::Status status = nonlinear::Status::converged;
  std::string reason;      ///< a sentence where it failed or was stopped
  std::string checkpoint;  ///< the last one written; empty without
  Index updates = 0;       ///< of all parts of the run
  Index updates_before = 0;
  double seconds = 0;             ///< of this part
  double checkpoint_seconds = 0;  ///< spent on writing them
  train::History history;
  std::optional<train::Evaluation> evaluation;  ///< the last one
};

/// ", accuracy 87.90 %"; nothing for models that classify nothing (NaN).
std::string accuracy_text(double accuracy);

/// Trains until the last update, a stop (signal, STOP file, --max-hours) or a loss that is no
/// number, with trace, checkpoints and progress. Goes on from a checkpoint where the files say so.
/// Collective.
TrainingResult run_training(const Context& context, const parallel::ProcessGrid& grid,
                            train::Trainable& model, train::Trainer& trainer,
                            const TrainingPlan& plan);

}  // namespace deeppcr::app
