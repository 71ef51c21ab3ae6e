#include <algorithm>

#include "app/chain.hpp"
#include "app/ends.hpp"
#include "app/examples.hpp"
#include "app/files.hpp"
#include "app/local_steps_config.hpp"
#include "app/network.hpp"
#include "app/raw_inputs.hpp"
#include "app/run_commands.hpp"
#include "app/train_diffusion.hpp"
#include "app/training.hpp"
#include "app/training_report.hpp"
#include "deeppcr/app/program.hpp"
#include "deeppcr/cli/options.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/log.hpp"

namespace deeppcr::app {
namespace {

TrainConfig checked_config(const OptionValues& options, const cli::Context& context) {
  TrainConfig config = read_train_config(options);
  look_at_files(context.comm, config.chain);
  look_at_ends(context.comm, config);
  check_save_weights(config.chain.model, config.files.save_weights);
  if (!config.files.restart.empty() && config.files.checkpoint.empty() &&
      config.files.save_weights.empty() && config.files.save_module.empty())
    log::warn("--restart {} without --checkpoint: nothing keeps what this run trains",
              config.files.restart);
  return config;
}

/// The head comes to the rank that writes; rows that several data ranks have are written once.
void save_weights(const parallel::ProcessGrid& grid, train::ChainNetwork& network,
                  const TrainConfig& config, const train::Sharing& sharing,
                  const cli::Context& context) {
  train::ChainNetwork::Parts& parts = network.parts();
  const int owner = network_layout(config, sharing).owner(config.chain.model.steps - 1);
  models::End* head = parts.loss->head();
  if (head != nullptr)
    grid.depth().broadcast(head->parameters().data(), head->parameters().size(), owner);
  StepSet steps = parts.sequence->local_steps();
  std::vector<View<Real, 2>> parameters = stored_rows(*parts.sequence);
  Buffer<Real> first;  // layer 0 of cells as a file has it
  const models::ModelOptions& model = config.chain.model;
  if (are_cells(parts.sequence->parameters())) {
    first.reset(parameters.front().size());
    std::copy_n(parameters.front().data(), first.size(), first.data());
    parameters.front() = View<Real, 2>(first.data(), {1, first.size()});
    take_raw_inputs(cells_shape(model), network.normalisation(), parameters.front()[0]);
  } else if (grid.data().rank() > 0) {
    steps = StepSet();
    parameters.front() = parameters.front().slice(0, 0);
  }
  app::save_weights(
      context, config.files.save_weights,
      {model, steps, parameters, stored_rows(parts.embedding.get()), stored_rows(head)});
}

/// The configuration that checkpoints keep: with the sizes that samples and files have decided.
std::string resolved(const OptionValues& options, const TrainConfig& config) {
  OptionValues values = options;
  const models::ModelOptions& model = config.chain.model;
  values.set("steps", static_cast<double>(model.steps));
  values.set("width", static_cast<double>(model.width));
  if (takes_sequences(model)) values.set("features", model.own.text("features"));
  return cli::configuration_text(cli::find_command(commands(), "train"), values);
}

void warn_of_long_windows(const TrainConfig& config, const ExampleSets& sets) {
  if (config.sequences.truncate < sets.steps) return;
  log::warn(
      "--truncate {} changes nothing: the samples have {} steps, and gradients flow through all",
      config.sequences.truncate, sets.steps);
}

/// How the ranks share the work.
void tell(const TrainConfig& config, const train::Sharing& sharing) {
  log::info("{} on {} depth x {} data ranks", method_of(sharing.methods), sharing.depth_ranks,
            sharing.data_ranks);
  if (!sharing.advice.empty()) log::info("{}", sharing.advice);
  if (config.local.own_gradients && sharing.data_ranks == 1 && sharing.depth_ranks > 1)
    log::warn(
        "--clip local makes no difference: there is one data rank; use --data-ranks {} for "
        "rounds of all ranks",
        sharing.depth_ranks);
}

/// What --save-weights and --save-module ask for. Collective.
void save_parts(const cli::Context& context, const parallel::ProcessGrid& grid,
                train::ChainNetwork& network, const TrainConfig& config,
                const train::Sharing& sharing) {
  if (!config.files.save_weights.empty()) save_weights(grid, network, config, sharing, context);
  if (!config.files.save_module.empty())
    save_modules(
        grid,
        {*network.parts().sequence, network.parts().embedding.get(), network.parts().loss->head(),
         network_layout(config, sharing).owner(config.chain.model.steps - 1)},
        config);
}

}  // namespace

int run_train(const OptionValues& options, const cli::Context& given) {
  refuse_modules(options);
  refuse_drift_bound(options);
  if (is_diffusion_model(options.text("model"))) return train_diffusion(options, given);
  refuse_mixed_samples(options);
  TrainConfig config = checked_config(options, given);
  refuse_sequence_options(options, config.chain.model);
  const ExampleSets sets = load_examples(given.comm, config);
  require_truths(sets, config);
  fit_chain(sets, config);
  warn_of_long_windows(config, sets);
  cli::Context context = given;
  context.configuration = resolved(options, config);
  settle_tolerance("newton-rtol", options.given("newton-rtol"), config.chain.model,
                   config.sharing.methods.settings.tolerance);
  const train::Sharing sharing = choose_sharing(config, context.comm.size());
  const parallel::ProcessGrid grid(context.comm, sharing.depth_ranks, sharing.data_ranks);
  const KnownNetwork known = known_network(context.comm, config);
  const int outputs = outputs_of(known, config, *sets.training);
  check_examples(known, outputs, config, "training", *sets.training);
  check_examples(known, outputs, config, "test", *sets.test);
  warn_of_new_labels(config, sets);
  check_network_size(grid, config, sharing, *sets.training, outputs);
  sets.distribute(grid);
  train::ChainNetwork network =
      make_network(grid, config, sharing, sets.training->normalisation(), *sets.training, outputs);
  tell(config, sharing);
  TrainingResult result =
      run_training(context, grid, config, network, *sets.training, network_layout(config, sharing),
                   [&] { return network.evaluate(*sets.test); });
  result.pipeline = network.pipeline();
  save_parts(context, grid, network, config, sharing);
  return print(context, config, sharing, result);
}

}  // namespace deeppcr::app
