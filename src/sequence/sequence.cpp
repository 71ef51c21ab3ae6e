#include "deeppcr/sequence/sequence.hpp"

#include <algorithm>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/machine.hpp"

namespace deeppcr::sequence {

std::unique_ptr<blocks::Linearisation> Sequence::linearise_at_solution(StepRange range,
                                                                       ConstStates in,
                                                                       ConstStates out) const {
  Buffer<Real> again(out.size());
  return linearise(range, in, States(again.data(), out.shape()));
}

std::unique_ptr<blocks::Linearisation> Sequence::linearise_along(StepRange range,
                                                                 States states) const {
  const States in = states.slice(0, range.size()), out = states.slice(1, range.size() + 1);
  propagate(range, states[0], out);
  return linearise_at_solution(range, in, out);
}

void Sequence::parameter_gradient(StepRange range, ConstStates, ConstStates,
                                  const GroupRows& grads) const {
  DEEPPCR_ASSERT(grads.empty(), "steps {} to {}: this model has no gradients of parameters",
                 range.first, range.last);
}

void Sequence::parameter_gradient_at(const blocks::Linearisation&, StepRange range, ConstStates in,
                                     ConstStates g, const GroupRows& grads) const {
  parameter_gradient(range, in, g, grads);
}

bool Sequence::known_diagonals(KnownDiagonal, StepRange, View<Real, 2>) const { return false; }

bool Sequence::known_pairs(KnownDiagonal, StepRange, View<Real, 3>) const { return false; }

void Sequence::backpropagate(const blocks::Linearisation& J, StepRange range,
                             const BackwardPass& pass) const {
  DEEPPCR_ASSERT(pass.from_above.size() == 0 && pass.by_inputs.size() == 0,
                 "steps {} to {}: this model is no layer of another", range.first, range.last);
  J.substitute(range, Direction::backward, pass.loss, pass.gradient, pass.carry);
  parameter_gradient_at(J, range, pass.in, pass.gradient, pass.parameters);
}

bool Sequence::drift(Index, ConstState, ConstState, State) const { return false; }

void Sequence::extrapolate(StepRange range, ConstState, ConstState, States) const {
  DEEPPCR_ASSERT(range.empty(), "steps {} to {}: this model has no drift", range.first, range.last);
}

void Sequence::propagate(StepRange range, ConstState z, States out) const {
  const Index batch = z.extent(0), n = z.extent(1);
  const Real* before = z.data();
  for (Index l = range.first; l < range.last; ++l) {
    const States after = out.slice(l - range.first, l - range.first + 1);
    value({l, l + 1}, ConstStates(before, {1, batch, n}), after);
    before = after.data();
  }
}

double Sequence::tangent_work() const { return machine().tangent_of_layer; }

void Sequence::propagate_with_tangent(StepRange range, ConstState z, States out, Index sample,
                                      View<Real, 1> tangent) const {
  const Index batch = z.extent(0), n = z.extent(1);
  // V [B, 1, n]: the tangent for its sample, zero for the others.
  Buffer<Real> V(batch * n), W(batch * n), again(batch * n);
  std::copy_n(tangent.data(), n, V.data() + sample * n);
  propagate(range, z, out);
  const Real* before = z.data();
  for (Index l = range.first; l < range.last; ++l) {
    const auto J = linearise({l, l + 1}, ConstStates(before, {1, batch, n}),
                             States(again.data(), {1, batch, n}));
    J->product(l, Direction::forward, ConstPanel(V.data(), {batch, 1, n}),
               Panel(W.data(), {batch, 1, n}));
    V.swap(W);
    before = out[l - range.first].data();
  }
  std::copy_n(V.data() + sample * n, n, tangent.data());
}

}  // namespace deeppcr::sequence
