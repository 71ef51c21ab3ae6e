#pragma once

#include <memory>
#include <string>
#include <vector>

#include "deeppcr/core/types.hpp"
#include "models/torch/plugin_table.hpp"

namespace deeppcr::models {

/// A TorchScript file in the plug-in. Opened once for each name and precision, however many ask.
class TorchModule {
 public:
  /// option: that names the file; of "module" it is a chain, of others an end. precision: 0 as
  /// stored, 32, 64. taken: the shape of what an end takes, where its file may not say it.
  /// @throws Error (of this rank) with one sentence: no plug-in, no such file, one of the other
  /// kind, or a step that is of no use, as check_torch_step() and check_torch_end() find
  static std::shared_ptr<const TorchModule> open(const std::string& option, const std::string& file,
                                                 int precision,
                                                 const std::vector<Index>& taken = {});
  ~TorchModule();
  TorchModule(const TorchModule&) = delete;
  TorchModule& operator=(const TorchModule&) = delete;

  const std::string& file() const { return file_; }
  const DeepPcrModuleFacts& facts() const { return facts_; }
  const std::vector<DeepPcrGroupFacts>& groups() const { return groups_; }
  int width() const { return static_cast<int>(facts_.width); }
  int input_width() const { return static_cast<int>(facts_.input_width); }
  /// Whether no step has weights of its own.
  bool shared() const;
  /// Relative rounding error of its values.
  double rounding() const;

  const DeepPcrTorchTable& table() const { return table_; }
  DeepPcrModule* get() const { return module_; }
  /// @throws Error (of this rank) that names the file
  [[noreturn]] void refuse(const std::string& sentence) const;
  /// The same where there is a fault.
  void require(DeepPcrFault fault) const;

 private:
  TorchModule(const DeepPcrTorchTable& table, const std::string& option, const std::string& file,
              int precision, const std::vector<Index>& taken);

  const DeepPcrTorchTable& table_;
  std::string option_, file_;
  DeepPcrModule* module_ = nullptr;
  DeepPcrModuleFacts facts_{};
  std::vector<DeepPcrGroupFacts> groups_;
};

/// The plug-in: $DEEPPCR_TORCH_PLUGIN, or deeppcr_torch.so in the program's folder or in
/// ../lib/deeppcr beside it. @throws Error that says how to get it
const DeepPcrTorchTable& torch_plugin();

}  // namespace deeppcr::models
