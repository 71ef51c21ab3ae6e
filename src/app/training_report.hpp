#pragma once

#include <string>

#include "app/report.hpp"
#include "app/train_config.hpp"
#include "app/training_files.hpp"
#include "deeppcr/cli/command.hpp"
#include "deeppcr/train/chain_network.hpp"

namespace deeppcr::app {

/// Updates that the last loss and accuracy are means over.
constexpr Index kRecent = 100;
/// ", accuracy 87.90 %"; nothing for models that classify nothing (NaN).
std::string accuracy_text(double accuracy);
/// "sequential" or "newton+hybrid", forward, then backward where it differs.
std::string method_of(const train::PassMethods& methods);
void add_evaluation(const train::Evaluation& evaluation, Report& report);
/// Prints what `train` tells at its end; the exit code that goes with the status. Collective.
int print(const cli::Context& context, const TrainConfig& config, const train::Sharing& sharing,
          const TrainingResult& result);

}  // namespace deeppcr::app
