#include "app/ends.hpp"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "deeppcr/core/error.hpp"
#include "deeppcr/io/written_files.hpp"
#include "deeppcr/models/catalogue.hpp"
#include "deeppcr/models/loss.hpp"
#include "deeppcr/parallel/runtime.hpp"

namespace deeppcr::app {

using models::LayerRole;

void refuse_modules(const OptionValues& options) {
  std::vector<std::string> possible;
  for (const models::CatalogueEntry& entry : models::catalogue())
    if (entry.make_end && entry.save) possible.push_back(entry.name);
  const std::string model = options.text("model");
  if (std::find(possible.begin(), possible.end(), model) != possible.end()) return;
  for (const char* name : {"embedding", "head", "save-module"}) {
    const std::string file = options.text(name);
    if (!file.empty())
      throw input_error(
          "--{} {}: it is for --model {}, and --model {} has no modules; leave it out", name, file,
          fmt::join(possible, ", "), model);
  }
}

std::unique_ptr<models::End> make_end(const TrainConfig& config, LayerRole role) {
  const std::string& file = role == LayerRole::head ? config.head : config.embedding;
  return file.empty() ? nullptr : models::make_end(config.chain.model, role, file);
}

void look_at_ends(const parallel::Communicator& comm, const TrainConfig& config) {
  std::unique_ptr<models::End> embedding, head;
  parallel::agree(comm, [&] {
    embedding = make_end(config, LayerRole::embedding);
    head = make_end(config, LayerRole::head);
  });
  const models::ModelOptions& model = config.chain.model;
  const int width = config.chain.state_width();
  if (embedding && models::input_width(model) > 0)
    throw input_error(
        "--embedding {}: the steps of this chain take the samples as their inputs; leave it out",
        config.embedding);
  if (embedding && embedding->outputs() != width)
    throw input_error(
        "--embedding {}: it makes {} numbers of a sample, but a state of the chain has {}; export "
        "both for one shape",
        config.embedding, embedding->outputs(), width);
  if (!head) return;
  if (models::make(config.chain.loss, {model.steps})->head() == nullptr)
    throw input_error("--head {}: --loss {} compares states and has no head; leave it out",
                      config.head, config.chain.loss.name);
  if (head->inputs() != width)
    throw input_error(
        "--head {}: it takes {} numbers, but a state of the chain has {}; export both for one "
        "shape",
        config.head, head->inputs(), width);
}

void adopt_ends(const TrainConfig& config, KnownNetwork& known) {
  if (const auto embedding = make_end(config, LayerRole::embedding)) {
    known.embedding = config.embedding;
    known.features = embedding->inputs();
  }
  if (const auto head = make_end(config, LayerRole::head)) {
    known.head = config.head;
    known.outputs = head->outputs();
  }
}

std::string module_beside(const std::string& path, LayerRole role) {
  std::filesystem::path name(path);
  const std::string extension = name.extension().string();
  return name.replace_extension(to_string(role) + extension).string();
}

namespace {

/// All rows of the chain's parameters, on all ranks in depth.
std::vector<Buffer<Real>> all_rows(const parallel::ProcessGrid& grid, sequence::Sequence& chain) {
  std::vector<Buffer<Real>> all;
  const StepSet local = chain.local_steps();
  for (const sequence::ParameterGroup& group : chain.parameters()) {
    const Index size = group.row_size();
    Buffer<Real> rows(group.rows * size);
    if (group.shared) {
      std::copy(group.values.begin(), group.values.end(), rows.begin());
    } else {
      // Each row is on one rank in depth, and zero on the others.
      std::fill(rows.begin(), rows.end(), Real{0});
      for (Index i = 0; i < local.size(); ++i)
        std::copy_n(group.values[i].data(), size, rows.data() + local.step(i) * size);
      grid.depth().sum(rows.data(), rows.size());
    }
    all.push_back(std::move(rows));
  }
  return all;
}

}  // namespace

void save_modules(const parallel::ProcessGrid& grid, const TrainedModules& trained,
                  const TrainConfig& config) {
  const models::ModelOptions& model = config.chain.model;
  const std::string& path = config.files.save_module;
  std::vector<Buffer<Real>> rows = all_rows(grid, trained.chain);
  std::vector<Real*> groups;
  for (Buffer<Real>& one : rows) groups.push_back(one.data());
  io::write_by_root(grid.world(), path,
                    [&](const std::string& file) { models::save(model, groups, file); });
  if (!config.embedding.empty())
    io::write_by_root(grid.world(), module_beside(path, LayerRole::embedding),
                      [&](const std::string& file) { trained.embedding->save(file); });
  if (config.head.empty()) return;
  const View<Real, 1> theta = trained.head->parameters();
  grid.depth().broadcast(theta.data(), theta.size(), trained.head_owner);
  io::write_by_root(grid.world(), module_beside(path, LayerRole::head),
                    [&](const std::string& file) { trained.head->save(file); });
}

}  // namespace deeppcr::app
