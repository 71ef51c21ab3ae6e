#include "app/chain.hpp"

#include <algorithm>
#include <limits>

#include "app/memory.hpp"
#include "app/storage.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/log.hpp"
#include "deeppcr/core/random.hpp"

namespace deeppcr::app {

View<Real, 2> storage::layer_rows(sequence::Sequence& model) {
  const std::vector<sequence::ParameterGroup> groups = model.parameters();
  if (groups.size() == 1 && groups.front().name == kLayers) return groups.front().values;
  throw input_error("a weights file holds the layers of a chain; this model has other parameters");
}

namespace {

constexpr int kRandomClasses = 10;
constexpr std::uint64_t kInputStream = 0x696e7075;      // "inpu"
constexpr std::uint64_t kStepInputStream = 0x73746570;  // "step"
constexpr std::uint64_t kLabelStream = 0x6c616265;      // "labe"

/// What came from files or the random streams, before there is a chain.
struct Source {
  storage::Samples samples;       ///< without features: normal noise as z_0
  storage::WeightsSizes weights;  ///< features and classes 0 without a file
};

Source read_source(const parallel::Communicator& comm, const ChainConfig& config) {
  Source source;
  if (!config.weights.empty()) source.weights = storage::weights_sizes(comm, config.weights);
  if (!config.input.empty()) {
    source.samples = storage::read_input(comm, config.input, config.batch);
  } else if (config.data != "random") {
    source.samples = storage::read_images(comm, config.data, config.batch);
  }
  return source;
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
std::optional<models::Embedding> make_embedding(const parallel::Communicator& comm,
                                                const ChainConfig& config, const Source& source) {
  const Index features = source.samples.features;
  const bool stored = source.weights.features > 0;
  if (features == 0) return std::nullopt;
  if (stored && features != source.weights.features) {
    throw input_error("{}: its embedding takes {} features, but the samples have {}",
                      config.weights, source.weights.features, features);
  }
  const bool fits = !config.input.empty() && features == config.model.width;
  if (fits && !stored) return std::nullopt;
  if (!stored && !config.weights.empty()) refuse_foreign_samples(config, features);
  models::Embedding embedding(static_cast<int>(features), config.model.width, config.model.seed);
  if (stored) storage::read_layer(comm, config.weights, "/embedding", embedding);
  return embedding;
}

bool differentiates(const RunConfig& config) {
  return config.solver.passes == linear::Passes::forward_and_backward;
}

/// A loss of labels that a file has not got would be one of random labels.
void require_labels(const RunConfig& config, const Source& source) {
  const ChainConfig& chain = config.chain;
  const bool needed = models::find_loss(chain.loss.name).labels != models::LabelUse::none;
  const bool given = chain.input.empty() || !source.samples.labels.empty();
  if (!differentiates(config) || !needed || given) return;
  throw input_error(
      "--input {}: it has no /labels, and the loss needs {} of them, one a sample; add them, or "
      "use "
      "--data random in place of --input",
      chain.input, chain.batch);
}

/// A mistyped label may ask for more classes than there is memory for.
void check_head(const parallel::Communicator& comm, const ChainConfig& config, int classes) {
  constexpr double kCopies = 3, kGiB = 1024.0 * 1024.0 * 1024.0;
  const double numbers =
      kCopies * (config.model.width + 1) + 2.0 * static_cast<double>(config.batch);
  const double bytes = sizeof(Real) * numbers * classes;
  parallel::agree(comm, [&] {
    const double available = available_bytes();
    if (bytes <= available) return;
    throw local_input_error(
        "--input {}: its label {} asks for a classifier of {} classes, which takes about {:.3g} "
        "GiB "
        "of the {:.3g} GiB free; labels are classes, counted from 0",
        config.input, classes - 1, classes, bytes / kGiB, available / kGiB);
  });
}

std::unique_ptr<models::Loss> make_loss(const parallel::Communicator& comm,
                                        const ChainConfig& config, const Source& source,
                                        const std::vector<int>& labels) {
  const int largest = labels.empty() ? 0 : *std::max_element(labels.begin(), labels.end());
  const bool stored = source.weights.classes > 0;
  const int classes =
      stored ? static_cast<int>(source.weights.classes) : std::max(kRandomClasses, largest + 1);
  if (largest >= classes) {
    throw input_error("{}: its head has {} classes, but there is a label {}", config.weights,
                      classes, largest);
  }
  check_components(config, largest);
  if (!stored && !config.input.empty()) check_head(comm, config, classes);
  const models::ModelOptions& model = config.model;
  auto loss = models::make(config.loss,
                           {std::max<Index>(model.steps, 1), model.width, classes, model.seed});
  if (stored && loss->head() != nullptr)
    storage::read_layer(comm, config.weights, "/head", *loss->head());
  return loss;
}

/// Classes that random labels are drawn from.
Index random_classes(const ChainConfig& config, const Source& source) {
  const bool components =
      models::find_loss(config.loss.name).labels == models::LabelUse::components;
  const Index classes = source.weights.classes > 0 ? source.weights.classes : kRandomClasses;
  return components ? std::min<Index>(classes, config.model.width) : classes;
}

std::vector<int> make_labels(const ChainConfig& config, const Source& source) {
  if (!source.samples.labels.empty()) return source.samples.labels;
  const Index classes = random_classes(config, source);
  const RandomStream random(config.model.seed, kLabelStream);
  std::vector<int> labels(static_cast<std::size_t>(config.batch));
  for (std::size_t b = 0; b < labels.size(); ++b)
    labels[b] = static_cast<int>(random.integer(static_cast<Index>(b), classes));
  return labels;
}

/// The inputs of the local steps: the features of the samples dealt to them, or normal noise by
/// (seed, sample, step); z_0 is zero then.
void bind_inputs(Chain& chain, const ChainConfig& config) {
  const StepRange local = chain.trajectory.local_range();
  const Index L = config.model.steps, B = config.batch, d = chain.sequence->input_width();
  chain.inputs.reset(local.size() * B * d);
  const View<Real, 3> inputs(chain.inputs.data(), {local.size(), B, d});
  if (!chain.features.empty()) {
    const ConstState features = chain.feature_view();
    if (L * d < features.extent(1)) {
      throw input_error(
          "{} steps with {} inputs each take {} features, but a sample has {}; use more --steps", L,
          d, L * d, features.extent(1));
    }
    sequence::deal_features(features, local, inputs);
  } else {
    const RandomStream noise(config.model.seed, kStepInputStream);
    for (Index i = 0; i < local.size(); ++i)
      for (Index b = 0; b < B; ++b)
        noise.normal((b * L + local.first + i) * d, d, inputs[i][b].data());
  }
  chain.steps = std::move(chain.sequence);
  chain.sequence = chain.steps->bound_to({local, inputs});
}

/// z_0 = embedding of the samples, the samples themselves, or normal noise by (seed, sample,
/// component); zero where the steps take inputs.
void fill_input(Chain& chain, const ChainConfig& config) {
  if (chain.sequence->input_width() > 0) {
    bind_inputs(chain, config);
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

void take_size(const std::string& file, const char* option, Index stored, bool given, Index& size) {
  if (given && size != stored)
    throw input_error("--{} {}: {} has {}; leave the option out", option, size, file, stored);
  size = stored;
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

}  // namespace

void check_components(const ChainConfig& config, int largest_label) {
  const bool components =
      models::find_loss(config.loss.name).labels == models::LabelUse::components;
  if (!components || largest_label < config.model.width) return;
  throw input_error(
      "--loss {} compares a state with the unit vector of its label: the label {} needs a --width "
      "of "
      "{} or more, not {}",
      config.loss.name, largest_label, largest_label + 1, config.model.width);
}

void take_sizes_from_files(const parallel::Communicator& comm, ChainConfig& config) {
  if (!config.input.empty() && !config.batch_given) {
    config.batch = storage::read_input(comm, config.input, 0).batch();
  }
  if (config.weights.empty()) return;
  const storage::WeightsSizes sizes = storage::weights_sizes(comm, config.weights);
  Index width = config.model.width;
  take_size(config.weights, "steps", sizes.steps, config.steps_given, config.model.steps);
  take_size(config.weights, "width", sizes.width, config.width_given, width);
  config.model.width = static_cast<int>(width);
  models::adopt(config.model, {config.weights, sizes.block_layers, sizes.bias});
}

nonlinear::Problem problem_of(const RunConfig& config, int ranks) {
  const models::ModelOptions& model = config.chain.model;
  return {model.steps, config.chain.batch, model.width, ranks, config.solver.passes};
}

parallel::BlockLayout layout_of(const parallel::Communicator& comm, const RunConfig& config) {
  return config.solver.make()->layout(problem_of(config, comm.size()));
}

void check_sizes(const parallel::Communicator& comm, const RunConfig& config) {
  const ChainConfig& chain = config.chain;
  sequence::check_index_size(chain.model.steps, chain.batch, chain.model.width);
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
  check_memory(comm, estimate_bytes(config, *solver, problem, comm.rank()));
}

Chain make_chain(const parallel::Communicator& comm, const RunConfig& config) {
  const ChainConfig& wanted = config.chain;
  Source source = read_source(comm, wanted);
  require_labels(config, source);
  sequence::Trajectory trajectory(comm, layout_of(comm, config), wanted.batch, wanted.model.width);
  auto model = models::make(wanted.model, trajectory.local_steps());
  if (!wanted.weights.empty()) storage::read_weights(comm, wanted.weights, *model);
  std::vector<int> labels = make_labels(wanted, source);
  std::optional<models::Embedding> embedding;
  if (model->input_width() == 0) embedding = make_embedding(comm, wanted, source);
  auto loss = make_loss(comm, wanted, source, labels);
  const bool headless = !wanted.weights.empty() && source.weights.classes == 0;
  if (differentiates(config) && headless && loss->head() != nullptr)
    log::warn("{} has no /head: the loss is that of a classifier by --seed", wanted.weights);
  Buffer<Real> features(static_cast<Index>(source.samples.inputs.size()));
  std::copy(source.samples.inputs.begin(), source.samples.inputs.end(), features.begin());
  Chain chain{nullptr,
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

}  // namespace deeppcr::app
