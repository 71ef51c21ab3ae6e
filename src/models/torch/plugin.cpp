// The plug-in: the table's functions, whose exceptions end here as sentences.
#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <malloc.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "models/torch/plugin_denoiser.hpp"
#include "models/torch/plugin_file.hpp"
#include "models/torch/plugin_module.hpp"
#include "models/torch/plugin_steps.hpp"
#include "models/torch/plugin_table.hpp"

struct DeepPcrModule {
  deeppcr::torch_plugin::Module module;
  std::vector<std::string> names;
  std::vector<std::int64_t> row_sizes;
};
struct DeepPcrSteps {
  deeppcr::torch_plugin::Steps steps;
};
struct DeepPcrTape {
  deeppcr::torch_plugin::Tape tape;
};
struct DeepPcrDenoiser {
  deeppcr::torch_plugin::Denoiser denoiser;
};

namespace deeppcr::torch_plugin {

namespace {

/// "net.py, line 7" of a line such as `File "net.py", line 7, in forward`; empty of others.
std::string place_in(const std::string& line) {
  const std::string begin = "File \"", middle = "\", line ";
  const std::size_t file = line.find(begin), number = line.find(middle, file);
  if (file == std::string::npos || number == std::string::npos) return "";
  const std::size_t digits = number + middle.size();
  const std::size_t end = std::min(line.find_first_not_of("0123456789", digits), line.size());
  if (end == digits) return "";
  return line.substr(file + begin.size(), number - file - begin.size()) + ", line " +
         line.substr(digits, end - digits);
}

/// The cause and the user's line of Python in what the interpreter says: "net.py, line 7: cause";
/// a line of PyTorch's own where there is no other. Other texts: their first line.
std::string shortened(const std::string& text) {
  std::string own, any, cause, first;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    if (first.empty()) first = line;
    if (const std::string place = place_in(line); !place.empty()) {
      any = place;
      const bool theirs = line.find("-packages/torch/") != std::string::npos ||
                          line.find("\"code/__torch__") != std::string::npos;
      if (!theirs) own = any;
    }
    cause = line;
  }
  if (any.empty()) return first;
  for (const std::string prefix : {"RuntimeError: ", "builtins."})
    if (cause.rfind(prefix, 0) == 0) cause = cause.substr(prefix.size());
  return "it fails at " + (own.empty() ? any : own) + ": " + cause;
}

/// Runs a call; what it throws becomes a sentence.
template <typename Call>
DeepPcrFault guarded(const Call& call) {
  static thread_local std::string fault;
  try {
    try {
      call();
      return nullptr;
    } catch (const c10::Error& error) {
      fault = shortened(error.what_without_backtrace());
    } catch (const std::exception& error) {
      fault = shortened(error.what());
    }
    return fault.c_str();
  } catch (...) {  // also what telling of an error throws
    return "an unknown error in PyTorch";
  }
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

DeepPcrFault open(const char* file, std::int32_t precision, std::int32_t end, DeepPcrShape taken,
                  DeepPcrModule** module) {
  return guarded([&] {
    prepare_runtime();
    auto opened = std::make_unique<DeepPcrModule>(
        DeepPcrModule{Module(file, precision, end != 0, sizes_of(taken)), {}, {}});
    for (const Weight& weight : opened->module.weights()) {
      opened->names.push_back(weight.name);
      opened->row_sizes.push_back(weight.row_size());
    }
    *module = opened.release();
  });
}

void close(DeepPcrModule* module) { delete module; }

void facts(const DeepPcrModule* module, DeepPcrModuleFacts* facts) {
  const Module& from = module->module;
  *facts = {from.steps(),
            from.width(),
            from.input_width(),
            from.type() == at::kFloat ? 1 : 0,
            static_cast<std::int32_t>(from.weights().size()),
            from.own_weights() ? 1 : 0,
            shape_of(from.shape())};
}

void group(const DeepPcrModule* module, std::int32_t group, DeepPcrGroupFacts* facts) {
  const auto g = static_cast<std::size_t>(group);
  *facts = {module->names[g].c_str(), module->module.weights()[g].shared ? 1 : 0,
            module->row_sizes[g]};
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

DeepPcrFault push_along(DeepPcrSteps* steps, const DeepPcrRange* range, const double* in,
                        const double* inputs, std::int64_t sample, double* tangent, double* out) {
  return guarded([&] { steps->steps.push_along(*range, in, inputs, sample, tangent, out); });
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

DeepPcrFault record(DeepPcrSteps* steps, const DeepPcrRange* range, const double* in,
                    const double* inputs, double* out, DeepPcrTape** tape) {
  return guarded([&] {
    auto made = std::make_unique<DeepPcrTape>();
    steps->steps.record(*range, in, inputs, out, made->tape);
    *tape = made.release();
  });
}

void release_tape(DeepPcrTape* tape) { delete tape; }

DeepPcrFault back(const DeepPcrTape* tape, std::int64_t step, const double* g, double* const* rows,
                  double* by_state) {
  return guarded([&] {
    const Tape& from = tape->tape;
    const TapedStep& taped = from.steps[static_cast<std::size_t>(step)];
    const at::Tensor by_value = borrow(g, taped.y.sizes()).to(taped.y.scalar_type());
    differentiate(*from.module, taped, by_value, {rows, 0, by_state}, /*keeps_graph=*/true);
  });
}

DeepPcrFault save(DeepPcrModule* module, double* const* weights, std::int64_t rows,
                  const char* file) {
  return guarded([&] { module->module.save(weights, rows, file); });
}

DeepPcrFault open_denoiser(const char* file, std::int32_t precision,
                           const DeepPcrDenoiserGiven* given, DeepPcrDenoiser** denoiser) {
  return guarded([&] {
    prepare_runtime();
    *denoiser = new DeepPcrDenoiser{Denoiser(file, precision, *given)};
  });
}

void close_denoiser(DeepPcrDenoiser* denoiser) { delete denoiser; }

void denoiser_facts(const DeepPcrDenoiser* denoiser, DeepPcrDenoiserFacts* facts) {
  const Denoiser& from = denoiser->denoiser;
  *facts = {shape_of(from.shape()),
            shape_of(from.embedding_shape()),
            from.classes(),
            from.null_class(),
            static_cast<int>(from.condition()),
            from.type() == at::kFloat ? 1 : 0};
}

DeepPcrFault predict(DeepPcrDenoiser* denoiser, const DeepPcrRows* rows, const double* x,
                     double* out) {
  return guarded([&] { denoiser->denoiser.evaluate(*rows, x, out); });
}

DeepPcrFault predict_product(DeepPcrDenoiser* denoiser, const DeepPcrRows* rows, const double* x,
                             std::int32_t transposed, std::int64_t k, const double* V, double* W) {
  return guarded([&] { denoiser->denoiser.product(*rows, x, transposed != 0, k, V, W); });
}

}  // namespace

}  // namespace deeppcr::torch_plugin

extern "C" __attribute__((visibility("default"))) const DeepPcrTorchTable* deeppcr_torch_table() {
  namespace plugin = deeppcr::torch_plugin;
  static const DeepPcrTorchTable table{
      kDeepPcrTorchVersion,   plugin::open,           plugin::close,          plugin::facts,
      plugin::group,          plugin::read_row,       plugin::bind,           plugin::release,
      plugin::evaluate,       plugin::push_along,     plugin::product,        plugin::gradient,
      plugin::record,         plugin::release_tape,   plugin::back,           plugin::save,
      plugin::open_denoiser,  plugin::close_denoiser, plugin::denoiser_facts, plugin::predict,
      plugin::predict_product};
  return &table;
}
