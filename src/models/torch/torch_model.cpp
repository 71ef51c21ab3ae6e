#include "models/torch/torch_model.hpp"

#include <algorithm>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/machine.hpp"
#include "models/torch/torch_chain.hpp"
#include "models/torch/torch_end.hpp"

namespace deeppcr::models {

namespace {

std::shared_ptr<const TorchModule> open(const ModelOptions& options, const std::string& option,
                                        const std::string& file) {
  const std::string& precision = options.own.word("precision");
  const int bits = precision == "double" ? 64 : precision == "single" ? 32 : 0;
  return TorchModule::open(option, file, bits);
}

std::shared_ptr<const TorchModule> module_of(const ModelOptions& options) {
  return open(options, "module", options.own.word("module"));
}

void adopt_module(ModelOptions& options, const GivenSizes& given) {
  const auto module = module_of(options);
  const Index steps = module->facts().steps;
  if (given.width && options.width != module->width()) {
    throw local_input_error("--width {}: the states of {} have {} numbers; leave it out",
                            options.width, module->file(), module->width());
  }
  options.width = module->width();
  if (given.steps) {
    if (module->facts().own_steps == 0 || options.steps <= steps) return;
    throw local_input_error("--steps {}: {} has weights for {} steps; use fewer or leave it out",
                            options.steps, module->file(), steps);
  }
  if (steps > 0) options.steps = steps;
}

StepCost cost_of(const ModelOptions& options) {
  const auto module = module_of(options);
  StepCost cost;
  for (const DeepPcrGroupFacts& group : module->groups())
    (group.shared != 0 ? cost.shared_parameters : cost.parameters) +=
        static_cast<double>(group.row_size);
  const double numbers = cost.parameters + cost.shared_parameters, n = module->width();
  cost.layers = std::max(1.0, numbers / (n * n));
  cost.flops = 2 * numbers;
  cost.call = machine().kernels.module;
  return cost;
}

void write_module(const ModelOptions& options, const std::vector<Real*>& groups,
                  const std::string& file) {
  const auto module = module_of(options);
  module->require(module->table().save(module->get(), groups.data(), options.steps, file.c_str()));
}

}  // namespace

CatalogueEntry torch_entry() {
  CatalogueEntry entry;
  entry.name = "torch";
  entry.help = "any TorchScript module (--module); needs the plug-in built with libtorch";
  OptionSpec module = text_option("module", "", "TorchScript file of the step or steps", "FILE");
  module.reads = true;
  entry.options = {
      module, word_option("precision", "module", {"module", "double", "single"},
                          "of its evaluation: module (as its parameters are), double, single")};
  entry.look_at_file = adopt_module;
  entry.make = [](const ModelOptions& options, const StepSet& local) {
    return std::make_unique<TorchChain>(module_of(options), options.steps, local);
  };
  entry.state_width = [](const ModelOptions& options) { return module_of(options)->width(); };
  entry.input_width = [](const ModelOptions& options) { return module_of(options)->input_width(); };
  entry.rounding = [](const ModelOptions& options) { return module_of(options)->rounding(); };
  entry.cost = cost_of;
  entry.make_end = [](const ModelOptions& options, LayerRole role, const std::string& file) {
    return std::make_unique<TorchEnd>(open(options, to_string(role), file), to_string(role));
  };
  entry.save = write_module;
  return entry;
}

}  // namespace deeppcr::models
