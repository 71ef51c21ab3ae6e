#include "app/files.hpp"

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "deeppcr/core/error.hpp"
#include "deeppcr/io/networks.hpp"
#include "deeppcr/io/safetensors.hpp"

namespace deeppcr::app {
namespace {

bool has_layers_alone(const std::vector<sequence::ParameterGroup>& groups) {
  return groups.size() == 1 && groups.front().name == kLayers;
}

constexpr const char* kCells = "cell/";

constexpr const char* kOwnNetworks = "share/deeppcr/fashion_mnist.h5";

/// The parameters of a network whose sizes are right.
template <typename Network>
void fill(const std::string& path, const char* what, const io::StoredNetwork& stored,
          Network& network) {
  const auto theta = network.parameters();
  if (static_cast<Index>(stored.parameters.size()) != theta.size()) {
    throw input_error("'{}' has {} parameters of its {}, but its sizes ask for {}", path,
                      stored.parameters.size(), what, theta.size());
  }
  std::copy(stored.parameters.begin(), stored.parameters.end(), theta.begin());
}

}  // namespace

io::Provenance provenance(const cli::Context& context) {
  std::vector<std::string> options;
  std::istringstream lines(context.configuration);
  std::string line;
  while (std::getline(lines, line)) {
    if (line.find(" = ") != std::string::npos) options.push_back(line);
  }
  options.insert(options.end(), context.petsc_options.begin(), context.petsc_options.end());
  io::Provenance about = io::collect_provenance(context.comm);
  about.insert(about.end(), {{"command_line", context.command_line},
                             {"configuration", context.configuration},
                             {"options_set", options}});
  return about;
}

bool are_cells(const std::vector<sequence::ParameterGroup>& groups) {
  return !groups.empty() && std::all_of(groups.begin(), groups.end(), [](const auto& group) {
    return group.name.rfind(kCells, 0) == 0;
  });
}

io::CellsShape cells_shape(const models::ModelOptions& model) {
  const OptionValues own(models::find(model.model).options, model.own);
  io::CellsShape shape;
  shape.cell = model.model;
  shape.candidate = own.text("candidate");
  shape.activation = own.text("activation");
  shape.reset_before = own.text("reset") == "before";
  shape.layers = own.whole("layers");
  shape.features = models::input_width(model);
  shape.units = model.width;
  return shape;
}

std::vector<View<Real, 2>> stored_rows(sequence::Sequence& model) {
  const std::vector<sequence::ParameterGroup> groups = model.parameters();
  if (!has_layers_alone(groups) && !are_cells(groups))
    throw input_error("a weights file holds layers or recurrent cells; this model has others");
  std::vector<View<Real, 2>> rows;
  for (const sequence::ParameterGroup& group : groups) rows.push_back(group.values);
  return rows;
}

void check_save_weights(const models::ModelOptions& model, const std::string& file) {
  if (io::is_safetensors(file)) {
    throw input_error(
        "--save-weights {}: weights are written as HDF5, which would be read as safetensors by "
        "this "
        "name; choose another, such as weights.h5",
        file);
  }
  if (file.empty() || models::find(model.model).cells) return;
  if (has_layers_alone(models::make(model, StepRange{0, 0})->parameters())) return;
  throw input_error(
      "--save-weights {}: a weights file holds layers or recurrent cells, but --model {} has other "
      "parameters; leave it out (a checkpoint of train has them)",
      file, model.model);
}

void read_weights(const parallel::Communicator& comm, const ChainConfig& config,
                  sequence::Sequence& model) {
  const std::vector<View<Real, 2>> rows = stored_rows(model);
  if (!config.cells) {
    io::read_weights(comm, config.weights, config.stored, model.local_steps(), rows.front());
    return;
  }
  const io::CellsShape& shape = *config.cells;
  for (Index layer = 0; layer < shape.layers; ++layer)
    io::read_cells(comm, config.weights, shape, layer, rows[static_cast<std::size_t>(layer)][0]);
}

io::WeightsShape file_shape(const models::ModelOptions& model) {
  io::WeightsShape shape;
  shape.num_steps = model.steps;
  shape.width = model.width;
  shape.block_layers = models::stored_layers(model);
  const models::CatalogueEntry& entry = models::find(model.model);
  shape.settings["model"] = entry.name;
  if (!entry.weights) return shape;
  shape.nested = entry.weights->nested;
  const OptionValues own(entry.options, model.own);
  for (const std::string& name : entry.weights->settings) shape.settings[name] = own.text(name);
  return shape;
}

View<Real, 2> stored_rows(models::End* end) {
  return end == nullptr ? View<Real, 2>() : end->groups().front().values;
}

void save_weights(const cli::Context& context, const std::string& path,
                  const NetworkParts& network) {
  if (models::find(network.model.model).cells) {
    std::vector<View<const Real, 1>> rows;
    for (const View<Real, 2>& cell : network.parameters) rows.emplace_back(cell[0]);
    io::write_cell_weights(context.comm, path, provenance(context), cells_shape(network.model),
                           rows, network.head);
    return;
  }
  io::WeightsToSave weights{file_shape(network.model), network.steps, network.parameters.front()};
  weights.embedding = network.embedding;
  weights.head = network.head;
  io::write_weights(context.comm, path, provenance(context), weights);
}

models::Denoiser read_denoiser(const parallel::Communicator& comm, const std::string& path) {
  const io::StoredNetwork stored = io::read_network(comm, path, "denoiser", 7);
  const auto size = [&](std::size_t i) { return static_cast<int>(stored.shape[i]); };
  const models::DenoiserShape shape{size(0), size(1), size(2), size(3), size(4)};
  const auto kind = size(5) == 1 ? models::ScheduleKind::cosine : models::ScheduleKind::linear;
  models::Denoiser denoiser(shape, models::NoiseSchedule(kind, size(6)), 0);
  fill(path, "denoiser", stored, denoiser);
  return denoiser;
}

models::Autoencoder read_autoencoder(const parallel::Communicator& comm, const std::string& path) {
  const io::StoredNetwork stored = io::read_network(comm, path, "autoencoder", 5);
  if (stored.shape[4] != 1) {
    throw input_error("'{}': the autoencoder's training has not ended; go on with --restart {}",
                      path, path);
  }
  const auto size = [&](std::size_t i) { return static_cast<int>(stored.shape[i]); };
  models::Autoencoder autoencoder({size(0), size(1), size(2), size(3)}, 0);
  fill(path, "autoencoder", stored, autoencoder);
  return autoencoder;
}

std::string own_networks() {
  std::error_code ignored;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  const auto path = program.parent_path().parent_path() / kOwnNetworks;
  if (std::filesystem::exists(path, ignored)) return path.string();
  throw input_error("{} is missing; give --denoiser and --autoencoder", path.string());
}

}  // namespace deeppcr::app
