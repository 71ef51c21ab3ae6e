#include "models/torch/torch_chain.hpp"

#include <algorithm>
#include <utility>

#include "deeppcr/core/error.hpp"
#include "models/torch/torch_linearisation.hpp"

namespace deeppcr::models {

/// The rows of all groups, and the plug-in's handle that borrows them.
struct TorchChain::Weights {
  Weights(std::shared_ptr<const TorchModule> file, const StepSet& local) : module(std::move(file)) {
    std::vector<double*> memory;
    for (int g = 0; g < module->facts().groups; ++g) {
      const DeepPcrGroupFacts& group = module->groups()[static_cast<std::size_t>(g)];
      const Index held = group.shared != 0 ? 1 : local.size();
      rows.emplace_back(held * group.row_size);
      for (Index row = 0; row < held; ++row)
        module->require(module->table().read_row(module->get(), g,
                                                 group.shared != 0 ? 0 : local.step(row),
                                                 rows.back().data() + row * group.row_size));
      memory.push_back(rows.back().data());
    }
    module->require(module->table().bind(module->get(), memory.data(), local.size(), &steps));
  }
  ~Weights() {
    if (steps != nullptr) module->table().release(steps);
  }
  Weights(const Weights&) = delete;
  Weights& operator=(const Weights&) = delete;

  std::shared_ptr<const TorchModule> module;
  std::vector<Buffer<Real>> rows;  ///< [group], each [rows held, row size]
  DeepPcrSteps* steps = nullptr;
};

TorchChain::TorchChain(std::shared_ptr<const TorchModule> module, Index num_steps, StepSet local)
    : num_steps_(num_steps), local_(local) {
  const Index stored = module->facts().steps;
  if (module->facts().own_steps != 0 && num_steps > stored) {
    throw input_error("--steps {}: {} has weights for {} steps; use fewer or leave it out",
                      num_steps, module->file(), stored);
  }
  weights_ = std::make_shared<Weights>(std::move(module), local_);
}

TorchChain::TorchChain(const TorchChain& other, const sequence::Inputs& inputs)
    : weights_(other.weights_),
      num_steps_(other.num_steps_),
      local_(other.local_),
      inputs_(inputs) {}

const TorchModule& TorchChain::module() const { return *weights_->module; }

double TorchChain::products() const {
  double numbers = 0;
  for (const DeepPcrGroupFacts& group : module().groups())
    numbers += static_cast<double>(group.row_size);
  return std::max(1.0, numbers / (static_cast<double>(width()) * width()));
}

std::unique_ptr<sequence::Sequence> TorchChain::bound_to(const sequence::Inputs& inputs) const {
  if (input_width() == 0) return nullptr;
  return std::unique_ptr<Sequence>(new TorchChain(*this, inputs));
}

std::vector<sequence::ParameterGroup> TorchChain::parameters() {
  std::vector<sequence::ParameterGroup> groups;
  for (std::size_t g = 0; g < weights_->rows.size(); ++g) {
    const DeepPcrGroupFacts& facts = module().groups()[g];
    Buffer<Real>& memory = weights_->rows[g];
    sequence::ParameterGroup group;
    group.name = facts.name;
    group.shared = facts.shared != 0;
    group.rows = group.shared ? 1 : num_steps_;
    group.values = {memory.data(), {memory.size() / facts.row_size, facts.row_size}};
    group.content = "the module's " + group.name;
    groups.push_back(std::move(group));
  }
  return groups;
}

DeepPcrRange TorchChain::plugin_range(StepRange range, Index samples) const {
  return {range.first, local_.row(range.first), range.size(), samples};
}

const Real* TorchChain::inputs_of(StepRange range, Index samples, Buffer<Real>& room) const {
  const Index d = input_width();
  if (d == 0) return nullptr;
  if (inputs_.values.extent(1) == samples && inputs_.steps.contains(range))
    return inputs_.at(range.first);
  room.reset(range.size() * samples * d);
  for (Index l = range.first; l < range.last; ++l)
    std::copy_n(inputs_.at(l), samples * d, room.data() + (l - range.first) * samples * d);
  return room.data();
}

void TorchChain::keep_where_ended(StepRange range, ConstStates from, States to) const {
  if (inputs_.lengths == nullptr) return;
  const Index n = to.extent(2);
  for (Index i = 0; i < range.size(); ++i)
    for (Index b = 0; b < to.extent(1); ++b)
      if (!inputs_.has(range.first + i, b)) std::copy_n(&from(i, b, 0), n, &to(i, b, 0));
}

void TorchChain::value(StepRange range, ConstStates in, States out) const {
  if (range.empty() || in.size() == 0) return;
  Buffer<Real> room;
  const DeepPcrRange steps = plugin_range(range, in.extent(1));
  const Real* inputs = inputs_of(range, in.extent(1), room);
  module().require(
      module().table().evaluate(weights_->steps, &steps, in.data(), inputs, 0, out.data()));
  keep_where_ended(range, in, out);
}

void TorchChain::propagate(StepRange range, ConstState z, States out) const {
  if (range.empty() || z.size() == 0) return;
  if (inputs_.lengths != nullptr) return Sequence::propagate(range, z, out);
  Buffer<Real> room;
  const DeepPcrRange steps = plugin_range(range, z.extent(0));
  const Real* inputs = inputs_of(range, z.extent(0), room);
  module().require(
      module().table().evaluate(weights_->steps, &steps, z.data(), inputs, 1, out.data()));
}

void TorchChain::propagate_with_tangent(StepRange range, ConstState z, States out, Index sample,
                                        View<Real, 1> tangent) const {
  if (range.empty() || z.size() == 0) return;
  if (inputs_.lengths != nullptr)
    return Sequence::propagate_with_tangent(range, z, out, sample, tangent);
  Buffer<Real> room;
  const DeepPcrRange steps = plugin_range(range, z.extent(0));
  const Real* inputs = inputs_of(range, z.extent(0), room);
  module().require(module().table().push_along(weights_->steps, &steps, z.data(), inputs, sample,
                                               tangent.data(), out.data()));
}

std::unique_ptr<blocks::Linearisation> TorchChain::linearise(StepRange range, ConstStates in,
                                                             States out) const {
  value(range, in, out);
  return linearise_at_solution(range, in, out);
}

std::unique_ptr<blocks::Linearisation> TorchChain::linearise_at_solution(StepRange range,
                                                                         ConstStates in,
                                                                         ConstStates) const {
  return std::make_unique<TorchLinearisation>(*this, range, in);
}

std::unique_ptr<blocks::Linearisation> TorchChain::linearise_along(StepRange range,
                                                                   States states) const {
  // A graph keeps some arrays as large as a state for each operation.
  constexpr double kKept = 16, kMostBytes = 512. * 1024 * 1024;
  const double bytes = kKept * sizeof(Real) * static_cast<double>(states.size());
  if (module().shared() || inputs_.lengths != nullptr || bytes > kMostBytes || range.empty() ||
      states.size() == 0)
    return Sequence::linearise_along(range, states);
  Buffer<Real> room;
  const DeepPcrRange steps = plugin_range(range, states.extent(1));
  const Real* inputs = inputs_of(range, states.extent(1), room);
  DeepPcrTape* tape = nullptr;
  const State first = states[0];
  module().require(module().table().record(weights_->steps, &steps, first.data(), inputs,
                                           states.data() + first.size(), &tape));
  return std::make_unique<TorchLinearisation>(
      *this, range, ConstStates(states.slice(0, range.size())),
      TorchLinearisation::Tape(tape, module().table().release_tape));
}

void TorchChain::pull(const DeepPcrTape& tape, Index step, const Real* v, Real* w) const {
  module().require(module().table().back(&tape, step, v, nullptr, w));
}

void TorchChain::product(StepRange range, Direction direction, ConstStates in,
                         View<const Real, 4> V, View<Real, 4> W) const {
  if (range.empty() || V.size() == 0) return;
  Buffer<Real> room;
  const Index B = V.extent(1), k = V.extent(2);
  const DeepPcrRange steps = plugin_range(range, B);
  const Real* inputs = inputs_of(range, B, room);
  module().require(module().table().product(weights_->steps, &steps, in.data(), inputs,
                                            direction == Direction::backward ? 1 : 0, k, V.data(),
                                            W.data()));
  const std::array<Index, 3> rows{range.size(), B, k * width()};
  keep_where_ended(range, {V.data(), rows}, {W.data(), rows});
}

void TorchChain::gradient(StepRange range, ConstStates in, ConstStates g,
                          const sequence::GroupRows& grads, Real* by_state) const {
  if (range.empty()) return;
  const Index B = in.extent(1);
  Buffer<Real> room, counted;
  const Real* by_value = g.data();
  if (inputs_.lengths != nullptr) {  // a step that a sample lacks has no parameters
    counted.reset(g.size());
    std::copy(g.begin(), g.end(), counted.begin());
    const Buffer<Real> zero(g.size());
    keep_where_ended(range, {zero.data(), g.shape()}, {counted.data(), g.shape()});
    by_value = counted.data();
  }
  std::vector<double*> rows;
  for (const View<Real, 2>& group : grads) rows.push_back(group.data());
  const DeepPcrRange steps = plugin_range(range, B);
  const Real* inputs = inputs_of(range, B, room);
  module().require(module().table().gradient(weights_->steps, &steps, in.data(), inputs, by_value,
                                             rows.data(), by_state));
  if (by_state != nullptr) keep_where_ended(range, g, {by_state, g.shape()});
}

void TorchChain::parameter_gradient(StepRange range, ConstStates in, ConstStates g,
                                    const sequence::GroupRows& grads) const {
  if (!grads.empty()) gradient(range, in, g, grads, nullptr);
}

void TorchChain::parameter_gradient_at(const blocks::Linearisation& J, StepRange range,
                                       ConstStates in, ConstStates g,
                                       const sequence::GroupRows& grads) const {
  const TorchLinearisation* taped = recorded(J);
  if (taped == nullptr || grads.empty()) return parameter_gradient(range, in, g, grads);
  for (Index l = range.first; l < range.last; ++l)
    gradient_of_recorded(*taped, l, g[l - range.first].data(), rows_of(grads, l - range.first),
                         nullptr);
}

void TorchChain::backpropagate(const blocks::Linearisation& J, StepRange range,
                               const sequence::BackwardPass& pass) const {
  // Where steps share their weights, one gradient of all steps is far cheaper than one each.
  if (module().shared() || pass.parameters.empty()) return Sequence::backpropagate(J, range, pass);
  const TorchLinearisation* taped = recorded(J);
  const Index m = range.size(), state = pass.carry.size();
  for (Index i = m - 1; i >= 0; --i) {
    // g_l = c_l + carry; dtheta_l = (df_l / dtheta_l)^T g_l; carry = A_l^T g_l
    const States g = pass.gradient.slice(i, i + 1);
    const Real* c = blocks::row_at(pass.loss, m, i);
    for (Index j = 0; j < state; ++j)
      g.data()[j] = pass.carry.data()[j] + (c == nullptr ? 0 : c[j]);
    const Index l = range.first + i;
    const sequence::GroupRows rows = rows_of(pass.parameters, i);
    if (taped != nullptr) {
      gradient_of_recorded(*taped, l, g.data(), rows, pass.carry.data());
    } else {
      gradient({l, l + 1}, pass.in.slice(i, i + 1), g, rows, pass.carry.data());
    }
  }
}

/// Of one step; a shared group has one row for all.
sequence::GroupRows TorchChain::rows_of(const sequence::GroupRows& all, Index step) const {
  sequence::GroupRows rows;
  for (std::size_t k = 0; k < all.size(); ++k)
    rows.push_back(module().groups()[k].shared != 0 ? all[k] : all[k].slice(step, step + 1));
  return rows;
}

const TorchLinearisation* TorchChain::recorded(const blocks::Linearisation& J) {
  const auto* ours = dynamic_cast<const TorchLinearisation*>(&J);
  return ours != nullptr && ours->tape() != nullptr ? ours : nullptr;
}

void TorchChain::gradient_of_recorded(const TorchLinearisation& taped, Index l, const Real* g,
                                      const sequence::GroupRows& rows, Real* by_state) const {
  std::vector<double*> into;
  for (const View<Real, 2>& group : rows) into.push_back(group.data());
  module().require(
      module().table().back(taped.tape(), taped.tape_position(l), g, into.data(), by_state));
}

}  // namespace deeppcr::models
