#include "models/recurrent_chain.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/random.hpp"
#include "models/recurrent_linearisation.hpp"

namespace deeppcr::models {

namespace {

CellShape checked(const CellShape& shape, Index num_steps) {
  constexpr int kWidest = 1 << 15;
  const auto check = [](const char* what, Index value, Index most) {
    if (value < 1 || value > most)
      throw input_error("{} {} of a recurrent cell are not possible: 1 to {}", value, what, most);
  };
  check("units", shape.units, kWidest);
  check("features", shape.features, kWidest);
  check("layers", shape.layers, 100);
  const Index numbers = Index{shape.layers} * shape.layer_width();
  if (numbers > kWidest) {
    throw input_error(
        "--width {} with --layers {} makes {} numbers in a state, {} at most are possible; use a "
        "smaller one of the two",
        shape.units, shape.layers, numbers, kWidest);
  }
  if (num_steps < 0) throw input_error("{} steps are not possible: 0 or more", num_steps);
  return shape;
}

/// Streams of the first weights of a layer, by what they are for.
constexpr std::uint64_t kFirstStream = 0x43454c4c00000000;  // "CELL"
enum class Part : std::uint64_t { input, recurrent };

RandomStream stream_of(std::uint64_t seed, int layer, Part part, int turn = 0) {
  return {seed, kFirstStream + static_cast<std::uint64_t>(layer) * 0x10000 +
                    static_cast<std::uint64_t>(part) * 0x1000 + static_cast<std::uint64_t>(turn)};
}

void fill_uniform(const RandomStream& random, double bound, Index count, Real* x) {
  random.uniform(0, count, x);
  for (Index i = 0; i < count; ++i) x[i] = bound * (2 * x[i] - 1);
}

/// Normal numbers of that deviation, drawn again where they are larger than 0.9.
void fill_cut_normal(std::uint64_t seed, int layer, double deviation, Index count, Real* x) {
  constexpr double kLargest = 0.9;
  constexpr int kTurns = 100;
  for (Index i = 0; i < count; ++i) {
    x[i] = 0;
    for (int turn = 0; turn < kTurns; ++turn) {
      const double drawn = deviation * stream_of(seed, layer, Part::recurrent, turn).normal(i);
      if (std::abs(drawn) > kLargest) continue;
      x[i] = drawn;
      break;
    }
  }
}

void initialise(const CellShape& shape, int layer, std::uint64_t seed, View<Real, 1> theta) {
  const Index inputs = shape.input_weights(layer);
  const double bound = 1 / std::sqrt(static_cast<double>(shape.units));
  Real* recurrent = theta.data() + inputs;
  if (!shape.is_diagonal()) {
    fill_uniform(stream_of(seed, layer, Part::input), bound, inputs, theta.data());
    fill_uniform(stream_of(seed, layer, Part::recurrent), bound, theta.size() - inputs, recurrent);
    return;
  }
  fill_uniform(stream_of(seed, layer, Part::input), std::sqrt(3.0 / shape.inputs_of(layer)), inputs,
               theta.data());
  fill_cut_normal(seed, layer, bound, theta.size() - inputs - shape.gate_reals(), recurrent);
}

std::string content_of(const CellShape& shape) {
  switch (shape.kind) {
    case CellKind::para_gru:
      return "W_ih [3n x d], column-major, then a [3n], b [3n]; gates z, r, n";
    case CellKind::para_lstm:
      return "W_ih [3n x d], column-major, then a [3n], peepholes p_f and p_o [2n], b [3n]; "
             "gates f, g, o";
    case CellKind::rnn:
      return "W_ih [n x d], W_hh [n x n], column-major, then b_ih, b_hh [n]";
    case CellKind::gru:
      return "W_ih [3n x d], W_hh [3n x n], column-major, then b_ih, b_hh [3n]; gates r, z, n";
    case CellKind::lstm:
      break;
  }
  return "W_ih [4n x d], W_hh [4n x n], column-major, then b_ih, b_hh [4n]; gates i, f, g, o";
}

}  // namespace

RecurrentChain::RecurrentChain(const CellShape& shape, Index num_steps, StepSet local,
                               std::uint64_t seed)
    : steps_(std::make_shared<RecurrentSteps>(checked(shape, num_steps))),
      num_steps_(num_steps),
      local_(local) {
  for (int layer = 0; layer < shape.layers; ++layer)
    initialise(shape, layer, seed, steps_->parameters(layer));
}

RecurrentChain::RecurrentChain(const RecurrentChain& stack, int layer)
    : steps_(std::make_shared<RecurrentSteps>(*stack.steps_, layer)),
      num_steps_(stack.num_steps_),
      local_(0, stack.num_steps_),
      first_layer_(layer) {
  if (layer == 0) inputs_ = stack.inputs_;
}

const CellShape& RecurrentChain::shape() const { return steps_->shape(); }

sequence::Columns RecurrentChain::output() const {
  return {(shape().layers - 1) * shape().layer_width(), shape().units};
}

double RecurrentChain::products() const {
  return static_cast<double>(shape().all_parameters()) / (static_cast<double>(width()) * width());
}

std::unique_ptr<sequence::Sequence> RecurrentChain::bound_to(const sequence::Inputs& inputs) const {
  auto bound = std::make_unique<RecurrentChain>(*this);
  bound->inputs_ = inputs;
  return bound;
}

std::vector<std::unique_ptr<sequence::Sequence>> RecurrentChain::layers() const {
  std::vector<std::unique_ptr<Sequence>> all;
  for (int layer = 0; layer < shape().layers; ++layer)
    all.push_back(std::unique_ptr<Sequence>(new RecurrentChain(*this, layer)));
  return all;
}

std::vector<sequence::ParameterGroup> RecurrentChain::parameters() {
  std::vector<sequence::ParameterGroup> groups;
  for (int layer = 0; layer < shape().layers; ++layer) {
    const View<Real, 1> theta = steps_->parameters(layer);
    groups.push_back({fmt::format("cell/{}", first_layer_ + layer),
                      true,
                      1,
                      {theta.data(), {1, theta.size()}},
                      content_of(shape())});
  }
  return groups;
}

/// in, out [m, B, S]; chained: `in` is the first state alone. The linearisation is null unless it
/// is asked for.
std::unique_ptr<RecurrentLinearisation> RecurrentChain::evaluate(StepRange range, Index batch,
                                                                 const Real* in, Real* out,
                                                                 bool chained, bool keep) const {
  std::unique_ptr<RecurrentLinearisation> J;
  if (keep) J = std::make_unique<RecurrentLinearisation>(steps_, inputs_, range, batch);
  if (range.empty()) return J;
  DEEPPCR_ASSERT(inputs_.values.extent(2) == shape().features, "steps {} to {}: {} inputs of {}",
                 range.first, range.last, inputs_.values.extent(2), shape().features);
  steps_->take(Direction::forward, range.size() * batch);
  steps_->evaluate({range, batch, inputs_, in, out, chained}, J ? &J->kept() : nullptr);
  return J;
}

void RecurrentChain::value(StepRange range, ConstStates in, States out) const {
  evaluate(range, in.extent(1), in.data(), out.data(), false, false);
}

void RecurrentChain::propagate(StepRange range, ConstState z, States out) const {
  evaluate(range, z.extent(0), z.data(), out.data(), true, false);
}

std::unique_ptr<blocks::Linearisation> RecurrentChain::linearise(StepRange range, ConstStates in,
                                                                 States out) const {
  return evaluate(range, in.extent(1), in.data(), out.data(), false, true);
}

std::unique_ptr<blocks::Linearisation> RecurrentChain::linearise_at_solution(StepRange range,
                                                                             ConstStates in,
                                                                             ConstStates) const {
  return evaluate(range, in.extent(1), in.data(), nullptr, false, true);
}

std::unique_ptr<blocks::Linearisation> RecurrentChain::linearise_along(StepRange range,
                                                                       States states) const {
  return evaluate(range, states.extent(1), states.data(), states.slice(1, range.size() + 1).data(),
                  true, true);
}

void RecurrentChain::propagate_with_tangent(StepRange range, ConstState z, States out, Index sample,
                                            View<Real, 1> tangent) const {
  const Index most = steps_->steps_at_once(z.extent(0));
  const Real* before = z.data();
  for (Index first = range.first; first < range.last; first += most) {
    const StepRange part{first, std::min(first + most, range.last)};
    const States states = out.slice(part.first - range.first, part.last - range.first);
    const auto J = evaluate(part, z.extent(0), before, states.data(), true, true);
    for (Index l = part.first; l < part.last; ++l) J->push_tangent(l, sample, tangent.data());
    before = last_state(states);
  }
}

void RecurrentChain::parameter_gradient(StepRange range, ConstStates in, ConstStates g,
                                        const sequence::GroupRows& grads) const {
  const auto J = evaluate(range, in.extent(1), in.data(), nullptr, false, true);
  if (!range.empty()) J->add_gradients(range, in, g, grads);
}

void RecurrentChain::parameter_gradient_at(const blocks::Linearisation& J, StepRange range,
                                           ConstStates in, ConstStates g,
                                           const sequence::GroupRows& grads) const {
  const auto* own = dynamic_cast<const RecurrentLinearisation*>(&J);
  if (own == nullptr) return parameter_gradient(range, in, g, grads);
  own->add_gradients(range, in, g, grads);
}

void RecurrentChain::backpropagate(const blocks::Linearisation& J, StepRange range,
                                   const sequence::BackwardPass& pass) const {
  const auto* own = dynamic_cast<const RecurrentLinearisation*>(&J);
  if (own == nullptr) return Sequence::backpropagate(J, range, pass);
  own->backpropagate(range, pass);
}

}  // namespace deeppcr::models
