#include "models/torch/plugin_derivatives.hpp"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/forward_grad.h>

#include <exception>
#include <tuple>

namespace deeppcr::torch_plugin {

namespace {

/// One level of forward mode, left whatever happens.
class ForwardLevel {
 public:
  ForwardLevel() : level_(torch::autograd::ForwardADLevel::get_next_idx()) {}
  ~ForwardLevel() { torch::autograd::ForwardADLevel::release_idx(level_); }
  ForwardLevel(const ForwardLevel&) = delete;
  ForwardLevel& operator=(const ForwardLevel&) = delete;
  std::uint64_t operator*() const { return level_; }

 private:
  std::uint64_t level_;
};

/// Zero where the graph does not reach x.
at::Tensor derivative(const at::Tensor& y, const at::Tensor& x, const at::Tensor& by_y,
                      bool create_graph) {
  if (!y.requires_grad()) return at::zeros_like(x);
  const auto found = torch::autograd::grad({y}, {x}, {by_y}, /*retain_graph=*/create_graph,
                                           create_graph, /*allow_unused=*/true);
  return found[0].defined() ? found[0] : at::zeros_like(x);
}

}  // namespace

at::Tensor borrow(const double* from, at::IntArrayRef sizes) {
  return at::from_blob(const_cast<double*>(from), sizes, at::kDouble);
}

at::Tensor Derivatives::product(const Function& f, const at::Tensor& z, bool transposed,
                                const at::Tensor& v) {
  return transposed ? pull(f, z, v) : push(f, z, v);
}

at::Tensor Derivatives::push(const Function& f, const at::Tensor& z, const at::Tensor& v) {
  if (!forward_mode_) return push_twice_backward(f, z, v);
  try {
    const at::NoGradGuard no_graph;
    const ForwardLevel level;
    const at::Tensor dual = at::_make_dual(z, v, static_cast<std::int64_t>(*level));
    const at::Tensor y = f(dual);
    const at::Tensor tangent = std::get<1>(at::_unpack_dual(y, static_cast<std::int64_t>(*level)));
    return tangent.defined() ? tangent.clone() : at::zeros_like(z);
  } catch (const std::exception&) {
    forward_mode_ = false;  // an operation without forward mode
  }
  return push_twice_backward(f, z, v);
}

at::Tensor Derivatives::push_twice_backward(const Function& f, const at::Tensor& z,
                                            const at::Tensor& v) {
  // A v = d/du <A^T u, v>
  const at::AutoGradMode graph(true);
  const at::Tensor x = z.detach().requires_grad_(true);
  const at::Tensor y = f(x);
  const at::Tensor u = at::zeros_like(y).requires_grad_(true);
  return derivative(derivative(y, x, u, true), u, v, false);
}

at::Tensor Derivatives::pull(const Function& f, const at::Tensor& z, const at::Tensor& u) {
  const at::AutoGradMode graph(true);
  const at::Tensor x = z.detach().requires_grad_(true);
  return derivative(f(x), x, u, false);
}

}  // namespace deeppcr::torch_plugin
