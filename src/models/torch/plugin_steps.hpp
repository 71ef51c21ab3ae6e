#pragma once

#include <vector>

#include "models/torch/plugin_derivatives.hpp"
#include "models/torch/plugin_module.hpp"
#include "models/torch/plugin_table.hpp"
#include "models/torch/plugin_tape.hpp"

namespace deeppcr::torch_plugin {

/// The step with weights that the program holds; the table's calls. Shapes as there.
class Steps {
 public:
  Steps(const Module& module, double* const* weights, std::int64_t rows);

  void evaluate(const DeepPcrRange& range, const double* in, const double* inputs, bool chained,
                double* out);
  void push_along(const DeepPcrRange& range, const double* in, const double* inputs,
                  std::int64_t sample, double* tangent, double* out);
  void product(const DeepPcrRange& range, const double* in, const double* inputs, bool transposed,
               std::int64_t k, const double* V, double* W);
  void gradient(const DeepPcrRange& range, const double* in, const double* inputs, const double* g,
                double* const* rows, double* by_state);
  void record(const DeepPcrRange& range, const double* in, const double* inputs, double* out,
              Tape& tape);

 private:
  /// Steps that are evaluated together: all that share their weights, as far as memory allows;
  /// others one by one, or some by vmap.
  struct Piece {
    std::int64_t first, steps;  ///< counted from the first of the range
  };
  std::vector<Piece> pieces(const DeepPcrRange& range, std::int64_t k, bool by_vmap) const;

  /// Puts the weights of a piece into entered_; of one step, or of all that share them, where the
  /// interpreter finds them.
  void enter(const DeepPcrRange& range, const Piece& piece, bool differentiable);
  bool is_by_vmap(const Piece& piece) const { return piece.steps > 1 && module_.own_weights(); }
  at::Tensor weights_of(const DeepPcrRange& range, const Piece& piece, std::size_t group) const;
  /// A row as float32, in memory that is used again.
  at::Tensor converted(std::size_t group, const at::Tensor& row);
  /// The steps of a piece that was entered, for its rows of states.
  at::Tensor forward(const DeepPcrRange& range, const Piece& piece, const at::Tensor& z,
                     const at::Tensor& second);
  at::Tensor forward_by_vmap(const DeepPcrRange& range, const Piece& piece, const at::Tensor& z,
                             const at::Tensor& second);
  /// Whether steps of own weights are computed by vmap: narrow ones that it knows.
  bool vmap_pays(std::int64_t rows);
  /// Of a range the rows of a piece, [steps B k, width], as the module's type; each B times k.
  at::Tensor rows(const DeepPcrRange& range, const Piece& piece, const double* from,
                  std::int64_t width, std::int64_t k) const;
  at::Tensor second(const DeepPcrRange& range, const Piece& piece, const double* inputs,
                    std::int64_t k) const;
  template <typename T>
  void push_along_in(const DeepPcrRange& range, const double* in, const double* inputs,
                     std::int64_t sample, double* tangent, double* out);

  const Module& module_;
  std::vector<double*> memory_;                    ///< [group], the program's
  std::vector<std::vector<at::Tensor>> borrowed_;  ///< [group][row], double, views of it
  std::vector<at::Tensor> entered_;                ///< [group]
  std::vector<at::Tensor> single_;                 ///< [group], in float32: the entered row
  bool vmap_ = false;                              ///< of steps with weights of their own
  Derivatives derivatives_;
};

}  // namespace deeppcr::torch_plugin
