#pragma once

#include <memory>
#include <string>

#include "app/train_config.hpp"
#include "deeppcr/parallel/process_grid.hpp"
#include "deeppcr/train/images.hpp"

namespace deeppcr::app {

/// Training or test images for the ranks of a grid: labels on all, pixels on the first rank in
/// depth. Collective.
train::Images load_images(const parallel::ProcessGrid& grid, const TrainConfig& config,
                          bool training_set);

/// Both sets, checked before anything is computed with them.
struct ImageSets {
  train::Images training, test;
};
/// Collective. @throws Error where the test images have another size than the training images, or
/// where --shift leaves nothing of them
ImageSets load_image_sets(const parallel::ProcessGrid& grid, const TrainConfig& config);

/// Samples for a chain, images or signals. All ranks know counts and labels; features are where
/// they are needed once Examples::distribute() was called.
struct ExampleSets {
  std::unique_ptr<train::Examples> training, test;
  Index steps = 0, features = 0;  ///< of a sample as a sequence

  void distribute(const parallel::ProcessGrid& grid) const;
};
/// By --data or --input. Signals: --test-input, or the last samples, are the test set; where
/// sequences of the two sets differ in length, they end early. Collective.
/// @throws Error as load_image_sets() and io::read_signals()
ExampleSets load_examples(const parallel::Communicator& comm, const TrainConfig& config);
/// The test set alone.
ExampleSets load_test_examples(const parallel::Communicator& comm, const TrainConfig& config);

/// Whether samples have what the loss compares with.
bool has_truth(const train::Examples& examples, const models::LossOptions& loss);
/// @throws Error for samples that the loss has nothing to compare with, and for two sets that have
/// it in different ways
void require_truths(const ExampleSets& sets, const TrainConfig& config);
/// Gives a model that takes the inputs of a sequence the steps and features of these.
/// @throws Error where the options say otherwise, and for signals and another model
void fit_chain(const ExampleSets& sets, TrainConfig& config);
/// Whether an entry of the catalogue says how many features its steps take: option --features.
bool takes_sequences(const models::ModelOptions& model);
/// @throws Error for options of sequences, as they were typed, beside a model that takes none
void refuse_sequence_options(const OptionValues& options, const models::ModelOptions& model);

/// The network that training starts from or that is scored, where a file has one.
struct KnownNetwork {
  std::string file;
  Index features = 0;                     ///< of its embedding; 0: not known
  Index outputs = 0;                      ///< of its head; 0: not known
  std::string embedding = {}, head = {};  ///< their own files, where they are modules
};
/// By --weights or --restart, and --embedding and --head; of no file where there is none of them.
/// Collective.
KnownNetwork known_network(const parallel::Communicator& comm, const TrainConfig& config);

/// Outputs of the network: those of its file, or as many as the samples have classes or targets.
int outputs_of(const KnownNetwork& network, const TrainConfig& config,
               const train::Examples& examples);
/// @throws Error for samples of another size than the network takes, for a label that it has no
/// class for and for other targets; `set` is what they are called
void check_examples(const KnownNetwork& network, int outputs, const TrainConfig& config,
                    const char* set, const train::Examples& examples);
/// One warning where test samples have labels that no training sample has.
void warn_of_new_labels(const TrainConfig& config, const ExampleSets& sets);

}  // namespace deeppcr::app
