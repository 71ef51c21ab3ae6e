#pragma once

#include <vector>

#include "models/torch/plugin_module.hpp"
#include "models/torch/plugin_table.hpp"

namespace deeppcr::torch_plugin {

/// The step with weights that the program holds; the table's calls. Shapes as there.
class Steps {
 public:
  Steps(const Module& module, double* const* weights, std::int64_t rows);

  void evaluate(const DeepPcrRange& range, const double* in, const double* inputs, bool chained,
                double* out);
  void product(const DeepPcrRange& range, const double* in, const double* inputs, bool transposed,
               std::int64_t k, const double* V, double* W);
  void gradient(const DeepPcrRange& range, const double* in, const double* inputs, const double* g,
                double* const* rows, double* by_state);

 private:
  /// Steps that are evaluated together: all that share their weights, as far as memory allows.
  struct Piece {
    std::int64_t first, steps;  ///< counted from the first of the range
  };
  std::vector<Piece> pieces(const DeepPcrRange& range, std::int64_t k) const;

  /// Puts the weights of a step where the interpreter finds them; `i` counts from the range's
  /// first.
  void enter(const DeepPcrRange& range, std::int64_t i, bool differentiable);
  /// Of a range the rows of a piece, [steps B k, width], as the module's type; each B times k.
  at::Tensor rows(const DeepPcrRange& range, const Piece& piece, const double* from,
                  std::int64_t width, std::int64_t k) const;
  at::Tensor second(const DeepPcrRange& range, const Piece& piece, const double* inputs,
                    std::int64_t k) const;
  at::Tensor push(const at::Tensor& z, const at::Tensor& second, const at::Tensor& v);
  at::Tensor push_twice_backward(const at::Tensor& z, const at::Tensor& second,
                                 const at::Tensor& v);
  at::Tensor pull(const at::Tensor& z, const at::Tensor& second, const at::Tensor& u);

  const Module& module_;
  std::vector<std::vector<at::Tensor>> borrowed_;  ///< [group][row], double, the program's memory
  std::vector<at::Tensor> entered_;                ///< [group]
  std::vector<at::Tensor> single_;                 ///< [group], in float32: the entered row
  bool forward_mode_ = true;                       ///< until the module turns out to have none
};

}  // namespace deeppcr::torch_plugin
