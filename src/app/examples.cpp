#include "app/examples.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "app/chain_loss.hpp"
#include "app/ends.hpp"
#include "app/signals.hpp"
#include "app/train_diffusion.hpp"
#include "app/training_files.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/log.hpp"
#include "deeppcr/io/batch.hpp"
#include "deeppcr/models/catalogue.hpp"
#include "deeppcr/models/loss.hpp"
#include "deeppcr/parallel/runtime.hpp"

namespace deeppcr::app {
namespace {

/// Labels on all ranks, pixels on the root.
train::Images read_images(const parallel::Communicator& comm, const TrainConfig& config,
                          bool training_set) {
  const Index samples = training_set ? config.samples : config.test_samples;
  train::Images images;
  parallel::agree(comm, [&] {
    if (!comm.is_root()) return;
    if (config.chain.data == "random") {
      const Index usual = training_set ? 4096 : 1024;
      images = train::Images::random(samples > 0 ? samples : usual, config.chain.model.seed,
                                     training_set ? 0 : 1);
      return;
    }
    io::ImageSelection selection{training_set, std::nullopt, 0};
    if (samples > 0) selection.samples = samples;
    io::ImageSet read = io::read_image_set(config.chain.data, selection);
    images = {read.height, read.width, std::move(read.pixels), std::move(read.labels)};
  });
  images.broadcast_labels(comm);
  images.permute(config.sequences.permutation);
  return images;
}

void check_sizes(const train::Images& training, const train::Images& test,
                 const TrainConfig& config) {
  if (training.height() != test.height() || training.width() != test.width()) {
    throw input_error(
        "--data {}: its test images (t10k) have {} x {} pixels, its training images (train) {} x "
        "{}; both must have the same size",
        config.chain.data, test.height(), test.width(), training.height(), training.width());
  }
  const Index side = std::min(training.height(), training.width());
  if (config.augmentation.shift >= side) {
    throw input_error(
        "--shift {}: the images of {} have {} x {} pixels; {} at most leave some of them",
        config.augmentation.shift, config.chain.data, training.height(), training.width(),
        side - 1);
  }
}

/// An image as a sequence: its rows, or its pixels.
ExampleSets sets_of(std::unique_ptr<train::Images> training, std::unique_ptr<train::Images> test,
                    const TrainConfig& config) {
  ExampleSets sets;
  const bool pixels = config.sequences.as == "pixels";
  sets.steps = pixels ? test->features() : test->height();
  sets.features = pixels ? 1 : test->width();
  sets.training = std::move(training);
  sets.test = std::move(test);
  return sets;
}

}  // namespace

train::Images load_images(const parallel::ProcessGrid& grid, const TrainConfig& config,
                          bool training_set) {
  train::Images images = read_images(grid.world(), config, training_set);
  images.distribute(grid);
  return images;
}

ImageSets load_image_sets(const parallel::ProcessGrid& grid, const TrainConfig& config) {
  ImageSets sets{load_images(grid, config, true), load_images(grid, config, false)};
  check_sizes(sets.training, sets.test, config);
  return sets;
}

void ExampleSets::distribute(const parallel::ProcessGrid& grid) const {
  if (training) training->distribute(grid);
  test->distribute(grid);
}

namespace {

ExampleSets load_sets(const parallel::Communicator& comm, const TrainConfig& config) {
  if (!config.sequences.input.empty()) return load_signals(comm, config, true);
  auto training = std::make_unique<train::Images>(read_images(comm, config, true));
  auto test = std::make_unique<train::Images>(read_images(comm, config, false));
  check_sizes(*training, *test, config);
  return sets_of(std::move(training), std::move(test), config);
}

ExampleSets load_test_set(const parallel::Communicator& comm, const TrainConfig& config) {
  if (!config.sequences.input.empty()) return load_signals(comm, config, false);
  return sets_of(nullptr, std::make_unique<train::Images>(read_images(comm, config, false)),
                 config);
}

}  // namespace

ExampleSets load_examples(const parallel::Communicator& comm, const TrainConfig& config) {
  ExampleSets sets = load_sets(comm, config);
  sets.training =
      binary_training_set(std::move(sets.training), config.binary, config.chain.model.seed);
  sets.test = binary_test_set(std::move(sets.test), config.binary, config.chain.loss);
  return sets;
}

ExampleSets load_test_examples(const parallel::Communicator& comm, const TrainConfig& config) {
  ExampleSets sets = load_test_set(comm, config);
  sets.test = binary_test_set(std::move(sets.test), config.binary, config.chain.loss);
  return sets;
}

bool takes_sequences(const models::ModelOptions& model) { return model.own.has("features"); }

void refuse_sequence_options(const OptionValues& options, const models::ModelOptions& model) {
  for (const char* name : {"as", "truncate"}) {
    if (options.given(name) && !takes_sequences(model))
      throw input_error("--{} is for inputs over time, and --model {} takes none; leave it out",
                        name, model.model);
  }
  if (options.given("permute") && is_diffusion_model(model.model))
    throw input_error("--permute is for chains, and --model {} paints pixels; leave it out",
                      model.model);
}

namespace {

using models::LabelUse;

/// "--input FILE", for the test set "--test-input FILE" where there is one, or "--data NAME".
std::string source_of(const TrainConfig& config, bool is_test = false) {
  const SequenceConfig& files = config.sequences;
  if (files.input.empty()) return "--data " + config.chain.data;
  const bool own = is_test && !files.test_input.empty();
  return own ? "--test-input " + files.test_input : "--input " + files.input;
}

}  // namespace

bool has_truth(const train::Examples& examples, const models::LossOptions& loss) {
  switch (models::find_loss(loss.name).labels) {
    case LabelUse::classes:
    case LabelUse::binary:
    case LabelUse::components:
      return examples.classes() > 0;
    case LabelUse::targets:
      return examples.target_width() > 0;
    case LabelUse::none:
      break;
  }
  return true;
}

namespace {

/// What the loss compares with must be there.
void require_truth(const train::Examples& examples, const TrainConfig& config,
                   const std::string& source) {
  if (has_truth(examples, config.chain.loss)) return;
  const std::string& loss = config.chain.loss.name;
  if (models::find_loss(loss).labels == LabelUse::targets) {
    throw input_error(
        "{}: it has no /targets, which --loss {} compares with; add them, use --target next to "
        "predict the inputs, or --loss cross-entropy",
        source, loss);
  }
  throw input_error(
      "{}: it has no /labels, which --loss {} compares with; add them, or use a "
      "loss of targets: --loss mean-square, with /targets or --target next",
      source, loss);
}

}  // namespace

void require_truths(const ExampleSets& sets, const TrainConfig& config) {
  const std::string test = source_of(config, true);
  if (sets.training) require_truth(*sets.training, config, source_of(config));
  require_truth(*sets.test, config, test);
  const bool targets = models::find_loss(config.chain.loss.name).labels == LabelUse::targets;
  if (targets || !sets.training || sets.training->labels_each() == sets.test->labels_each()) return;
  const auto one = [](const train::Examples& set) {
    return set.labels_each() ? "a step" : "a sample";
  };
  throw input_error("{}: its /labels are one {}, but those of {} one {}; give both of one kind",
                    test, one(*sets.test), source_of(config), one(*sets.training));
}

void fit_chain(const ExampleSets& sets, TrainConfig& config) {
  models::ModelOptions& model = config.chain.model;
  if (!takes_sequences(model)) {
    if (config.sequences.input.empty()) return;
    throw input_error("{}: --model {} takes no inputs over time; recurrent cells do, such as gru",
                      source_of(config), model.model);
  }
  const Index features = model.own.whole("features");
  if (features != 0 && features != sets.features)
    throw input_error(
        "{}: its steps have {} features, not {}; leave --features out, or use the "
        "data that the network is for",
        source_of(config), sets.features, features);
  if (config.sequences.steps_given && model.steps != sets.steps)
    throw input_error("--steps {}: the samples of {} have {} steps; leave it out", model.steps,
                      source_of(config), sets.steps);
  model.own.set("features", static_cast<double>(sets.features));
  model.steps = sets.steps;
}

KnownNetwork known_network(const parallel::Communicator& comm, const TrainConfig& config) {
  const std::string& weights = config.chain.weights;
  if (!weights.empty())
    return {weights, config.chain.stored.features, config.chain.stored_outputs()};
  KnownNetwork known;
  if (const auto path = config.files.restart_path(comm)) {
    const CheckpointOrigin origin = checkpoint_origin(comm, *path);
    known = {origin.path, origin.features, origin.outputs};
  }
  adopt_ends(config, known);
  return known;
}

int outputs_of(const KnownNetwork& network, const TrainConfig& config,
               const train::Examples& examples) {
  if (network.outputs > 0) return static_cast<int>(network.outputs);
  const bool targets = models::find_loss(config.chain.loss.name).labels == LabelUse::targets;
  return targets ? examples.target_width() : std::max(1, examples.classes());
}

namespace {

/// "28 x 28 = 784 pixels" or "12 features".
std::string size_text(const train::Examples& examples) {
  const auto* images = dynamic_cast<const train::Images*>(&examples);
  return images == nullptr ? fmt::format("{} features", examples.features())
                           : fmt::format("{} x {} = {} pixels", images->height(), images->width(),
                                         images->features());
}

/// Labels that count: one a sample, or one for each step that it has.
template <typename Visit>
void each_label(const train::Examples& examples, const Visit& visit) {
  for (Index i = 0; i < examples.count() && examples.classes() > 0; ++i) {
    const Index rows = examples.labels_each() ? examples.length(i) : 1;
    for (Index l = 0; l < rows; ++l) visit(i, examples.label(i, l));
  }
}

}  // namespace

void check_examples(const KnownNetwork& network, int outputs, const TrainConfig& config,
                    const char* set, const train::Examples& examples) {
  const std::string source = source_of(config, std::string(set) == "test");
  const std::string& by_embedding = network.embedding.empty() ? network.file : network.embedding;
  const std::string& by_head = network.head.empty() ? network.file : network.head;
  if (network.features > 0 && network.features != examples.features()) {
    throw input_error("{}: its samples have {}, but the network of {} takes {}", source,
                      size_text(examples), by_embedding, network.features);
  }
  const LabelUse use = models::find_loss(config.chain.loss.name).labels;
  const int targets = examples.target_width();
  if (use == LabelUse::targets && targets > 0 && targets != outputs) {
    throw input_error("{}: its {} targets have {} numbers, but the network has {} outputs{}",
                      source, set, targets, outputs, network.outputs > 0 ? " in " + by_head : "");
  }
  if (use == LabelUse::targets || use == LabelUse::none) return;
  int largest = 0;
  each_label(examples, [&](Index i, int label) {
    largest = std::max(largest, label);
    if (label < outputs) return;
    throw input_error(
        "{}: {} {} {} has the label {}, but there are {} classes, 0 to {}, {}", source, set,
        config.sequences.input.empty() ? "image" : "sample", i, label, outputs, outputs - 1,
        network.outputs > 0 ? "in " + by_head : "by the labels of the training samples");
  });
  check_components(config.chain, largest);
}

void warn_of_new_labels(const TrainConfig& config, const ExampleSets& sets) {
  if (models::find_loss(config.chain.loss.name).labels == LabelUse::targets) return;
  std::set<int> trained;
  each_label(*sets.training, [&](Index, int label) { trained.insert(label); });
  std::set<Index> unknown;
  int example = 0;
  each_label(*sets.test, [&](Index i, int label) {
    if (trained.count(label) > 0) return;
    unknown.insert(i);
    example = label;
  });
  if (unknown.empty()) return;
  const bool images = config.sequences.input.empty();
  log::warn("{}: {} of {} test {} have labels that no training {} has, such as {}",
            images ? config.chain.data : config.sequences.input, unknown.size(), sets.test->count(),
            images ? "images" : "samples", images ? "image" : "sample", example);
}

}  // namespace deeppcr::app
