#include "models/layered_chain.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/processor.hpp"
#include "models/buffer_pool.hpp"
#include "models/layer_kernels.hpp"

namespace deeppcr::models {

namespace {

class LayeredLinearisation : public blocks::Linearisation {
 public:
  /// parameters: those of step range.first, the other steps' behind.
  LayeredLinearisation(const Real* parameters, LayerKernels& kernels, StepRange range, Index batch)
      : parameters_(parameters),
        num_parameters_(kernels.shape().parameters()),
        kernels_(kernels),
        range_(range),
        batch_(batch),
        num_slopes_(kernels.num_slopes(batch)) {}

  /// sigma' of step l, [layers, B, n].
  virtual const Real* slopes(Index l) const = 0;

  void product(Index l, Direction direction, ConstPanel V, Panel W) const override {
    kernels_.product(direction, theta(l), slopes(l), V, W);
  }
  void substitute(StepRange range, Direction direction, ConstStates rhs, States result,
                  State carry) const override {
    if (direction == Direction::forward) {
      Linearisation::substitute(range, direction, rhs, result, carry);
      return;
    }
    walk_back(range, rhs, result, carry, [this](Index, const BackwardStep& step) {
      kernels_.substitute_transposed(step, batch_);
    });
  }
  /// substitute() backward with the parameter gradients of each step.
  void backpropagate(StepRange range, const sequence::BackwardPass& pass) const {
    Real* grads = pass.parameters.front().data();
    walk_back(range, pass.loss, pass.gradient, pass.carry, [&](Index i, BackwardStep& step) {
      step.z = pass.in.data() + i * pass.carry.size();
      step.grad = grads + i * num_parameters_;
      kernels_.backpropagate(step, batch_);
    });
  }
  void blocks(StepRange range, Blocks A) const override {
    for (Index i = 0; i < range.size(); ++i)
      kernels_.jacobian(theta(range.first + i), slopes(range.first + i), batch_, A[i].data());
  }

 protected:
  Activation activation() const { return kernels_.shape().activation; }
  StepRange range() const { return range_; }
  Index num_slopes() const { return num_slopes_; }

 private:
  const Real* theta(Index l) const { return parameters_ + (l - range_.first) * num_parameters_; }

  /// visit(i, step) from the last step to the first. A step adds to the loss of the state before
  /// it in place, so that each row is written once and read while it is in the caches.
  template <typename Visit>
  void walk_back(StepRange range, ConstStates loss, States result, State carry,
                 Visit&& visit) const {
    const Index size = carry.size(), m = range.size();
    if (m == 0) return;
    Real* last = result.data() + (m - 1) * size;
    const Real* c = blocks::row_at(loss, m, m - 1);
    for (Index j = 0; j < size; ++j)
      last[j] = c == nullptr ? carry.data()[j] : c[j] + carry.data()[j];
    for (Index i = m - 1; i >= 0; --i) {
      const Index l = range.first + i;
      Real* g = result.data() + i * size;
      BackwardStep step{theta(l), slopes(l), nullptr, g, nullptr, carry.data(), nullptr};
      if (i > 0) {
        step.c = blocks::row_at(loss, m, i - 1);
        step.out = g - size;
      }
      visit(i, step);
    }
  }

  const Real* parameters_;
  Index num_parameters_;
  LayerKernels& kernels_;
  StepRange range_;
  Index batch_;
  Index num_slopes_;
};

/// Slopes of all steps are kept.
class StoredSlopes final : public LayeredLinearisation {
 public:
  StoredSlopes(const Real* parameters, LayerKernels& kernels, std::shared_ptr<BufferPool> pool,
               StepRange range, Index batch)
      : LayeredLinearisation(parameters, kernels, range, batch),
        slopes_(std::move(pool), range.size() * num_slopes()) {}

  Real* all_slopes() { return slopes_.data(); }
  const Real* slopes(Index l) const override {
    return slopes_.data() + (l - range().first) * num_slopes();
  }

 private:
  PooledBuffer slopes_;
};

/// Slopes follow from the states, for a few steps at a time: one layer a step.
class SlopesFromStates final : public LayeredLinearisation {
 public:
  /// states: those after the steps of the range, [m, B, n].
  SlopesFromStates(const Real* parameters, LayerKernels& kernels, StepRange range, Index batch,
                   const Real* states)
      : LayeredLinearisation(parameters, kernels, range, batch),
        states_(states),
        room_(num_slopes() > 0 ? std::max<Index>(1, kWindowReals / num_slopes()) : 0),
        slopes_(std::min(room_, range.size()) * num_slopes()) {}

  const Real* slopes(Index l) const override {
    if (num_slopes() == 0) return nullptr;
    if (!window_.contains(l)) fill(l);
    return slopes_.data() + (l - window_.first) * num_slopes();
  }

 private:
  static constexpr Index kWindowReals = 1024;

  void fill(Index l) const {
    const Index first = l - (l - range().first) % room_;
    window_ = {first, std::min(first + room_, range().last)};
    slope_from_value(activation(), window_.size() * num_slopes(),
                     states_ + (first - range().first) * num_slopes(), slopes_.data());
  }

  const Real* states_;
  Index room_;  ///< steps that the window has room for
  mutable StepRange window_;
  mutable Buffer<Real> slopes_;
};

/// The shape, if it has sense.
StepShape checked(const StepShape& shape, Index num_steps, const StepSet& local) {
  constexpr int kWidest = 1 << 15;
  if (shape.width < 1 || shape.width > kWidest)
    throw input_error("a width of {} is not possible: 1 to {}", shape.width, kWidest);
  if (num_steps < 0) throw input_error("{} steps are not possible: 0 or more", num_steps);
  if (shape.layers < 1 || shape.layers > 1000)
    throw input_error("{} layers in a block are not possible: 1 to 1000", shape.layers);
  const Index most = std::numeric_limits<Index>::max() / Index{sizeof(Real)} / shape.parameters();
  if (local.size() > most)
    throw input_error("{} steps with {} parameters each are more than memory can hold",
                      local.size(), shape.parameters());
  DEEPPCR_ASSERT(local.empty() || (local.step(0) >= 0 && local.step(local.size() - 1) < num_steps),
                 "steps {} to {} of {}", local.step(0), local.step(local.size() - 1), num_steps);
  DEEPPCR_ASSERT(shape.skip || shape.scale == 1, "a scale of {} without skip", shape.scale);
  return shape;
}

/// Whether a walk through so many bytes of weights finds them in memory. What fits the second-level
/// cache twice over may have stayed near.
bool are_far(Index bytes) { return bytes > 2 * second_level_cache(); }

}  // namespace

LayeredChain::LayeredChain(const StepShape& shape, Index num_steps, StepSet local,
                           const FirstWeights& first)
    : shape_(checked(shape, num_steps, local)),
      num_steps_(num_steps),
      local_(local),
      parameters_(local.size() * shape.parameters()),
      kernels_(
          std::make_unique<LayerKernels>(shape, are_far(parameters_.size() * Index{sizeof(Real)}))),
      pool_(std::make_shared<BufferPool>()) {
  for (Index row = 0; row < local_.size(); ++row) {
    Real* theta = rows()[row].data();
    for (int j = 0; j < shape.layers; ++j) {
      const LayerKey key{first.seed, local_.step(row), j};
      initialise_weights(first.kind, first.gain, key, shape.width, theta + shape.weight_offset(j));
      if (shape.bias) initialise_bias(first.kind, key, shape.width, theta + shape.bias_offset(j));
    }
  }
}

LayeredChain::~LayeredChain() = default;

const Real* LayeredChain::parameters_of(StepRange range) const {
  DEEPPCR_ASSERT(local_.contains(range), "steps [{}, {}) are not all held, in one range",
                 range.first, range.last);
  return parameters_.data() + local_.row(range.first) * shape_.parameters();
}

bool LayeredChain::known_diagonals(sequence::KnownDiagonal which, StepRange,
                                   View<Real, 2> diagonals) const {
  if (!shape_.skip || which != sequence::KnownDiagonal::linear_part) return false;
  std::fill(diagonals.begin(), diagonals.end(), Real{1});
  return true;
}

std::vector<sequence::ParameterGroup> LayeredChain::parameters() {
  return {{"layers", false, num_steps_, rows(),
           "parameters of each step: for each layer W, column-major, then b"}};
}

/// slopes: of all steps, one after another; null where they are not wanted.
void LayeredChain::evaluate(StepRange range, ConstStates in, States out, Real* slopes) const {
  const Index batch = in.extent(1), size = batch * shape_.width;
  const Index num_slopes = slopes == nullptr ? 0 : kernels_->num_slopes(batch);
  const Real* theta = parameters_of(range);
  for (Index i = 0; i < range.size(); ++i)
    kernels_->forward(theta + i * shape_.parameters(), batch, in.data() + i * size,
                      out.data() + i * size, slopes + i * num_slopes);
}

void LayeredChain::value(StepRange range, ConstStates in, States out) const {
  evaluate(range, in, out, nullptr);
}

void LayeredChain::propagate(StepRange range, ConstState z, States out) const {
  if (range.empty()) return;
  kernels_->run(parameters_of(range), range.size(), z.extent(0), z.data(), out.data());
}

void LayeredChain::propagate_with_tangent(StepRange range, ConstState z, States out, Index sample,
                                          View<Real, 1> tangent) const {
  if (range.empty()) return;
  kernels_->run_with_tangent(parameters_of(range), range.size(), z.extent(0), z.data(), out.data(),
                             sample, tangent.data());
}

std::unique_ptr<blocks::Linearisation> LayeredChain::linearise(StepRange range, ConstStates in,
                                                               States out) const {
  auto J =
      std::make_unique<StoredSlopes>(parameters_of(range), *kernels_, pool_, range, in.extent(1));
  evaluate(range, in, out, J->all_slopes());
  return J;
}

bool LayeredChain::slopes_follow_from_states() const {
  return shape_.layers == 1 && !shape_.skip &&
         slope_from_value(shape_.activation, 0, nullptr, nullptr);
}

std::unique_ptr<blocks::Linearisation> LayeredChain::linearise_along(StepRange range,
                                                                     States states) const {
  if (slopes_follow_from_states()) return Sequence::linearise_along(range, states);
  // Step by step: out[i] is in[i + 1].
  return linearise(range, states.slice(0, range.size()), states.slice(1, range.size() + 1));
}

std::unique_ptr<blocks::Linearisation> LayeredChain::linearise_at_solution(StepRange range,
                                                                           ConstStates in,
                                                                           ConstStates out) const {
  if (!slopes_follow_from_states()) return Sequence::linearise_at_solution(range, in, out);
  return std::make_unique<SlopesFromStates>(parameters_of(range), *kernels_, range, in.extent(1),
                                            out.data());
}

void LayeredChain::parameter_gradient_at(const blocks::Linearisation& J, StepRange range,
                                         ConstStates in, ConstStates g,
                                         const sequence::GroupRows& grads) const {
  const auto* own = dynamic_cast<const LayeredLinearisation*>(&J);
  if (own == nullptr || shape_.layers > 1) {
    parameter_gradient(range, in, g, grads);
    return;
  }
  const Index batch = in.extent(1), size = batch * shape_.width;
  for (Index i = 0; i < range.size(); ++i)
    kernels_->single_layer_gradient(own->slopes(range.first + i), batch, in.data() + i * size,
                                    g.data() + i * size, grads.front()[i].data());
}

void LayeredChain::backpropagate(const blocks::Linearisation& J, StepRange range,
                                 const sequence::BackwardPass& pass) const {
  const auto* own = dynamic_cast<const LayeredLinearisation*>(&J);
  if (own != nullptr) {
    own->backpropagate(range, pass);
  } else {
    Sequence::backpropagate(J, range, pass);
  }
}

void LayeredChain::parameter_gradient(StepRange range, ConstStates in, ConstStates g,
                                      const sequence::GroupRows& grads) const {
  const Index batch = in.extent(1), size = batch * shape_.width;
  const Real* theta = parameters_of(range);
  for (Index i = 0; i < range.size(); ++i)
    kernels_->parameter_gradient(theta + i * shape_.parameters(), batch, in.data() + i * size,
                                 g.data() + i * size, grads.front()[i].data());
}

}  // namespace deeppcr::models
