#include "app/over_time.hpp"

#include <algorithm>
#include <cmath>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/log.hpp"
#include "deeppcr/io/checkpoint.hpp"
#include "deeppcr/io/hdf5_file.hpp"

namespace deeppcr::app {
namespace {

constexpr const char* kFeatures = "features";

void adopt_features(ChainConfig& config, Index features) {
  models::ModelOptions& model = config.model;
  const auto& options = models::find(model.model).options;
  const bool open = std::any_of(options.begin(), options.end(),
                                [](const OptionSpec& option) { return option.name == kFeatures; });
  const Index asked =
      open ? OptionValues(options, model.own).whole(kFeatures) : models::input_width(model);
  if (open && asked == 0) {
    model.set(kFeatures, std::to_string(features));
    return;
  }
  if (asked == features) return;
  throw input_error("--input {}: it has {} features at each step, but {} takes {}{}", config.input,
                    features, config.cells ? config.weights : "--model " + model.model, asked,
                    config.cells ? "" : "; leave --features out");
}

/// Of two checksums one.
Index joined(Index a, std::uint32_t b) { return (a * 31 + b) & 0x7fffffffffff; }

/// A number that tells these sequences from others, for --restart.
Index checksum_of(const io::Signals& signals) {
  Index sum = joined(1, io::checksum(signals.inputs.data(), signals.inputs.size()));
  for (const Index size : {signals.steps, signals.samples, signals.features})
    sum = joined(sum, static_cast<std::uint32_t>(size));
  for (const Index length : signals.lengths) sum = joined(sum, static_cast<std::uint32_t>(length));
  return sum;
}

}  // namespace

io::Signals read_sequences(const parallel::Communicator& comm, const std::string& path,
                           const io::SignalOptions& options) {
  const Index frame = options.frame;
  constexpr Index kMostFeatures = Index{1} << 15;
  io::Signals signals = io::read_signals(comm, path, options);
  if (!signals.unknown_attributes.empty()) {
    log::warn("'{}': nothing here understands its attributes {}; they are passed over", path,
              fmt::join(signals.unknown_attributes, ", "));
  }
  if (signals.features <= kMostFeatures) return signals;
  if (frame == 1) {
    throw input_error("--input {}: it has {} features at each step, {} at most are possible", path,
                      signals.features, kMostFeatures);
  }
  throw input_error(
      "--frame {}: a step of {} has {} numbers (the frame times the channels), {} at most are "
      "possible; use a shorter frame",
      frame, path, signals.features, kMostFeatures);
}

void adopt_signals(const parallel::Communicator& comm, ChainConfig& config) {
  auto read =
      std::make_shared<io::Signals>(read_sequences(comm, config.input, {config.frame, true}));
  const io::Signals& signals = *read;
  if (!config.batch_given) config.batch = signals.samples;
  if (config.batch > signals.samples) {
    throw input_error("--batch {}: {} has {} samples; use a smaller --batch or leave it out",
                      config.batch, config.input, signals.samples);
  }
  if (!config.steps_given) config.model.steps = signals.steps;
  if (config.model.steps > signals.steps) {
    throw input_error("--steps {}: {} has {} steps; use fewer or leave it out", config.model.steps,
                      config.input, signals.steps);
  }
  adopt_features(config, signals.features);
  config.inputs = checksum_of(signals);
  config.signals = std::move(read);
}

std::vector<Index> lengths_of(const ChainConfig& config) {
  if (!config.signals || config.signals->lengths.empty()) return {};
  const std::vector<Index>& all = config.signals->lengths;
  std::vector<Index> lengths(all.begin(), all.begin() + config.batch);
  for (Index& length : lengths) length = std::min(length, config.model.steps);
  return lengths;
}

std::vector<int> labels_of(const ChainConfig& config) {
  std::vector<int> labels;
  if (!config.signals || config.signals->labels.empty()) return labels;
  const io::Signals& signals = *config.signals;
  const Index rows = signals.labels_each ? std::max<Index>(config.model.steps, 1) : 1;
  for (Index l = 0; l < rows; ++l)
    for (Index b = 0; b < config.batch; ++b)
      labels.push_back(
          static_cast<int>(signals.labels[static_cast<std::size_t>(l * signals.samples + b)]));
  return labels;
}

sequence::Inputs inputs_of(const io::Signals& signals) {
  return {StepRange{0, signals.steps},
          {signals.inputs.data(), {signals.steps, signals.samples, signals.features}}};
}

sequence::Inputs targets_of(const io::Signals& signals) {
  if (signals.target_width == 0) return {};
  return {StepRange{0, signals.steps},
          {signals.targets.data(), {signals.steps, signals.samples, signals.target_width}}};
}

void read_first_state(const parallel::Communicator& comm, const ChainConfig& config, State z0) {
  const std::string& path = config.state;
  parallel::agree(comm, [&] {
    if (!comm.is_root()) return;
    const auto file = io::hdf5::File::open(path, io::hdf5::File::Access::read);
    if (!file.has("/state") || !file.is_dataset("/state"))
      throw local_input_error("--state {}: it has no /state [{}, {}], as solve --output writes it",
                              path, z0.extent(0), z0.extent(1));
    const io::hdf5::Shape shape = file.shape("/state");
    const auto kind = file.kind("/state");
    if (shape != io::hdf5::Shape{z0.extent(0), z0.extent(1)} ||
        kind == io::hdf5::File::Kind::text || kind == io::hdf5::File::Kind::other)
      throw local_input_error(
          "--state {}: its /state must be {} x {} numbers, a row a sample{}", path, z0.extent(0),
          z0.extent(1), shape.size() == 2 ? fmt::format(", not {} x {}", shape[0], shape[1]) : "");
    const std::vector<Real> values = file.read<Real>("/state");
    const auto bad = std::find_if_not(values.begin(), values.end(),
                                      [](Real value) { return std::isfinite(value); });
    if (bad != values.end()) {
      const Index at = bad - values.begin();
      throw local_input_error(
          "--state {}: its /state has {} in row {}, column {}; every number "
          "must be finite",
          path, *bad, at / z0.extent(1), at % z0.extent(1));
    }
    std::copy(values.begin(), values.end(), z0.data());
  });
  comm.broadcast(z0.data(), z0.size(), 0);
}

}  // namespace deeppcr::app
