#pragma once

#include <memory>
#include <string>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/models/end.hpp"
#include "models/torch/torch_module.hpp"

namespace deeppcr::models {

/// A TorchScript module before or behind a chain. Its weights are here, in double; the plug-in
/// borrows them.
class TorchEnd final : public End {
 public:
  /// With the stored weights; `name` is what they are called after in files: "head".
  TorchEnd(std::shared_ptr<const TorchModule> module, std::string name);
  ~TorchEnd() override;
  TorchEnd(const TorchEnd&) = delete;
  TorchEnd& operator=(const TorchEnd&) = delete;

  int inputs() const override { return module_->input_width(); }
  int outputs() const override { return module_->width(); }
  View<Real, 1> parameters() override { return {weights_.data(), {weights_.size()}}; }
  /// Named as in the module: "head/fc.weight".
  std::vector<sequence::ParameterGroup> groups() override;
  void forward(ConstState x, State y) const override;
  /// Cost: one more evaluation.
  void gradient(ConstState x, ConstState g, View<Real, 1> parameter_gradient,
                State input_gradient) const override;
  void save(const std::string& file) const override;

 private:
  /// A pointer for each group into an array that is laid out as parameters().
  std::vector<Real*> rows_in(Real* all) const;

  std::shared_ptr<const TorchModule> module_;
  std::string name_;
  Buffer<Real> weights_;  ///< one group behind the other
  DeepPcrSteps* bound_ = nullptr;
};

/// Tries an end at random inputs: outputs that do not depend on the call or on other samples, and
/// derivatives that are theirs. @throws Error (of this rank) with the first fault, in one sentence
void check_torch_end(const std::shared_ptr<const TorchModule>& module);

}  // namespace deeppcr::models
