#include "app/chain.hpp"

#include <algorithm>
#include <limits>

#include "app/chain_loss.hpp"
#include "app/files.hpp"
#include "app/over_time.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/log.hpp"
#include "deeppcr/core/random.hpp"
#include "deeppcr/io/batch.hpp"
#include "deeppcr/io/checkpoint.hpp"
#include "deeppcr/parallel/runtime.hpp"

namespace deeppcr::app {

namespace {

constexpr std::uint64_t kInputStream = 0x696e7075;      // "inpu"
constexpr std::uint64_t kStepInputStream = 0x73746570;  // "step"

/// The first `count` samples of an --input file, all of them for 0.
io::Batch read_input(const parallel::Communicator& comm, const std::string& path, Index count) {
  io::Batch samples = io::read_batch(comm, path);
  if (count == 0) return samples;
  if (samples.samples < count) {
    throw input_error("--batch {}: {} has {} samples; use a smaller --batch or leave it out", count,
                      path, samples.samples);
  }
  samples.samples = count;
  samples.inputs.resize(static_cast<std::size_t>(count * samples.features));
  if (!samples.labels.empty()) samples.labels.resize(static_cast<std::size_t>(count));
  return samples;
}

/// Without features: normal noise as z_0.
io::Batch read_samples(const parallel::Communicator& comm, const ChainConfig& config) {
  if (config.signals) return {};
  if (!config.input.empty()) return read_input(comm, config.input, config.batch);
  if (config.data == "random") return {};
  return io::read_images(comm, config.data, {true, config.batch, 0});
}

/// A model of a file has its own first layers, if any.
void refuse_other_features(const ChainConfig& config, Index features) {
  throw input_error(
      "--input {}: its samples have {} numbers, but the states of --model {} have {}; give samples "
      "in the shape of a state, such as the output of the network's first layers",
      config.input, features, config.model.model, config.model.width);
}

/// Weights that know their samples' size by their width alone would get them through noise.
void refuse_foreign_samples(const ChainConfig& config, Index features) {
  if (!config.input.empty()) {
    throw input_error(
        "--input {}: its samples have {} features, but the states of {} have {} numbers, and it "
        "has no /embedding between them; give samples of {} features, or add one",
        config.input, features, config.weights, config.model.width, config.model.width);
  }
  log::warn("{} has no /embedding: the images of {} go through one by --seed", config.weights,
            config.data);
}

/// The file's embedding, or one by the seed where samples and states differ in size.
std::optional<models::DenseLayer> make_embedding(const parallel::Communicator& comm,
                                                 const ChainConfig& config, Index features) {
  const bool stored = config.stored.features > 0;
  if (features == 0) return std::nullopt;
  if (stored && features != config.stored.features) {
    throw input_error("{}: its embedding takes {} features, but the samples have {}",
                      config.weights, config.stored.features, features);
  }
  const bool fits = !config.input.empty() && features == config.model.width;
  if (fits && !stored) return std::nullopt;
  if (!config.input.empty() && models::find(config.model.model).look_at_file)
    refuse_other_features(config, features);
  if (!stored && !config.weights.empty()) refuse_foreign_samples(config, features);
  models::DenseLayer embedding(models::LayerRole::embedding, static_cast<int>(features),
                               config.model.width, config.model.seed);
  if (stored) io::read_dense_layer(comm, config.weights, "/embedding", embedding.rows());
  return embedding;
}

/// The inputs of the local steps: signals, the features of the samples dealt to them, or normal
/// noise by (seed, sample, step).
void bind_inputs(Chain& chain, const ChainConfig& config) {
  if (config.signals) {
    chain.signals = config.signals;
    chain.lengths = lengths_of(config);
    sequence::Inputs inputs = inputs_of(*chain.signals);
    if (!chain.lengths.empty()) inputs.lengths = chain.lengths.data();
    chain.steps = std::move(chain.sequence);
    chain.sequence = chain.steps->bound_to(inputs);
    return;
  }
  const StepSet local = chain.trajectory.local_steps();
  const Index L = config.model.steps, B = config.batch, d = chain.sequence->input_width();
  chain.inputs.reset(local.size() * B * d);
  const View<Real, 3> inputs(chain.inputs.data(), {local.size(), B, d});
  if (!chain.features.empty()) {
    const ConstState features = chain.feature_view();
    if (L * d < features.extent(1)) {
      throw input_error(
          "{} steps with {} inputs each take {} features, but a sample has {}; use more --steps or "
          "inputs a step",
          L, d, L * d, features.extent(1));
    }
    sequence::deal_features(features, local, inputs);
  } else {
    const RandomStream noise(config.model.seed, kStepInputStream);
    for (Index i = 0; i < local.size(); ++i)
      for (Index b = 0; b < B; ++b)
        noise.normal((b * L + local.step(i)) * d, d, inputs[i][b].data());
  }
  chain.steps = std::move(chain.sequence);
  chain.sequence = chain.steps->bound_to({local, inputs});
}

/// z_0 = embedding of the samples, the samples themselves, or normal noise by (seed, sample,
/// component); that of --state or zero where the steps take inputs.
void fill_input(Chain& chain, const ChainConfig& config) {
  if (chain.sequence->input_width() > 0) {
    bind_inputs(chain, config);
    if (!config.state.empty())
      read_first_state(chain.trajectory.comm(), config, chain.trajectory.input());
    return;
  }
  const State z0 = chain.trajectory.input();
  if (chain.embedding) {
    chain.embedding->forward(chain.feature_view(), z0);
  } else if (!chain.features.empty()) {
    std::copy(chain.features.begin(), chain.features.end(), z0.data());
  } else {
    RandomStream(config.model.seed, kInputStream).normal(0, z0.size(), z0.data());
  }
}

/// Chunks given must be as many as there are ranks, and no more than steps.
void check_chunks(const parallel::Communicator& comm, const RunConfig& config) {
  const OptionValues& own = config.solver.settings.own;
  const Index chunks = own.has("chunks") ? own.whole("chunks") : 0;
  const Index steps = config.chain.model.steps, least = std::min<Index>(comm.size(), steps);
  if (chunks == 0 || (chunks >= least && chunks <= steps)) return;
  throw input_error(
      "--chunks {}: {} to {} are possible, a chunk for each of {} ranks at least and a step in "
      "each at most; leave it out for one a rank",
      chunks, least, steps, comm.size());
}

/// Bytes that a rank will hold: states, parameters, and what the solvers say. An estimate from
/// above, within about a factor of two.
double estimate_bytes(const RunConfig& config, const nonlinear::Solver& solver,
                      const nonlinear::Problem& problem, int rank) {
  const auto steps = static_cast<double>(solver.layout(problem).count(rank));
  const double states = steps + 1;
  // The trajectory and the reference of --verify; backward starts, slopes (those of a cell are what
  // its gates were), gradients and the maps of a linear solve.
  const bool backward = config.solver.passes == linear::Passes::forward_and_backward;
  const int d = models::input_width(config.chain.model);
  const double slopes = d > 0 ? 6 : 1;
  const double arrays = (config.solver.verify ? 2.1 : 1.1) + (backward ? 3 + slopes : 0);
  const double inputs =
      config.chain.signals ? 0 : steps * static_cast<double>(config.chain.batch * d);
  constexpr double kMaps = 4;
  // The weights and pieces of files with them, their gradients, and those of --verify.
  const double parameter_arrays =
      1.1 + (backward ? 1 : 0) + (backward && config.solver.verify ? 1 : 0);
  const models::StepCost step = models::step_cost(config.chain.model);
  const double parameters = parameter_arrays * (steps * step.parameters + step.shared_parameters);
  const double state = static_cast<double>(problem.state_bytes());
  const double maps = backward ? kMaps * state * (problem.width + 1) : 0;
  constexpr double kProcess = 48 << 20;  // code, libraries and their buffers
  return kProcess + solver.memory(problem) + arrays * states * state + maps +
         sizeof(Real) * (parameters + inputs);
}

/// Checkpoints and states are written in whole rows, a state each, which MPI counts in bytes with
/// 32 bits. Refused before the run, not at its stop.
void check_file_row(const RunConfig& config) {
  constexpr double kMostNumbers = (1 << 28) - 1;
  const bool writes = config.solver.entry().iterates || config.files.trace_states != "none";
  const double row = static_cast<double>(config.chain.batch) * config.chain.state_width();
  if (!writes || row <= kMostNumbers) return;
  throw input_error(
      "batch x width = {:.4g} numbers in a state, at most {:.0f} go into a row of a checkpoint or "
      "trace; use a smaller --batch or --width",
      row, kMostNumbers);
}

/// Jacobians of diagonals are composed at n numbers a step, where nothing else was asked for.
void choose_linear(RunConfig& config) {
  OptionValues& own = config.solver.settings.own;
  if (!own.has("linear") || own.given("linear")) return;
  if (models::step_cost(config.chain.model).structure >= blocks::Structure::paired_diagonals)
    own.set("linear", "scan");
}

/// Training reads its recordings by other means.
void refuse_frame(const ChainConfig& config) {
  if (config.frame == 1 || (!config.input.empty() && input_width(config.model) > 0)) return;
  throw input_error(
      "--frame {}: it is for the recording of --input that a recurrent cell reads; leave it out",
      config.frame);
}

}  // namespace

void look_at_model(const parallel::Communicator& comm, ChainConfig& config) {
  parallel::agree(comm, [&] {
    models::look_at_file(config.model, {config.steps_given, config.width_given});
  });
}

bool in_single_precision(const models::ModelOptions& model) {
  return models::rounding(model) > std::numeric_limits<double>::epsilon();
}

void settle_tolerance(const char* option, bool given, const models::ModelOptions& model,
                      nonlinear::Tolerance& tolerance) {
  constexpr double kLeast = 1e-5;  // 84 roundings
  if (tolerance.rtol >= kLeast || tolerance.atol > 0 || !in_single_precision(model)) return;
  if (given) {
    throw input_error(
        "--{} {}: --model {} computes in single precision here, whose rounding allows 1e-5 at "
        "best; leave it out, or give --precision double",
        option, tolerance.rtol, model.model);
  }
  tolerance.rtol = kLeast;
}

void look_at_files(const parallel::Communicator& comm, ChainConfig& config) {
  look_at_model(comm, config);
  for (const OptionSpec& option : config.model.own.specs()) {
    const std::string file = option.reads ? config.model.own.text(option.name) : "";
    if (!file.empty()) config.function += io::file_checksum(comm, file);
  }
  const bool takes_inputs = models::input_width(config.model) > 0;
  if (!config.state.empty() && !takes_inputs)
    throw input_error("--state {}: --model {} starts from its samples; leave it out", config.state,
                      config.model.model);
  if (!config.weights.empty()) config.cells = io::inspect_cells(comm, config.weights);
  if (!config.input.empty() && takes_inputs) {
    adopt_signals(comm, config);
  } else if (!config.input.empty() && !config.batch_given) {
    config.batch = read_input(comm, config.input, 0).samples;
  }
  if (config.weights.empty() || config.cells) return;
  config.stored = io::inspect_weights(comm, config.weights);
  models::adopt(config.model, {config.weights, config.stored.block_layers, config.stored.bias});
}

nonlinear::Problem problem_of(const RunConfig& config, int ranks) {
  const models::ModelOptions& model = config.chain.model;
  return {model.steps,
          config.chain.batch,
          config.chain.state_width(),
          ranks,
          config.solver.passes,
          config.chain.stacked_cells(),
          sizeof(Real) * models::step_cost(model).parameters};
}

void require_stack(const std::string& forward, const std::string& backward,
                   const std::string& model, const sequence::Sequence& chain) {
  if (!chain.layers().empty()) return;
  for (const nonlinear::CatalogueEntry& entry : nonlinear::catalogue()) {
    if (!entry.stacks_only || (entry.name != forward && entry.name != backward)) continue;
    throw input_error(
        "--{} {} goes through stacked recurrent cells (gru, lstm, ..), and the steps of "
        "--model {} are none; use pipeline, or auto",
        entry.name == forward ? "nonlinear" : "backward", entry.name, model);
  }
}

parallel::BlockLayout layout_of(const parallel::Communicator& comm, const RunConfig& config) {
  return config.solver.make()->layout(problem_of(config, comm.size()));
}

void check_sizes(const parallel::Communicator& comm, const RunConfig& config) {
  const ChainConfig& chain = config.chain;
  sequence::check_index_size(chain.model.steps, chain.batch, chain.state_width());
  const auto solver = config.solver.make();
  const nonlinear::Problem problem = problem_of(config, comm.size());
  const double message = solver->largest_message(problem);
  if (message > std::numeric_limits<int>::max()) {
    throw input_error(
        "{:.4g} numbers in one message, at most {} are allowed; use a smaller --batch or --width, "
        "or one rank with --linear hybrid",
        message, std::numeric_limits<int>::max());
  }
  check_chunks(comm, config);
  parallel::check_memory(comm, estimate_bytes(config, *solver, problem, comm.rank()));
}

namespace {

Chain make_chain(const parallel::Communicator& comm, const RunConfig& config) {
  const ChainConfig& wanted = config.chain;
  const io::Batch samples = read_samples(comm, wanted);
  require_labels(config, samples);
  sequence::Trajectory trajectory(comm, layout_of(comm, config), wanted.batch,
                                  wanted.state_width());
  auto model = models::make(wanted.model, trajectory.local_steps());
  require_stack(config.solver.name, differentiates(config) ? config.solver.backward_solver() : "",
                wanted.model.model, *model);
  if (!wanted.weights.empty()) read_weights(comm, wanted, *model);
  std::vector<int> labels;  // of a loss that is evaluated
  if (differentiates(config)) labels = make_labels(wanted, samples);
  std::optional<models::DenseLayer> embedding;
  if (model->input_width() == 0) embedding = make_embedding(comm, wanted, samples.features);
  auto loss = make_loss(comm, wanted, *model, labels);
  const Index head = wanted.stored_outputs();
  const bool headless = !wanted.weights.empty() && head == 0;
  if (differentiates(config) && headless && loss->head() != nullptr)
    log::warn("{} has no /head: the loss is that of a classifier by --seed", wanted.weights);
  Buffer<Real> features(static_cast<Index>(samples.inputs.size()));
  std::copy(samples.inputs.begin(), samples.inputs.end(), features.begin());
  Chain chain{nullptr,
              nullptr,
              {},
              {},
              std::move(model),
              std::move(trajectory),
              std::move(features),
              std::move(embedding),
              std::move(loss),
              std::move(labels)};
  fill_input(chain, wanted);
  return chain;
}

}  // namespace

Chain set_up(const cli::Context& context, RunConfig& config) {
  const parallel::Communicator& comm = context.comm;
  look_at_files(comm, config.chain);
  refuse_frame(config.chain);
  settle_tolerance("rtol", config.solver.tolerance_given, config.chain.model,
                   config.solver.settings.tolerance);
  choose_linear(config);
  check_file_row(config);
  check_sizes(comm, config);
  const std::string& weights = config.files.save_weights;
  check_save_weights(config.chain.model, weights);
  Chain chain = make_chain(comm, config);
  if (!weights.empty()) {
    save_weights(
        context, weights,
        {config.chain.model, chain.trajectory.layout().written_steps(comm.rank()),
         stored_rows(*chain.sequence), stored_rows(chain.embedding ? &*chain.embedding : nullptr),
         stored_rows(chain.loss->head())});
  }
  return chain;
}

}  // namespace deeppcr::app
