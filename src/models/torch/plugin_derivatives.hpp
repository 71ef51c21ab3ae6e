#pragma once

#include <torch/script.h>

#include <cstdint>
#include <functional>

namespace deeppcr::torch_plugin {

/// Of the states that are evaluated together.
constexpr std::int64_t kMostNumbers = std::int64_t{1} << 20;

/// The program's memory as a tensor. What is const is only read.
at::Tensor borrow(const double* from, at::IntArrayRef sizes);

/// From states to states, each row by itself.
using Function = std::function<at::Tensor(const at::Tensor&)>;

/// Products with the Jacobians of functions of one module.
class Derivatives {
 public:
  /// A v at z, row by row, or A^T v; each by one evaluation of its own.
  at::Tensor product(const Function& f, const at::Tensor& z, bool transposed, const at::Tensor& v);

 private:
  at::Tensor push(const Function& f, const at::Tensor& z, const at::Tensor& v);
  static at::Tensor push_twice_backward(const Function& f, const at::Tensor& z,
                                        const at::Tensor& v);
  static at::Tensor pull(const Function& f, const at::Tensor& z, const at::Tensor& u);

  bool forward_mode_ = true;  ///< until the module turns out to have none
};

}  // namespace deeppcr::torch_plugin
