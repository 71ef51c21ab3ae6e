#pragma once

#include <cstdint>
#include <string>

#include "app/binary_classes.hpp"
#include "app/config.hpp"
#include "deeppcr/train/examples.hpp"
#include "deeppcr/train/local_steps.hpp"
#include "deeppcr/train/old_weights.hpp"
#include "deeppcr/train/optimiser.hpp"
#include "deeppcr/train/sharing.hpp"

namespace deeppcr::app {

/// Samples as sequences over time.
struct SequenceConfig {
  std::string input;              ///< a file of signals; empty: images
  std::string test_input;         ///< those to score with; empty: the last samples of `input`
  double test_share = 0;          ///< so many of them; 0: those that were trained with
  Index frame = 1;                ///< samples of a recording in one step
  bool refuse_frame = true;       ///< it is an error beside another kind of file
  bool predicts_next = false;     ///< targets are the inputs of the next step
  std::string as;                 ///< of images: "rows" or "pixels"
  std::uint64_t permutation = 0;  ///< of pixels, by this seed; 0: none
  bool steps_given = false;       ///< else the samples say how many there are
  Index truncate = 0;             ///< steps that gradients flow back; 0: all
};

/// The options of `train`.
struct TrainConfig {
  ChainConfig chain;  ///< batch: of the whole grid
  Index samples = 0;  ///< of the training set; 0: all
  Index test_samples = 0;
  Index epochs = 1;
  Index max_updates = 0;  ///< 0: as the epochs say
  Index epochs_per_evaluation = 1;
  train::OptimiserOptions optimiser;
  train::LocalSteps local;
  train::Delay delay;
  bool shards_by_class = false;  ///< each data rank has samples of few classes
  train::Schedule schedule;      ///< total is not set yet
  train::Augmentation augmentation;
  SequenceConfig sequences;
  BinaryConfig binary;
  train::Sharing sharing;
  Index trajectories_kept = 0;
  std::string autoencoder;      ///< of a denoiser: the file whose latents it denoises
  std::string embedding, head;  ///< modules; empty: linear layers
  FilesConfig files;
  Index updates_to_save = 0;
};

void add_train_options(cli::Options& options);
/// Refuses options of images beside signals, and of signals beside images, as they were typed.
void refuse_mixed_samples(const OptionValues& options);
/// The rule that --optimiser names, with its options and --clip-norm.
train::OptimiserOptions read_optimiser(const OptionValues& options);
/// --clip-norm
OptionSpec clip_norm_option();
/// --schedule with its options, --warm-up and --learning-rate; `total` is not set yet.
train::Schedule read_schedule(const OptionValues& options);
/// Modules as the ends of a chain, and where trained ones go.
void add_module_options(cli::Options& options);
/// The options that say how ranks share the work, which `evaluate` has too.
void add_grid_options(cli::Options& options);
train::Sharing read_sharing(const OptionValues& options);

/// @throws Error for options that contradict each other
TrainConfig read_train_config(const OptionValues& options);

/// The configuration that a checkpoint of `train` was written with. @throws Error where it was
/// written by another command
TrainConfig train_config_from(const std::string& path, const std::string& configuration);

}  // namespace deeppcr::app
