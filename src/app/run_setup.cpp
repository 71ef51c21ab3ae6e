#include "app/run_setup.hpp"

#include "app/storage.hpp"
#include "deeppcr/core/error.hpp"

namespace deeppcr::app {
namespace {

/// Checkpoints and states are written in whole rows, a state each, which MPI counts in bytes with
/// 32 bits. Refused before the run, not at its stop.
void check_file_row(const RunConfig& config) {
  constexpr double kMostNumbers = (1 << 28) - 1;
  const bool iterates = config.solver.entry().iterates;
  const bool writes = iterates || config.files.trace_states != "none";
  const double row = static_cast<double>(config.chain.batch) * config.chain.model.width;
  if (!writes || !storage::unavailable().empty() || row <= kMostNumbers) return;
  throw input_error(
      "batch x width = {:.4g} numbers in a state, at most {:.0f} go into a row of a checkpoint or "
      "trace; use a smaller --batch or --width",
      row, kMostNumbers);
}

}  // namespace

void check_save_weights(const models::ModelOptions& model, const std::string& file) {
  if (file.empty()) return;
  const auto groups = models::make(model, StepRange{0, 0})->parameters();
  if (groups.size() != 1 || groups.front().name != storage::kLayers) {
    throw input_error(
        "--save-weights {}: a weights file holds the layers of a chain, but --model {} has other "
        "parameters; leave it out (a checkpoint of train has them)",
        file, model.model);
  }
}

Setup set_up(const boost::program_options::variables_map& options, linear::Passes passes,
             const Context& context) {
  RunConfig config = read_run_config(options);
  config.solver.passes = passes;
  take_sizes_from_files(context.comm, config.chain);
  check_file_row(config);
  check_sizes(context.comm, config);
  const FilesConfig& files = config.files;
  check_save_weights(config.chain.model, files.save_weights);
  Chain chain = make_chain(context.comm, config);
  if (!files.save_weights.empty()) {
    storage::save_weights(
        context, files.save_weights,
        {config.chain.model, chain.trajectory.layout().written_steps(context.comm.rank()),
         storage::layer_rows(*chain.sequence), chain.embedding ? &*chain.embedding : nullptr,
         chain.loss->head()});
  }
  return {std::move(config), std::move(chain)};
}

}  // namespace deeppcr::app
