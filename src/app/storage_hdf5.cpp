#include <algorithm>
#include <cmath>

#include "app/provenance.hpp"
#include "app/same_run.hpp"
#include "app/storage.hpp"
#include "deeppcr/blocks/gemm.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/log.hpp"
#include "deeppcr/io/batch.hpp"
#include "deeppcr/io/idx.hpp"
#include "deeppcr/io/recognise.hpp"
#include "deeppcr/io/solve_recorder.hpp"
#include "deeppcr/io/trace.hpp"
#include "deeppcr/io/weights.hpp"

namespace deeppcr::app::storage {
namespace {

io::Problem problem(const ChainConfig& chain) {
  return {chain.model.model,
          chain.model.steps,
          chain.batch,
          chain.model.width,
          static_cast<Index>(chain.model.seed),
          chain.function};
}

Samples to_samples(io::Batch batch) {
  return {batch.features, std::move(batch.inputs), {batch.labels.begin(), batch.labels.end()}};
}

/// Between our column-major [out x in] and the files' row-major [out, in].
io::DenseLayer to_file(const models::DenseLayer& layer) {
  io::DenseLayer stored{layer.outputs(), layer.inputs(), {}, {}};
  stored.weight.resize(static_cast<std::size_t>(stored.out * stored.in));
  blocks::transpose(layer.outputs(), layer.inputs(), layer.weights(), stored.weight.data());
  stored.bias.assign(layer.bias(), layer.bias() + layer.outputs());
  return stored;
}

/// What a weights file says of its model.
std::map<std::string, std::string> settings_of(const models::CatalogueEntry& entry,
                                               const models::ModelOptions& model) {
  std::map<std::string, std::string> settings{{"model", entry.name}};
  if (!entry.weights) return settings;
  OptionValues own(entry.options);
  own.take(model.own);
  for (const std::string& name : entry.weights->settings) settings[name] = own.text(name);
  return settings;
}

io::WeightsShape file_shape(const NetworkParts& network) {
  io::WeightsShape shape;
  shape.num_steps = network.model.steps;
  shape.width = network.model.width;
  const models::CatalogueEntry& entry = models::find(network.model.model);
  shape.settings = settings_of(entry, network.model);
  shape.nested = entry.weights && entry.weights->nested;
  shape.block_layers = models::stored_layers(network.model);
  shape.features = network.embedding == nullptr ? 0 : network.embedding->inputs();
  shape.classes = network.head == nullptr ? 0 : network.head->outputs();
  return shape;
}

/// Parameters with a bias of zero where the model has none, as files want them: [m,
/// parameters_per_step()].
Buffer<Real> with_bias(const io::WeightsShape& shape, View<const Real, 2> parameters) {
  const Index steps = parameters.extent(0);
  const Index square = shape.width * shape.width;
  const Index layer = parameters.extent(1) / shape.block_layers;
  const Index stored_layer = square + shape.width;
  Buffer<Real> all(steps * shape.parameters_per_step());
  for (Index i = 0; i < steps * shape.block_layers; ++i)
    std::copy_n(parameters.data() + i * layer, layer, all.data() + i * stored_layer);
  return all;
}

void write_layers(io::ResultsWriter& writer, const NetworkParts& parts) {
  if (parts.parameters.extent(1) > 0) {
    const io::WeightsShape shape = file_shape(parts);
    const Buffer<Real> layers = with_bias(shape, parts.parameters);
    writer.layers("/gradients", shape, parts.steps,
                  {layers.data(), {parts.steps.size(), shape.parameters_per_step()}},
                  "gradient of the loss by the parameters of the chain");
  }
  if (parts.embedding != nullptr) {
    writer.dense_layer("/gradients/embedding", to_file(*parts.embedding),
                       "gradient of the loss by the embedding");
  }
  if (parts.head != nullptr)
    writer.dense_layer("/gradients/head", to_file(*parts.head), "gradient of the loss by the head");
}

/// Refuses a checkpoint that starts from other samples: its z_0 is not the run's.
void require_same_input(const std::string& path, const Buffer<Real>& expected, ConstState stored) {
  constexpr double kSame = 1e-12;
  double largest = 0, difference = 0;
  for (Index i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, std::abs(expected[i]));
    difference = std::max(difference, std::abs(expected[i] - stored.data()[i]));
  }
  if (difference <= kSame * largest) return;
  throw input_error(
      "--restart {}: it starts from another z_0; give the --seed, --data and --input "
      "of the run that wrote it",
      path);
}

class Hdf5Recorder final : public Recorder {
 public:
  Hdf5Recorder(const Context& context, const RunConfig& config,
               const std::optional<Resumed>& resumed, const sequence::Trajectory& trajectory)
      : trajectory_(trajectory), selection_(io::StateSelection::parse(config.files.trace_states)) {
    const io::Provenance about = provenance(context);
    if (!config.files.trace.empty()) {
      io::TraceHeader header;
      header.provenance = about;
      header.problem = problem(config.chain);
      header.layout = trajectory.layout();
      header.stages = config.solver.make()->stages();
      if (header.stages.empty()) header.stages = {"total"};
      header.states = selection_;
      if (resumed) header.iterations_before = resumed->iterations;
      trace_.emplace(context.comm, config.files.trace, header);
    }
    io::CheckpointPlan plan;
    plan.path = config.files.checkpoint_path();
    plan.provenance = about;
    plan.problem = problem(config.chain);
    if (resumed) {
      plan.iterations_before = resumed->iterations;
      plan.seconds_before = resumed->seconds;
    }
    recorder_.emplace(trajectory, trace_ ? &*trace_ : nullptr, std::move(plan));
  }

  Action iteration(const nonlinear::IterationRecord& record, const Real* local_states) override {
    return recorder_->iteration(record, local_states);
  }
  void save(const nonlinear::IterationRecord& record, const Real* local_states) override {
    recorder_->save(record, local_states);
  }

  void finish(const nonlinear::SolveReport& report,
              const std::vector<std::string>& unused_options) override {
    if (!trace_) return;
    trace_->outcome(report, unused_options);
    if (selection_.kind != io::StateSelection::Kind::none) trace_->states(trajectory_);
    trace_->close();
  }

 private:
  const sequence::Trajectory& trajectory_;
  io::StateSelection selection_;
  std::optional<io::Trace> trace_;
  std::optional<io::SolveRecorder> recorder_;
};

}  // namespace

std::string unavailable() { return ""; }
std::string library_version() { return "HDF5 " + io::hdf5::version(); }
std::string program_version() {
  return fmt::format("{} ({})", io::program_version(), io::git_commit());
}

Recognised recognise(const std::string& path) {
  const io::Recognised found = io::recognise(path);
  return {found.format, found.is, found.damaged};
}

Index checksum(View<const Real, 1> parameters) {
  return io::checksum(parameters.data(), parameters.size());
}

std::string states_path(const std::string& trace) { return io::Trace::states_path(trace); }

Samples read_images(const parallel::Communicator& comm, const std::string& set, Index count) {
  io::ImageSelection selection;
  selection.samples = count;
  return to_samples(io::read_images(comm, set, selection));
}

Samples read_input(const parallel::Communicator& comm, const std::string& path, Index count) {
  Samples samples = to_samples(io::read_batch(comm, path));
  if (count == 0) return samples;
  if (samples.batch() < count) {
    throw input_error("--batch {}: {} has {} samples; use a smaller --batch or leave it out", count,
                      path, samples.batch());
  }
  samples.inputs.resize(static_cast<std::size_t>(count * samples.features));
  if (!samples.labels.empty()) samples.labels.resize(static_cast<std::size_t>(count));
  return samples;
}

WeightsSizes weights_sizes(const parallel::Communicator& comm, const std::string& path) {
  const io::WeightsShape shape = io::inspect_weights(comm, path);
  return {shape.num_steps, shape.width, shape.block_layers, shape.features,
          shape.classes,   shape.bias,  shape.settings,     shape.unknown_attributes};
}

void read_weights(const parallel::Communicator& comm, const std::string& path,
                  sequence::Sequence& model) {
  io::read_weights(comm, path, io::inspect_weights(comm, path), model.local_steps(),
                   layer_rows(model));
}

void read_layer(const parallel::Communicator& comm, const std::string& path,
                const std::string& group, models::DenseLayer& layer) {
  const io::DenseLayer stored = io::read_dense_layer(comm, path, group);
  if (stored.in != layer.inputs() || stored.out != layer.outputs()) {
    throw input_error("{}: {} is [{}, {}], but [{}, {}] is needed", path, group, stored.out,
                      stored.in, layer.outputs(), layer.inputs());
  }
  blocks::transpose(layer.inputs(), layer.outputs(), stored.weight.data(), layer.weights());
  std::copy(stored.bias.begin(), stored.bias.end(), layer.bias());
}

void save_weights(const Context& context, const std::string& path, const NetworkParts& network) {
  io::WeightsToSave weights;
  weights.shape = file_shape(network);
  weights.steps = network.steps;
  const Buffer<Real> layers = with_bias(weights.shape, network.parameters);
  weights.parameters = {layers.data(), {network.steps.size(), weights.shape.parameters_per_step()}};
  std::optional<io::DenseLayer> embedding, head;
  if (network.embedding != nullptr) embedding = to_file(*network.embedding);
  if (network.head != nullptr) head = to_file(*network.head);
  weights.embedding = embedding ? &*embedding : nullptr;
  weights.head = head ? &*head : nullptr;
  io::write_weights(context.comm, path, provenance(context), weights);
}

void save_results(const Context& context, const std::string& path, const Results& results) {
  io::ResultsWriter writer(context.comm, path, io::kResultsFormat, provenance(context));
  if (results.trajectory != nullptr) writer.last_state(*results.trajectory);
  if (results.logits.size() > 0) writer.logits(results.logits);
  if (results.loss) writer.loss(*results.loss);
  if (results.input_gradient.size() > 0) writer.input_gradient(results.input_gradient);
  if (results.gradients) write_layers(writer, *results.gradients);
  for (const NamedRows& rows : results.other_gradients) {
    writer.rows("/gradients/" + rows.name, rows.rows, rows.own, rows.values,
                "gradient of the loss by " + rows.content);
  }
  writer.close();
}

void read_guess(const std::string& path, sequence::Trajectory& trajectory) {
  io::read_guess(path, trajectory);
}

std::optional<Resumed> restart(const Context& context, const ChainConfig& chain,
                               const FilesConfig& files, sequence::Trajectory& trajectory) {
  const parallel::Communicator& comm = trajectory.comm();
  std::optional<std::string> path = files.restart;
  if (files.restart == "auto") path = io::find_newest_intact(comm, files.checkpoint_path());
  if (!path) {
    log::info("no checkpoint of {} yet: starting from the guess", files.checkpoint_path());
    return std::nullopt;
  }
  const io::Checkpoint checkpoint(comm, *path);
  checkpoint.require(problem(chain));
  require_same_run(comm, *path, checkpoint.provenance().configuration, context.configuration);
  const State z0 = trajectory.input();
  Buffer<Real> expected(z0.size());
  std::copy(z0.begin(), z0.end(), expected.begin());
  checkpoint.read_state(trajectory);
  trajectory.touched();
  require_same_input(*path, expected, z0);
  const io::Progress& progress = checkpoint.progress();
  log::info("going on from {}: iteration {}, residual {:.3e}", *path, progress.iteration,
            progress.residual);
  // What was exact enough may not be so now.
  const bool as_exact =
      same_option(checkpoint.provenance().configuration, context.configuration, "tolerance");
  return Resumed{*path, progress.iteration, progress.elapsed_seconds,
                 as_exact ? progress.frozen_prefix : 0};
}

std::unique_ptr<Recorder> record(const Context& context, const RunConfig& config,
                                 const std::optional<Resumed>& resumed,
                                 const sequence::Trajectory& trajectory) {
  return std::make_unique<Hdf5Recorder>(context, config, resumed, trajectory);
}

}  // namespace deeppcr::app::storage
