#pragma once

#include <string>

#include "app/train_config.hpp"
#include "app/training.hpp"
#include "deeppcr/train/diffusion_training.hpp"

namespace deeppcr::app {

/// What `train` tells at its end.
struct TrainReport {
  TrainConfig config;
  train::Sharing sharing;
  int ranks = 1;
  TrainingResult result;
  Index peak_bytes_per_rank = 0;
};

/// "sequential" or "newton+hybrid", forward, then backward where it differs.
std::string method_of(const train::PassMethods& methods);

/// Prints table or JSON on rank 0; returns the exit code.
int finish(const TrainReport& report, const Context& context);

/// What `evaluate` tells.
struct EvaluationReport {
  std::string checkpoint;
  TrainConfig config;
  int ranks = 1;
  Index updates = 0;  ///< that the checkpoint has behind it
  train::Evaluation evaluation;
  std::vector<train::NoiseBand> bands;  ///< of a denoiser, by level of noise
  double seconds = 0;
};
int finish(const EvaluationReport& report, const Context& context);

}  // namespace deeppcr::app
