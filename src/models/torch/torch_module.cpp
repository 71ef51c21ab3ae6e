#include "models/torch/torch_module.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <map>
#include <system_error>
#include <tuple>

#include "deeppcr/core/error.hpp"
#include "models/torch/step_check.hpp"
#include "models/torch/torch_end.hpp"

namespace deeppcr::models {

namespace {

constexpr const char* kPlugin = "deeppcr_torch.so";
constexpr const char* kChainOption = "module";

/// Where the plug-in is; empty where it is nowhere.
std::string find_plugin() {
  if (const char* named = std::getenv("DEEPPCR_TORCH_PLUGIN"); named != nullptr && *named != '\0')
    return named;
  std::error_code ignored;
  const auto folder = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
  for (const auto& path : {folder / kPlugin, folder.parent_path() / "lib" / "deeppcr" / kPlugin})
    if (std::filesystem::exists(path, ignored)) return path.string();
  return "";
}

const DeepPcrTorchTable* load_plugin() {
  const std::string path = find_plugin();
  if (path.empty()) {
    throw local_input_error(
        "this installation has no plug-in {} for modules of PyTorch; install libtorch 1.13 or "
        "newer "
        "(Debian: libtorch-dev) and build again, or name the plug-in by DEEPPCR_TORCH_PLUGIN",
        kPlugin);
  }
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    throw local_input_error("the plug-in {} for modules of PyTorch cannot be loaded: {}", path,
                            dlerror());
  auto* entry = reinterpret_cast<DeepPcrTorchEntry>(dlsym(library, kDeepPcrTorchSymbol));
  const DeepPcrTorchTable* table = entry == nullptr ? nullptr : entry();
  if (table == nullptr || table->version != kDeepPcrTorchVersion) {
    throw local_input_error("{} is no plug-in of this version of the program; build both together",
                            path);
  }
  return table;
}

}  // namespace

const DeepPcrTorchTable& torch_plugin() {
  static const DeepPcrTorchTable* const table = load_plugin();
  return *table;
}

std::shared_ptr<const TorchModule> TorchModule::open(const std::string& option,
                                                     const std::string& file, int precision,
                                                     const std::vector<Index>& taken) {
  using Key = std::tuple<std::string, std::string, int, std::vector<Index>>;
  using Opened = std::map<Key, std::shared_ptr<const TorchModule>>;
  static Opened& opened = *new Opened;  // never closed: at exit PyTorch may be gone before it
  if (file.empty())
    throw local_input_error(
        "--model torch: give the TorchScript file of the chain by --module FILE");
  std::shared_ptr<const TorchModule>& module = opened[{option, file, precision, taken}];
  if (!module) {
    std::shared_ptr<const TorchModule> made(
        new TorchModule(torch_plugin(), option, file, precision, taken));
    if (option == kChainOption) {
      check_torch_step(made);
    } else {
      check_torch_end(made);
    }
    module = std::move(made);
  }
  return module;
}

TorchModule::TorchModule(const DeepPcrTorchTable& table, const std::string& option,
                         const std::string& file, int precision, const std::vector<Index>& taken)
    : table_(table), option_(option), file_(file) {
  const DeepPcrShape shape{taken.data(), static_cast<std::int32_t>(taken.size())};
  require(table_.open(file.c_str(), precision, option == kChainOption ? 0 : 1, shape, &module_));
  table_.facts(module_, &facts_);
  groups_.resize(static_cast<std::size_t>(facts_.groups));
  for (int g = 0; g < facts_.groups; ++g)
    table_.group(module_, g, &groups_[static_cast<std::size_t>(g)]);
}

TorchModule::~TorchModule() {
  if (module_ != nullptr) table_.close(module_);
}

bool TorchModule::shared() const {
  return std::all_of(groups_.begin(), groups_.end(),
                     [](const DeepPcrGroupFacts& group) { return group.shared != 0; });
}

double TorchModule::rounding() const {
  return facts_.single != 0 ? std::numeric_limits<float>::epsilon()
                            : std::numeric_limits<double>::epsilon();
}

void TorchModule::refuse(const std::string& sentence) const {
  throw local_input_error("--{} {}: {}", option_, file_, sentence);
}

void TorchModule::require(DeepPcrFault fault) const {
  if (fault != nullptr) refuse(fault);
}

}  // namespace deeppcr::models
