#include "models/torch/torch_end.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "models/torch/trial.hpp"

namespace deeppcr::models {

namespace {

Index count_weights(const TorchModule& module) {
  Index count = 0;
  for (const DeepPcrGroupFacts& group : module.groups()) count += group.row_size;
  return count;
}

DeepPcrRange one_step(Index samples) { return {0, 0, 1, samples}; }

}  // namespace

TorchEnd::TorchEnd(std::shared_ptr<const TorchModule> module, std::string name)
    : module_(std::move(module)), name_(std::move(name)), weights_(count_weights(*module_)) {
  const DeepPcrTorchTable& table = module_->table();
  std::vector<Real*> rows = rows_in(weights_.data());
  for (std::size_t g = 0; g < rows.size(); ++g)
    module_->require(table.read_row(module_->get(), static_cast<std::int32_t>(g), 0, rows[g]));
  module_->require(table.bind(module_->get(), rows.data(), 1, &bound_));
}

TorchEnd::~TorchEnd() {
  if (bound_ != nullptr) module_->table().release(bound_);
}

std::vector<Real*> TorchEnd::rows_in(Real* all) const {
  std::vector<Real*> rows;
  for (const DeepPcrGroupFacts& group : module_->groups()) {
    rows.push_back(all);
    all += group.row_size;
  }
  return rows;
}

std::vector<sequence::ParameterGroup> TorchEnd::groups() {
  const std::vector<Real*> rows = rows_in(weights_.data());
  std::vector<sequence::ParameterGroup> groups;
  for (std::size_t g = 0; g < rows.size(); ++g) {
    const DeepPcrGroupFacts& facts = module_->groups()[g];
    groups.push_back({name_ + "/" + facts.name,
                      false,
                      1,
                      {rows[g], {1, facts.row_size}},
                      "the module's " + std::string(facts.name)});
  }
  return groups;
}

void TorchEnd::forward(ConstState x, State y) const {
  if (x.size() == 0) return;
  const DeepPcrRange range = one_step(x.extent(0));
  module_->require(module_->table().evaluate(bound_, &range, x.data(), nullptr, 0, y.data()));
}

void TorchEnd::gradient(ConstState x, ConstState g, View<Real, 1> parameter_gradient,
                        State input_gradient) const {
  Buffer<Real> unwanted(parameter_gradient.size() > 0 ? 0 : weights_.size());
  Real* into = parameter_gradient.size() > 0 ? parameter_gradient.data() : unwanted.data();
  std::fill_n(into, weights_.size(), Real{0});
  if (x.size() == 0) return;
  const std::vector<Real*> rows = rows_in(into);
  const DeepPcrRange range = one_step(x.extent(0));
  Real* by_input = input_gradient.size() > 0 ? input_gradient.data() : nullptr;
  module_->require(module_->table().gradient(bound_, &range, x.data(), nullptr, g.data(),
                                             rows.data(), by_input));
}

void TorchEnd::save(const std::string& file) const {
  Buffer<Real> copy(weights_.size());
  std::copy(weights_.begin(), weights_.end(), copy.begin());
  const std::vector<Real*> rows = rows_in(copy.data());
  module_->require(module_->table().save(module_->get(), rows.data(), 1, file.c_str()));
}

namespace {

using trial::dot;
using trial::kSamples;
using trial::normal;

Buffer<Real> outputs_of(const TorchEnd& end, const Buffer<Real>& x, Index samples) {
  Buffer<Real> y(samples * end.outputs());
  end.forward({x.data(), {samples, end.inputs()}}, {y.data(), {samples, end.outputs()}});
  return y;
}

/// <dy, dy> of a difference dy of outputs against <A^T dy, v>.
bool is_derivative(const TorchEnd& end, const Buffer<Real>& x, double rounding) {
  const Buffer<Real> v = normal(x.size(), 2);
  Buffer<Real> by_x(x.size());
  const double h = trial::difference_step(rounding);
  Buffer<Real> dy = outputs_of(end, trial::moved(x, h, v), kSamples);
  const Buffer<Real> down = outputs_of(end, trial::moved(x, -h, v), kSamples);
  for (Index i = 0; i < dy.size(); ++i) dy[i] = (dy[i] - down[i]) / (2 * h);
  end.gradient({x.data(), {kSamples, end.inputs()}}, {dy.data(), {kSamples, end.outputs()}}, {},
               {by_x.data(), {kSamples, end.inputs()}});
  const double noise = 100 * h * h * std::sqrt(dot(down, down));  // roundings / h of outputs
  return std::abs(dot(dy, dy) - dot(by_x, v)) <= trial::kDifference * dot(dy, dy) + noise * noise;
}

}  // namespace

void check_torch_end(const std::shared_ptr<const TorchModule>& module) {
  const TorchEnd end(module, "end");
  const Buffer<Real> x = normal(kSamples * end.inputs(), 1);
  Buffer<Real> given(x.size());
  std::copy(x.begin(), x.end(), given.begin());
  const Buffer<Real> y = outputs_of(end, given, kSamples);
  if (!std::equal(x.begin(), x.end(), given.begin()))
    module->refuse("it changes what it is given; let it make a new tensor");
  if (!trial::finite(y))
    module->refuse("it makes NaN or infinite outputs of normally distributed inputs");
  const auto differs = [&](const Buffer<Real>& found, const Real* expected) {
    return trial::differs(found, expected, module->rounding());
  };
  if (differs(outputs_of(end, given, kSamples), y.data()))
    module->refuse(
        "it makes other outputs when it is called again with the same inputs: dropout that is on, "
        "noise, or a memory of its own; call module.eval()");
  std::copy_n(x.data() + (kSamples - 1) * end.inputs(), end.inputs(), given.begin());
  if (differs(outputs_of(end, given, 1), y.data() + (kSamples - 1) * end.outputs()))
    module->refuse(
        "it makes other outputs of a sample alone than of the same one among others: batch "
        "normalisation that still learns, a batch size that was traced in, or samples that are "
        "mixed");
  if (!is_derivative(end, x, module->rounding()))
    module->refuse(
        "its derivative is not that of its values: a part is cut off by detach(), no_grad() or "
        ".data");
}

}  // namespace deeppcr::models
