#include "models/torch/plugin_steps.hpp"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "models/torch/plugin_vmap.hpp"

namespace deeppcr::torch_plugin {

namespace {

/// By vmap.
constexpr std::int64_t kMostSteps = 64;

/// x + h t of a sample's state x, behind the states [B, n] that it is one of; h, 0 for t = 0, NaN
/// where t or x is infinite.
template <typename T>
double place_neighbour(std::int64_t samples, std::int64_t n, std::int64_t sample,
                       const double* tangent, T* states) {
  const T* x = states + sample * n;
  T* neighbour = states + samples * n;
  double size = 0, length = 0;
  for (std::int64_t j = 0; j < n; ++j) {
    size += static_cast<double>(x[j]) * static_cast<double>(x[j]);
    length += tangent[j] * tangent[j];
  }
  // What a difference loses by rounding and by curvature is alike.
  const double rounding = std::sqrt(static_cast<double>(std::numeric_limits<T>::epsilon()));
  double h = length > 0 ? rounding * std::sqrt((size > 0 ? size : 1) / length) : 0;
  if (!std::isfinite(length) || !std::isfinite(size)) h = std::nan("");
  for (std::int64_t j = 0; j < n; ++j)
    neighbour[j] = static_cast<T>(static_cast<double>(x[j]) + h * tangent[j]);
  return h;
}

/// t <- (f(x + h t) - f(x)) / h
template <typename T>
void take_difference(std::int64_t samples, std::int64_t n, std::int64_t sample, double h,
                     const T* values, double* tangent) {
  const T* value = values + sample * n;
  const T* neighbour = values + samples * n;
  for (std::int64_t j = 0; j < n; ++j)
    tangent[j] = h == 0 ? 0 : static_cast<double>(neighbour[j] - value[j]) / h;
}

}  // namespace

Steps::Steps(const Module& module, double* const* weights, std::int64_t rows) : module_(module) {
  for (std::size_t g = 0; g < module.weights().size(); ++g) {
    const Weight& weight = module.weights()[g];
    const std::int64_t count = weight.shared ? 1 : rows, size = weight.row_size();
    std::vector<at::Tensor> views;
    for (std::int64_t row = 0; row < count; ++row)
      views.push_back(borrow(weights[g] + row * size, weight.shape()));
    memory_.push_back(weights[g]);
    borrowed_.push_back(std::move(views));
    single_.push_back(module.type() == at::kFloat ? at::empty(weight.shape(), at::kFloat)
                                                  : at::Tensor());
  }
  entered_.resize(borrowed_.size());
  vmap_ = vmap_pays(rows);
}

// A rule, not a clock, whose choice would change with the load, and roundings with it. Operations
// that vmap would take apart into single calls end the trial.
bool Steps::vmap_pays(std::int64_t rows) {
  constexpr std::int64_t kTried = 8, kWidest = 256;
  constexpr double kRoundings = 1e4;
  if (!module_.own_weights() || rows < kTried || module_.width() > kWidest) return false;
  const std::size_t n = static_cast<std::size_t>(module_.width()), tried = kTried;
  const std::vector<double> states(tried * n, 0.1),
      inputs(tried * static_cast<std::size_t>(module_.input_width()), 0.1);
  std::vector<double> found(states.size()), expected(states.size());
  const DeepPcrRange range{0, 0, kTried, 1};
  try {
    evaluate(range, states.data(), inputs.data(), false, expected.data());
    vmap_ = true;
    const WithoutVmapFallback strict;
    evaluate(range, states.data(), inputs.data(), false, found.data());
  } catch (const std::exception&) {
    return false;
  }
  const double rounding = module_.type() == at::kFloat ? std::numeric_limits<float>::epsilon()
                                                       : std::numeric_limits<double>::epsilon();
  double size = 0, difference = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    size = std::max(size, std::abs(expected[i]));
    difference = std::max(difference, std::abs(found[i] - expected[i]));
  }
  return difference <= kRoundings * rounding * size;
}

at::Tensor Steps::weights_of(const DeepPcrRange& range, const Piece& piece,
                             std::size_t group) const {
  const Weight& weight = module_.weights()[group];
  if (weight.shared) return borrowed_[group].front();
  const std::int64_t row = range.first_row + piece.first;
  if (piece.steps == 1) return borrowed_[group][static_cast<std::size_t>(row)];
  std::vector<std::int64_t> sizes = weight.shape();
  sizes.insert(sizes.begin(), piece.steps);
  return borrow(memory_[group] + row * weight.row_size(), sizes);
}

at::Tensor Steps::converted(std::size_t group, const at::Tensor& row) {
  // A loop: dispatching a conversion takes longer than a narrow layer.
  const double* from = row.data_ptr<double>();
  std::copy_n(from, row.numel(), single_[group].data_ptr<float>());
  return single_[group];
}

void Steps::enter(const DeepPcrRange& range, const Piece& piece, bool differentiable) {
  const bool in_place = !is_by_vmap(piece);
  for (const Weight& constant : module_.constants()) {
    if (in_place)
      constant.owner->setSlot(constant.slot,
                              constant.stored.select(0, range.first_step + piece.first));
  }
  for (std::size_t g = 0; g < borrowed_.size(); ++g) {
    const Weight& weight = module_.weights()[g];
    at::Tensor value = weights_of(range, piece, g);
    if (differentiable) {
      value = value.to(module_.type()).detach().requires_grad_(true);
    } else if (module_.type() == at::kFloat) {
      value = weight.shared || in_place ? converted(g, value) : value.to(at::kFloat);
    }
    entered_[g] = value;
    if (in_place) weight.owner->setSlot(weight.slot, value);
  }
}

at::Tensor Steps::forward(const DeepPcrRange& range, const Piece& piece, const at::Tensor& z,
                          const at::Tensor& second) {
  if (!is_by_vmap(piece)) return module_.forward(z, second);
  at::Tensor y = forward_by_vmap(range, piece, z, second);
  // The module must not keep tensors of a level that is gone.
  const std::vector<at::Tensor> entered = entered_;
  enter(range, {piece.first, 1}, false);
  entered_ = entered;
  return y;
}

at::Tensor Steps::forward_by_vmap(const DeepPcrRange& range, const Piece& piece,
                                  const at::Tensor& z, const at::Tensor& second) {
  const std::int64_t m = piece.steps, B = range.samples;
  const VmapLevel level(m);
  for (const Weight& constant : module_.constants()) {
    const at::Tensor all = constant.stored.narrow(0, range.first_step + piece.first, m);
    constant.owner->setSlot(constant.slot, level.each(all));
  }
  for (std::size_t g = 0; g < entered_.size(); ++g) {
    const Weight& weight = module_.weights()[g];
    weight.owner->setSlot(weight.slot, weight.shared ? entered_[g] : level.each(entered_[g]));
  }
  at::Tensor x = second;
  if (x.defined()) x = level.each(x.dim() == 1 ? x.view({m, B}) : x.view({m, B, x.size(1)}));
  const at::Tensor y = module_.forward(level.each(z.view({m, B, z.size(1)})), x);
  return level.all(y).reshape({m * B, y.size(1)});
}

std::vector<Steps::Piece> Steps::pieces(const DeepPcrRange& range, std::int64_t k,
                                        bool by_vmap) const {
  const std::int64_t numbers = std::max<std::int64_t>(1, range.samples * k * module_.width());
  std::int64_t most = std::max<std::int64_t>(1, kMostNumbers / numbers);
  if (module_.own_weights()) most = by_vmap ? std::min(most, kMostSteps) : 1;
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
  if (!module_.own_weights()) enter(range, {0, 1}, false);
  if (!chained) {
    for (const Piece& piece : pieces(range, 1, vmap_)) {
      if (module_.own_weights()) enter(range, piece, false);
      const at::Tensor y = forward(range, piece, rows(range, piece, in, module_.taken_width(), 1),
                                   second(range, piece, inputs, 1));
      borrow(out + piece.first * state, y.sizes()).copy_(y);
    }
    return;
  }
  at::Tensor z = rows({0, 0, 1, range.samples}, {0, 1}, in, module_.width(), 1);
  for (std::int64_t i = 0; i < range.steps; ++i) {
    if (module_.own_weights()) enter(range, {i, 1}, false);
    z = module_.forward(z, second(range, {i, 1}, inputs, 1));
    borrow(out + i * state, z.sizes()).copy_(z);
  }
}

void Steps::push_along(const DeepPcrRange& range, const double* in, const double* inputs,
                       std::int64_t sample, double* tangent, double* out) {
  if (module_.type() == at::kFloat) {
    push_along_in<float>(range, in, inputs, sample, tangent, out);
  } else {
    push_along_in<double>(range, in, inputs, sample, tangent, out);
  }
}

template <typename T>
void Steps::push_along_in(const DeepPcrRange& range, const double* in, const double* inputs,
                          std::int64_t sample, double* tangent, double* out) {
  const c10::InferenceMode inference;
  const std::int64_t B = range.samples, n = module_.width();
  const at::Tensor z = at::empty({B + 1, n}, module_.type());
  T* states = z.data_ptr<T>();
  std::copy_n(in, B * n, states);
  for (std::int64_t i = 0; i < range.steps; ++i) {
    if (i == 0 || module_.own_weights()) enter(range, {i, 1}, false);
    at::Tensor x = second(range, {i, 1}, inputs, 1);
    if (x.defined()) x = at::cat({x, x.narrow(0, sample, 1)});
    const double h = place_neighbour(B, n, sample, tangent, states);
    const at::Tensor y = module_.forward(z, x).contiguous();
    const T* values = y.data_ptr<T>();
    take_difference(B, n, sample, h, values, tangent);
    std::copy_n(values, B * n, out + i * B * n);
    std::copy_n(values, B * n, states);
  }
}

void Steps::product(const DeepPcrRange& range, const double* in, const double* inputs,
                    bool transposed, std::int64_t k, const double* V, double* W) {
  const std::int64_t n = module_.width(), B = range.samples;
  if (!module_.own_weights()) enter(range, {0, 1}, false);
  for (const Piece& piece : pieces(range, k, vmap_ && transposed && k == 1)) {
    if (module_.own_weights()) enter(range, piece, false);
    const at::Tensor z = rows(range, piece, in, n, k), x = second(range, piece, inputs, k);
    const std::int64_t at = piece.first * B * k * n;
    const at::Tensor v = borrow(V + at, {piece.steps * B * k, n}).to(module_.type());
    const Function step = [&](const at::Tensor& state) { return forward(range, piece, state, x); };
    const at::Tensor w = derivatives_.product(step, z, transposed, v);
    borrow(W + at, w.sizes()).copy_(w);
  }
}

void Steps::gradient(const DeepPcrRange& range, const double* in, const double* inputs,
                     const double* g, double* const* rows_of, double* by_state) {
  const at::AutoGradMode graph(true);
  const std::int64_t n = module_.taken_width(), B = range.samples;
  for (const Piece& piece : pieces(range, 1, vmap_)) {
    enter(range, piece, true);
    const at::Tensor z = rows(range, piece, in, n, 1).detach().requires_grad_(by_state != nullptr);
    const at::Tensor y = forward(range, piece, z, second(range, piece, inputs, 1));
    differentiate(
        module_, {z, y, entered_}, rows(range, piece, g, module_.width(), 1),
        {rows_of, piece.first, by_state == nullptr ? nullptr : by_state + piece.first * B * n},
        /*keeps_graph=*/false);
  }
  enter(range, {0, 1}, false);
}

void Steps::record(const DeepPcrRange& range, const double* in, const double* inputs, double* out,
                   Tape& tape) {
  const at::AutoGradMode graph(true);
  const std::int64_t n = module_.width(), B = range.samples;
  at::Tensor z = rows({0, 0, 1, B}, {0, 1}, in, n, 1);
  tape.module = &module_;
  for (std::int64_t i = 0; i < range.steps; ++i) {
    enter(range, {i, 1}, true);
    z = z.detach().requires_grad_(true);
    const at::Tensor y = module_.forward(z, second(range, {i, 1}, inputs, 1));
    borrow(out + i * B * n, y.sizes()).copy_(y.detach());
    tape.steps.push_back({z, y, entered_});
    z = y;
  }
  enter(range, {0, 1}, false);
}

}  // namespace deeppcr::torch_plugin
