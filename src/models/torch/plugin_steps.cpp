#include "models/torch/plugin_steps.hpp"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/forward_grad.h>

#include <algorithm>
#include <stdexcept>

namespace deeppcr::torch_plugin {

namespace {

/// Of the states that are evaluated together.
constexpr std::int64_t kMostNumbers = std::int64_t{1} << 20;

/// The program's memory as a tensor. What is const is only read.
at::Tensor borrow(const double* from, at::IntArrayRef sizes) {
  return at::from_blob(const_cast<double*>(from), sizes, at::kDouble);
}

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

Steps::Steps(const Module& module, double* const* weights, std::int64_t rows) : module_(module) {
  for (std::size_t g = 0; g < module.weights().size(); ++g) {
    const Weight& weight = module.weights()[g];
    const std::int64_t count = weight.shared ? 1 : rows, size = weight.row_size();
    std::vector<at::Tensor> views;
    for (std::int64_t row = 0; row < count; ++row)
      views.push_back(borrow(weights[g] + row * size, weight.shape()));
    borrowed_.push_back(std::move(views));
    single_.push_back(module.type() == at::kFloat ? at::empty(weight.shape(), at::kFloat)
                                                  : at::Tensor());
  }
  entered_.resize(borrowed_.size());
}

void Steps::enter(const DeepPcrRange& range, std::int64_t i, bool differentiable) {
  for (const Weight& constant : module_.constants())
    constant.owner->setSlot(constant.slot, constant.stored.select(0, range.first_step + i));
  const std::int64_t row = range.first_row + i;
  for (std::size_t g = 0; g < borrowed_.size(); ++g) {
    const Weight& weight = module_.weights()[g];
    at::Tensor value = borrowed_[g][static_cast<std::size_t>(weight.shared ? 0 : row)];
    if (differentiable) {
      value = value.to(module_.type()).detach().requires_grad_(true);
    } else if (module_.type() == at::kFloat) {
      // A loop: dispatching a conversion takes longer than a narrow layer.
      const double* from = value.data_ptr<double>();
      std::copy_n(from, value.numel(), single_[g].data_ptr<float>());
      value = single_[g];
    }
    entered_[g] = value;
    weight.owner->setSlot(weight.slot, value);
  }
}

std::vector<Steps::Piece> Steps::pieces(const DeepPcrRange& range, std::int64_t k) const {
  const std::int64_t numbers = std::max<std::int64_t>(1, range.samples * k * module_.width());
  const std::int64_t most =
      module_.own_weights() ? 1 : std::max<std::int64_t>(1, kMostNumbers / numbers);
  std::vector<Piece> all;
  for (std::int64_t first = 0; first < range.steps; first += most)
    all.push_back({first, std::min(most, range.steps - first)});
  return all;
}

at::Tensor Steps::rows(const DeepPcrRange& range, const Piece& piece, const double* from,
                       std::int64_t width, std::int64_t k) const {
  const std::int64_t B = range.samples;
  at::Tensor x = borrow(from + piece.first * B * width, {piece.steps * B, width});
  if (k > 1) x = x.repeat_interleave(k, 0);
  return x.to(module_.type());
}

at::Tensor Steps::second(const DeepPcrRange& range, const Piece& piece, const double* inputs,
                         std::int64_t k) const {
  if (module_.second() == Second::nothing) return {};
  if (module_.second() == Second::input)
    return rows(range, piece, inputs, module_.input_width(), k);
  const std::int64_t first = range.first_step + piece.first;
  return at::arange(first, first + piece.steps, at::kLong).repeat_interleave(range.samples * k);
}

void Steps::evaluate(const DeepPcrRange& range, const double* in, const double* inputs,
                     bool chained, double* out) {
  const c10::InferenceMode inference;
  const std::int64_t state = range.samples * module_.width();
  if (!module_.own_weights()) enter(range, 0, false);
  if (!chained) {
    for (const Piece& piece : pieces(range, 1)) {
      if (module_.own_weights()) enter(range, piece.first, false);
      const at::Tensor y = module_.forward(rows(range, piece, in, module_.taken_width(), 1),
                                           second(range, piece, inputs, 1));
      borrow(out + piece.first * state, y.sizes()).copy_(y);
    }
    return;
  }
  at::Tensor z = rows({0, 0, 1, range.samples}, {0, 1}, in, module_.width(), 1);
  for (std::int64_t i = 0; i < range.steps; ++i) {
    if (module_.own_weights()) enter(range, i, false);
    z = module_.forward(z, second(range, {i, 1}, inputs, 1));
    borrow(out + i * state, z.sizes()).copy_(z);
  }
}

at::Tensor Steps::push(const at::Tensor& z, const at::Tensor& second, const at::Tensor& v) {
  if (!forward_mode_) return push_twice_backward(z, second, v);
  try {
    const at::NoGradGuard no_graph;
    const ForwardLevel level;
    const at::Tensor dual = at::_make_dual(z, v, static_cast<std::int64_t>(*level));
    const at::Tensor y = module_.forward(dual, second);
    const at::Tensor tangent = std::get<1>(at::_unpack_dual(y, static_cast<std::int64_t>(*level)));
    return tangent.defined() ? tangent.clone() : at::zeros_like(z);
  } catch (const std::exception&) {
    forward_mode_ = false;  // an operation without forward mode
  }
  return push_twice_backward(z, second, v);
}

at::Tensor Steps::push_twice_backward(const at::Tensor& z, const at::Tensor& second,
                                      const at::Tensor& v) {
  // A v = d/du <A^T u, v>
  const at::AutoGradMode graph(true);
  const at::Tensor x = z.detach().requires_grad_(true);
  const at::Tensor y = module_.forward(x, second);
  const at::Tensor u = at::zeros_like(y).requires_grad_(true);
  return derivative(derivative(y, x, u, true), u, v, false);
}

at::Tensor Steps::pull(const at::Tensor& z, const at::Tensor& second, const at::Tensor& u) {
  const at::AutoGradMode graph(true);
  const at::Tensor x = z.detach().requires_grad_(true);
  return derivative(module_.forward(x, second), x, u, false);
}

void Steps::product(const DeepPcrRange& range, const double* in, const double* inputs,
                    bool transposed, std::int64_t k, const double* V, double* W) {
  const std::int64_t n = module_.width(), B = range.samples;
  if (!module_.own_weights()) enter(range, 0, false);
  for (const Piece& piece : pieces(range, k)) {
    if (module_.own_weights()) enter(range, piece.first, false);
    const at::Tensor z = rows(range, piece, in, n, k), x = second(range, piece, inputs, k);
    const std::int64_t at = piece.first * B * k * n;
    const at::Tensor v = borrow(V + at, {piece.steps * B * k, n}).to(module_.type());
    const at::Tensor w = transposed ? pull(z, x, v) : push(z, x, v);
    borrow(W + at, w.sizes()).copy_(w);
  }
}

void Steps::gradient(const DeepPcrRange& range, const double* in, const double* inputs,
                     const double* g, double* const* rows_of, double* by_state) {
  const at::AutoGradMode graph(true);
  const std::int64_t n = module_.taken_width(), B = range.samples;
  for (const Piece& piece : pieces(range, 1)) {
    enter(range, piece.first, true);
    const at::Tensor z = rows(range, piece, in, n, 1).detach().requires_grad_(by_state != nullptr);
    const at::Tensor y = module_.forward(z, second(range, piece, inputs, 1));
    std::vector<at::Tensor> wanted = entered_, found(entered_.size() + 1);
    if (by_state != nullptr) wanted.push_back(z);
    if (y.requires_grad())
      found = torch::autograd::grad({y}, wanted, {rows(range, piece, g, module_.width(), 1)},
                                    /*retain_graph=*/false, /*create_graph=*/false,
                                    /*allow_unused=*/true);
    for (std::size_t k = 0; k < entered_.size(); ++k) {
      const Weight& weight = module_.weights()[k];
      const std::int64_t row = weight.shared ? 0 : piece.first;
      const at::Tensor into = borrow(rows_of[k] + row * weight.row_size(), entered_[k].sizes());
      if (!weight.shared) into.zero_();
      if (found[k].defined()) into.add_(found[k]);
    }
    if (by_state == nullptr) continue;
    const at::Tensor into = borrow(by_state + piece.first * B * n, z.sizes());
    if (found.back().defined()) {
      into.copy_(found.back());
    } else {
      into.zero_();
    }
  }
  enter(range, 0, false);
}

}  // namespace deeppcr::torch_plugin
