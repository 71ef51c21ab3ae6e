#pragma once

#include <torch/script.h>

#include <cstdint>
#include <string>
#include <vector>

namespace deeppcr::torch_plugin {

/// A tensor of the step where the interpreter finds it.
struct Weight {
  std::string name;  ///< path below the step: "fc.weight"
  bool shared = true;
  at::Tensor stored;  ///< [L, ..]; a shared one [..]
  c10::intrusive_ptr<c10::ivalue::Object> owner;
  std::size_t slot = 0;

  std::int64_t row_size() const;
  /// Of one step.
  std::vector<std::int64_t> shape() const;
};

/// What a step takes beside the state.
enum class Second { nothing, step, input };

/// A file as it was loaded: the step, its weights, and what deeppcr.json in it says.
class Module {
 public:
  /// precision: 0 as stored, 32, 64. taken: the shape of what an end takes, for a file that does
  /// not say it. @throws std::runtime_error with one sentence
  Module(const std::string& file, int precision, bool end, const std::vector<std::int64_t>& taken);

  std::int64_t steps() const { return steps_; }
  std::int64_t width() const { return width_; }
  const std::vector<std::int64_t>& shape() const { return shape_; }
  std::int64_t input_width() const { return input_width_; }
  /// Numbers in what the step takes: the state, or an end's input.
  std::int64_t taken_width() const { return end_ ? input_width_ : width_; }
  at::ScalarType type() const { return type_; }
  Second second() const { return second_; }
  /// The parameters.
  const std::vector<Weight>& weights() const { return weights_; }
  /// Buffers that differ from step to step, such as running means.
  const std::vector<Weight>& constants() const { return constants_; }
  /// Whether steps have weights of their own.
  bool own_weights() const;

  /// The step for rows of states z [R, n] and what else it takes, [R, d] or steps [R]; [R, n]. Of
  /// an end z is [R, d].
  /// @throws std::runtime_error where the result has another shape or type
  at::Tensor forward(const at::Tensor& z, const at::Tensor& second) const;

  /// Writes it with these weights, [rows, row size] each, of its first steps.
  void save(double* const* weights, std::int64_t rows, const std::string& file);

 private:
  void read_description(const std::string& text);
  void check_kind(bool is_end) const;
  /// Gives the file's own place of a weight its values, [L, ..] of a stack.
  void replace(const Weight& weight, const at::Tensor& values, bool trained);
  void find_second();
  /// Of an end that has no description, by a trial.
  void find_shape();
  void find_weights();
  Weight stacked_weight(std::size_t index);

  bool end_;
  std::string description_;
  torch::jit::Module whole_, step_;
  std::vector<std::string> stacks_;   ///< paths of the tensors that stack0, stack1, .. replace
  std::vector<std::string> buffers_;  ///< those of them that are no parameters
  std::vector<std::int64_t> shape_, input_shape_;
  std::string second_word_;
  std::int64_t steps_ = 0, width_ = 1, input_width_ = 0;
  Second second_ = Second::nothing;
  at::ScalarType type_ = at::kDouble;
  std::vector<Weight> weights_, constants_;
};

}  // namespace deeppcr::torch_plugin
