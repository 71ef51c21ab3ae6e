// The plug-in: the table's functions, whose exceptions end here as sentences.
#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <malloc.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include <exception>
#include <memory>
#include <regex>
#include <sstream>
#include <string>

#include "models/torch/plugin_module.hpp"
#include "models/torch/plugin_steps.hpp"
#include "models/torch/plugin_table.hpp"

struct DeepPcrModule {
  deeppcr::torch_plugin::Module module;
  std::vector<std::string> names;
};
struct DeepPcrSteps {
  deeppcr::torch_plugin::Steps steps;
};

namespace deeppcr::torch_plugin {

namespace {

/// The cause and the user's line of Python in what the interpreter says: "net.py, line 7: cause";
/// a line of PyTorch's own where there is no other. Other texts: their first line.
std::string shortened(const std::string& text) {
  std::string own, any, cause, first;
  std::istringstream lines(text);
  const std::regex place("File \"([^\"]*)\", line ([0-9]+)");
  for (std::string line; std::getline(lines, line);) {
    std::smatch found;
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    if (first.empty()) first = line;
    if (std::regex_search(line, found, place)) {
      any = found[1].str() + ", line " + found[2].str();
      const bool theirs = std::regex_search(line, std::regex("-packages/torch/|\"code/__torch__"));
      if (!theirs) own = any;
    }
    cause = line;
  }
  if (any.empty()) return first;
  for (const std::string prefix : {"RuntimeError: ", "builtins."})
    if (cause.rfind(prefix, 0) == 0) cause = cause.substr(prefix.size());
  return "its step fails at " + (own.empty() ? any : own) + ": " + cause;
}

/// Runs a call; what it throws becomes a sentence.
template <typename Call>
DeepPcrFault guarded(const Call& call) {
  static thread_local std::string fault;
  try {
    call();
    return nullptr;
  } catch (const c10::Error& error) {
    fault = shortened(error.what_without_backtrace());
  } catch (const std::exception& error) {
    fault = shortened(error.what());
  } catch (...) {
    fault = "an unknown error in PyTorch";
  }
  return fault.c_str();
}

/// One thread, no profiling runs, and freed memory is kept: once, whatever the environment says.
void prepare_runtime() {
  static const bool done = [] {
    at::set_num_threads(1);
    using SetThreads = void (*)(int);
    if (auto* symbol = dlsym(RTLD_DEFAULT, "openblas_set_num_threads"))
      reinterpret_cast<SetThreads>(symbol)(1);
    torch::jit::getProfilingMode() = false;
    constexpr int kKeepBelow = 1 << 30;
    mallopt(M_MMAP_THRESHOLD, kKeepBelow);
    mallopt(M_TRIM_THRESHOLD, kKeepBelow);
    return true;
  }();
  static_cast<void>(done);
}

DeepPcrFault open(const char* file, std::int32_t precision, DeepPcrModule** module) {
  return guarded([&] {
    prepare_runtime();
    auto opened = std::make_unique<DeepPcrModule>(DeepPcrModule{Module(file, precision), {}});
    for (const Weight& weight : opened->module.weights()) opened->names.push_back(weight.name);
    *module = opened.release();
  });
}

void close(DeepPcrModule* module) { delete module; }

void facts(const DeepPcrModule* module, DeepPcrModuleFacts* facts) {
  const Module& from = module->module;
  *facts = {from.steps(), from.width(), from.input_width(), from.type() == at::kFloat ? 1 : 0,
            static_cast<std::int32_t>(from.weights().size())};
}

void group(const DeepPcrModule* module, std::int32_t group, DeepPcrGroupFacts* facts) {
  const Weight& weight = module->module.weights()[static_cast<std::size_t>(group)];
  *facts = {module->names[static_cast<std::size_t>(group)].c_str(), weight.shared ? 1 : 0,
            weight.row_size()};
}

DeepPcrFault read_row(const DeepPcrModule* module, std::int32_t group, std::int64_t step,
                      double* row) {
  return guarded([&] {
    const Weight& weight = module->module.weights()[static_cast<std::size_t>(group)];
    const at::Tensor from = weight.shared ? weight.stored : weight.stored.select(0, step);
    at::from_blob(row, from.sizes(), at::kDouble).copy_(from);
  });
}

DeepPcrFault bind(DeepPcrModule* module, double* const* weights, std::int64_t rows,
                  DeepPcrSteps** steps) {
  return guarded([&] { *steps = new DeepPcrSteps{Steps(module->module, weights, rows)}; });
}

void release(DeepPcrSteps* steps) { delete steps; }

DeepPcrFault evaluate(DeepPcrSteps* steps, const DeepPcrRange* range, const double* in,
                      const double* inputs, std::int32_t chained, double* out) {
  return guarded([&] { steps->steps.evaluate(*range, in, inputs, chained != 0, out); });
}

DeepPcrFault product(DeepPcrSteps* steps, const DeepPcrRange* range, const double* in,
                     const double* inputs, std::int32_t transposed, std::int64_t k, const double* V,
                     double* W) {
  return guarded([&] { steps->steps.product(*range, in, inputs, transposed != 0, k, V, W); });
}

DeepPcrFault gradient(DeepPcrSteps* steps, const DeepPcrRange* range, const double* in,
                      const double* inputs, const double* g, double* const* rows,
                      double* by_state) {
  return guarded([&] { steps->steps.gradient(*range, in, inputs, g, rows, by_state); });
}

}  // namespace

}  // namespace deeppcr::torch_plugin

extern "C" __attribute__((visibility("default"))) const DeepPcrTorchTable* deeppcr_torch_table() {
  namespace plugin = deeppcr::torch_plugin;
  static const DeepPcrTorchTable table{kDeepPcrTorchVersion, plugin::open,    plugin::close,
                                       plugin::facts,        plugin::group,   plugin::read_row,
                                       plugin::bind,         plugin::release, plugin::evaluate,
                                       plugin::product,      plugin::gradient};
  return &table;
}
