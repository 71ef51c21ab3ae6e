#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "deeppcr/cli/options.hpp"
#include "deeppcr/io/cell_weights.hpp"
#include "deeppcr/io/provenance.hpp"
#include "deeppcr/io/signals.hpp"
#include "deeppcr/io/weights.hpp"
#include "deeppcr/linear/catalogue.hpp"
#include "deeppcr/models/catalogue.hpp"
#include "deeppcr/models/loss.hpp"
#include "deeppcr/nonlinear/catalogue.hpp"

namespace deeppcr::app {

/// Which chain on which samples.
struct ChainConfig {
  models::ModelOptions model;
  models::LossOptions loss;
  Index batch = 1;
  std::string data;          ///< "random", "fashion-mnist" or a folder
  std::string weights;       ///< file, or empty
  std::string input;         ///< file, or empty
  bool batch_given = false;  ///< else --input says how many samples there are
  bool steps_given = false;  ///< else --input says how many steps, where they take inputs
  bool width_given = false;
  std::string state;        ///< file of the first state, or empty
  Index frame = 1;          ///< samples of a recording in a step
  io::WeightsShape stored;  ///< what the weights file holds, once it was looked at
  /// Recurrent cells in the weights file, in place of `stored`.
  std::optional<io::CellsShape> cells;
  std::shared_ptr<const io::Signals> signals;  ///< what --input holds for steps that take inputs
  Index function = 0;  ///< checksum of a network that the steps are made of; 0: there is none
  Index inputs = 0;    ///< checksum of what --input holds for the steps; 0: there is none

  /// Numbers in a state: the model's width, or several of a cell.
  int state_width() const;
  /// Recurrent cells on top of each other; 0: the steps are none.
  int stacked_cells() const;
  /// Outputs of the head in the weights file; 0 without one.
  Index stored_outputs() const { return cells ? cells->classes : stored.classes; }
  /// The chain as traces and checkpoints have it.
  io::Problem problem() const;
};

/// How the chain is solved.
struct SolverConfig {
  std::string name = "auto";  ///< from nonlinear::catalogue()
  nonlinear::Settings settings;
  bool tolerance_given = false;   ///< else what the model computes in may choose another
  std::string backward = "same";  ///< "same" (as suits the solver), or from backward_names()
  linear::Passes passes = linear::Passes::forward;
  std::string guess;  ///< "copy", "zero", "random", "coarse:K" or a file
  bool verify = false;

  const nonlinear::CatalogueEntry& entry() const { return nonlinear::find(name); }
  std::unique_ptr<nonlinear::Solver> make() const { return entry().make(settings); }
  /// The backward pass, by its name.
  std::string backward_solver() const;
};

/// Where a checkpoint goes that no option names: deeppcr.ckpt.h5 beside the trace or in the current
/// folder.
std::string default_checkpoint(const std::string& trace);

/// What is read and written on the way. Names are empty where nothing is asked for.
struct FilesConfig {
  std::string trace;
  std::string trace_states;
  std::string checkpoint;
  double minutes_to_save = 0;
  std::string restart;  ///< "auto" or a file
  double max_hours = 0;
  std::string save_weights, save_module;
  std::string output;

  /// Where a checkpoint goes: --checkpoint, else default_checkpoint().
  std::string checkpoint_path() const;
  /// What --restart names, "auto" resolved; nothing where there is none. Collective.
  std::optional<std::string> restart_path(const parallel::Communicator& comm) const;
  /// The folder of the run, where a file named STOP ends it.
  std::string folder() const;
};

/// The options of `solve` and `gradient`.
struct RunConfig {
  ChainConfig chain;
  SolverConfig solver;
  FilesConfig files;
};

/// The options of each group, with these default sizes where they are not the same for all
/// commands.
struct DefaultSizes {
  Index steps = 1024;
  Index width = 16;
  Index batch = 8;  ///< 0: the command takes one sample at a time, and has no --batch
};
/// more_models: besides those of the catalogue.
void add_model_options(cli::Options& options, DefaultSizes sizes,
                       const std::vector<cli::OfferedEntry>& more_models = {});
/// Trace, checkpoints, restart: of every command that runs for long; and more of its own.
void add_file_options(cli::Options& options, const std::vector<OptionSpec>& more);
/// Those of states and results.
std::vector<OptionSpec> result_options();
void add_run_options(cli::Options& options);
/// The loss, and what the loss chosen takes.
void add_loss_options(cli::Options& options);
/// Both.
void add_gradient_options(cli::Options& options);

/// @throws Error for combinations of the options of add_file_options() without sense
void check_file_options(const OptionValues& options);
FilesConfig read_files_config(const OptionValues& options);
/// From parsed options. `options` of `check` has no data, weights and input.
ChainConfig read_chain_config(const OptionValues& options);
/// @throws Error for options that contradict each other
RunConfig read_run_config(const OptionValues& options, linear::Passes passes);

}  // namespace deeppcr::app
