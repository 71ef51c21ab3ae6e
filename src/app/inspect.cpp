#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "app/run_commands.hpp"
#include "deeppcr/cli/options.hpp"
#include "deeppcr/cli/output.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/io/cell_weights.hpp"
#include "deeppcr/io/checkpoint.hpp"
#include "deeppcr/io/hdf5_file.hpp"
#include "deeppcr/io/provenance.hpp"
#include "deeppcr/io/safetensors.hpp"
#include "deeppcr/io/weights.hpp"

namespace deeppcr::app {
namespace {

using Json = nlohmann::ordered_json;
namespace hdf5 = io::hdf5;

/// All datasets below a group, with their sizes; reads each of them, so that damage is met here.
void list_datasets(const hdf5::File& file, const std::string& group, Json& list) {
  for (const std::string& child : file.children(group)) {
    const std::string name = (group == "/" ? "/" : group + "/") + child;
    if (!file.has(name)) {
      throw input_error("{}: {} is missing; it lies in another file, which belongs beside this one",
                        file.path(), name);
    }
    if (!file.is_dataset(name)) {
      list_datasets(file, name, list);
      continue;
    }
    const hdf5::Shape shape = file.shape(name);
    const Index rows = shape.empty() ? 1 : shape[0];
    Index row_size = 1;
    for (std::size_t axis = 1; axis < shape.size(); ++axis) row_size *= shape[axis];
    // one row at a time: files may be larger than the memory
    std::vector<double> row(static_cast<std::size_t>(row_size));
    const bool numbers = !shape.empty() && file.kind(name) != hdf5::File::Kind::text;
    for (Index i = 0; i < rows && numbers; ++i) file.read_rows<double>(name, {{i, 1, row.data()}});
    list.push_back({{"name", name}, {"shape", shape}});
  }
}

void describe_provenance(const hdf5::File& file, Json& json) {
  json["written_by"] = fmt::format("deeppcr {} ({})", file.text("/", "program_version"),
                                   file.text("/", "git_commit"));
  json["command_line"] = file.text("/", "command_line");
  json["start_time"] = file.text("/", "start_time");
  json["ranks"] = file.integer("/", "ranks");
  json["libraries"] = file.texts("/", "library_versions");
}

void describe_cells(const io::CellsShape& cells, Json& json) {
  json["cell"] = cells.cell;
  json["layers"] = cells.layers;
  json["features"] = cells.features;
  json["width"] = cells.units;
  if (!cells.candidate.empty()) {
    json["candidate"] = cells.candidate;
    json["reset"] = cells.reset_before ? "before" : "after";
  }
  if (!cells.activation.empty()) json["activation"] = cells.activation;
}

void describe_problem(const io::Problem& problem, Json& json) {
  json["model"] = problem.model;
  json["steps"] = problem.num_steps;
  json["width"] = problem.width;
  json["batch"] = problem.batch;
  json["seed"] = problem.seed;
}

void describe_outcome(const hdf5::File& file, Json& json) {
  const bool ended = file.has("/outcome") && file.has_attribute("/outcome", "status");
  json["outcome"] =
      ended ? file.text("/outcome", "status") : "none: the run has not ended, or died";
  const std::string residuals = "/iterations/residual";
  if (!file.is_dataset(residuals)) return;
  const std::vector<double> history = file.read<double>(residuals);
  json["iterations_recorded"] = history.size();
  if (!history.empty()) json["last_residual"] = history.back();
}

/// Tensors by their own names; what they are the chain of, where they are one.
Json describe_tensors(const parallel::Communicator& self, const std::string& path) {
  Json json{{"command", "inspect"}, {"file", path}, {"format", "safetensors"}};
  const io::TensorFile file = io::read_tensor_file(path);
  for (const auto& [name, value] : file.metadata) json["metadata"][name] = value;
  try {
    if (const auto cells = io::inspect_cells(self, path)) {
      describe_cells(*cells, json);
    } else {
      const io::WeightsShape shape = io::inspect_weights(self, path);
      json["steps"] = shape.num_steps;
      json["width"] = shape.width;
    }
  } catch (const Error& error) {
    json["weights"] = fmt::format("none that --weights takes: {}", error.what());
  }
  json["datasets"] = Json::array();
  for (const io::Tensor& tensor : file.tensors)
    json["datasets"].push_back({{"name", tensor.name}, {"shape", tensor.numbers.shape}});
  json["readable"] = true;
  return json;
}

Json describe(const parallel::Communicator& self, const std::string& path) {
  if (io::is_safetensors(path)) return describe_tensors(self, path);
  Json json{{"command", "inspect"}, {"file", path}};
  const hdf5::File file = hdf5::File::open(path, hdf5::File::Access::read);
  const std::string format = io::format_of(file);
  json["format"] = format.empty() ? "HDF5, not written by deeppcr" : format;
  if (!format.empty()) describe_provenance(file, json);
  if (format == file_format::kTrace) {
    describe_problem(io::read_problem(file), json);
    describe_outcome(file, json);
  }
  if (format == file_format::kCheckpoint) {
    const io::Checkpoint checkpoint(self, path);  // compares every checksum
    describe_problem(checkpoint.problem(), json);
    json["iteration"] = checkpoint.progress().iteration;
    json["residual"] = checkpoint.progress().residual;
    json["elapsed_seconds"] = checkpoint.progress().elapsed_seconds;
  }
  if (format.empty() || format == file_format::kWeights)
    if (const auto cells = io::inspect_cells(self, path)) describe_cells(*cells, json);
  json["datasets"] = Json::array();
  list_datasets(file, "/", json["datasets"]);
  // Checkpoints alone carry checksums; of the others it is known that all of it can be read.
  json[format == file_format::kCheckpoint ? "intact" : "readable"] = true;
  return json;
}

void print_table(const Json& json) {
  for (const auto& [key, value] : json.items()) {
    if (key == "datasets" || key == "command") continue;
    cli::print_out(fmt::format("  {:<20} {}\n", key,
                               value.is_string() ? value.get<std::string>() : value.dump()));
  }
  for (const auto& dataset : json.value("datasets", Json::array()))
    cli::print_out(
        fmt::format("  {:<32} {}\n", dataset["name"].get<std::string>(), dataset["shape"].dump()));
}

}  // namespace

void add_inspect_options(cli::Options& options) {
  options.add("File", {cli::read_file("file", "a trace, checkpoint, weights or results file")});
}

int run_inspect(const OptionValues& options, const cli::Context& context) {
  const std::string file = options.text("file");
  if (file.empty()) throw input_error("inspect needs a file: deeppcr inspect run.h5");
  // The file is read by one rank; what it finds is the verdict of all.
  parallel::agree(context.comm, [&] {
    if (!context.comm.is_root()) return;
    const Json json = describe(parallel::Communicator::self(), file);
    if (context.json) {
      cli::print_out(json.dump() + "\n");
    } else if (!context.quiet) {
      print_table(json);
    }
  });
  return static_cast<int>(ExitCode::success);
}

}  // namespace deeppcr::app
