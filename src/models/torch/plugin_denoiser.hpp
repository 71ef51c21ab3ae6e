#pragma once

#include <torch/script.h>

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "models/torch/plugin_derivatives.hpp"
#include "models/torch/plugin_table.hpp"

namespace deeppcr::torch_plugin {

/// A network that predicts the noise in states at given times: forward(x, t), forward(x, t, class)
/// or forward(x, t, embedding). Shapes: x [R, *shape], t and class int64 [R], embedding
/// [R, *embedding_shape].
class Denoiser {
 public:
  /// precision: 0 as stored, 32, 64. @throws std::runtime_error with one sentence
  Denoiser(const std::string& file, int precision, const DeepPcrDenoiserGiven& given);

  const std::vector<std::int64_t>& shape() const { return shape_; }
  const std::vector<std::int64_t>& embedding_shape() const { return embedding_shape_; }
  DeepPcrCondition condition() const { return condition_; }
  std::int64_t classes() const { return classes_; }
  std::int64_t null_class() const { return null_class_; }
  at::ScalarType type() const { return type_; }

  /// Shapes as in the table. Many rows are evaluated piece by piece.
  void evaluate(const DeepPcrRows& rows, const double* x, double* out) const;
  void product(const DeepPcrRows& rows, const double* x, bool transposed, std::int64_t k,
               const double* V, double* W);

 private:
  /// What is evaluated together: each row k times, from [first, first + count) of those.
  struct Piece {
    std::int64_t first, count;
    at::Tensor x, times, condition;
  };

  void read_description(const std::string& text, const DeepPcrDenoiserGiven& given);
  void read_condition(const nlohmann::json& json);
  /// What deeppcr.json would say.
  void take(const DeepPcrDenoiserGiven& given);
  void check_against(const DeepPcrDenoiserGiven& given) const;
  void check_arguments() const;

  std::int64_t width() const;
  std::int64_t most_rows() const;
  Piece piece(const DeepPcrRows& rows, const double* x, std::int64_t k, std::int64_t first) const;
  /// From states [m, n] to predictions [m, n].
  at::Tensor forward(const at::Tensor& x, const Piece& piece) const;
  void check_prediction(const at::Tensor& y, at::IntArrayRef expected) const;

  torch::jit::Module module_;
  std::vector<std::int64_t> shape_, embedding_shape_;
  DeepPcrCondition condition_ = kDeepPcrNothing;
  std::int64_t classes_ = 0, null_class_ = -1;
  at::ScalarType type_ = at::kDouble;
  Derivatives derivatives_;
};

}  // namespace deeppcr::torch_plugin
