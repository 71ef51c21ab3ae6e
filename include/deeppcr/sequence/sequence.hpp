#pragma once

#include <memory>
#include <vector>

#include "deeppcr/blocks/linearisation.hpp"
#include "deeppcr/core/step_set.hpp"
#include "deeppcr/core/view.hpp"
#include "deeppcr/sequence/backward_pass.hpp"
#include "deeppcr/sequence/parameters.hpp"

namespace deeppcr::sequence {

/// Diagonals that a model may know of its Jacobians without an evaluation.
///
///     linear_part  what of it is linear in the state: a residual block's skip, a sampler's factor
///     gaussian     the Jacobian of a denoising step if the data were Gaussian
enum class KnownDiagonal { linear_part, gaussian };

/// Neighbouring numbers of a state.
struct Columns {
  int first = 0, count = 0;
};

/// A chain z_{l+1} = f_l(z_l), l = 0..num_steps()-1, on B independent samples of width n.
///
/// An object holds what the steps of one rank need (its own layers' weights) and touches only its
/// arguments; it never communicates. A model gets whole ranges, never one step at a time: where
/// steps share weights (a denoiser, a recurrent cell) a range is ONE matrix product.
class Sequence {
 public:
  virtual ~Sequence() = default;

  virtual Index num_steps() const = 0;
  virtual int width() const = 0;
  /// What a head or a loss looks at: of stacked cells, the last layer's hidden state. Default: all.
  virtual Columns output() const { return {0, width()}; }

  /// What a step takes, in products of an [n x n] matrix with a state. Default: one layer.
  virtual double products() const { return 1; }
  /// What a tangent adds to a step, in steps of one sample. Default: machine().tangent_of_layer.
  virtual double tangent_work() const;

  /// out[i] = f_{range.first + i}(in[i]), every step from its own given state.
  /// Shapes: in, out [range.size(), B, n]; `out` does not overlap `in`.
  virtual void value(StepRange range, ConstStates in, States out) const = 0;

  /// value() and what the derivative needs (for a layer: sigma'(a), [m, B, n]) in one pass; no n x
  /// n block is stored. `in` and the Sequence must outlive the result.
  virtual std::unique_ptr<blocks::Linearisation> linearise(StepRange range, ConstStates in,
                                                           States out) const = 0;

  /// linearise() at a trajectory that is right already: out[i] = f(in[i]) is given, and must
  /// outlive the result too. Default: linearise(), with its values thrown away; a model whose
  /// derivative follows from its outputs can spare the products.
  virtual std::unique_ptr<blocks::Linearisation> linearise_at_solution(StepRange range,
                                                                       ConstStates in,
                                                                       ConstStates out) const;

  /// Fills diagonals [m, n] of each sample and returns true if the model knows them. Default: no.
  virtual bool known_diagonals(KnownDiagonal which, StepRange range, View<Real, 2> diagonals) const;
  /// The same for the 2 x 2 blocks of numbers i and i + n / 2, by columns [m, 2, n]. Default: no.
  virtual bool known_pairs(KnownDiagonal which, StepRange range, View<Real, 3> columns) const;

  /// For guesses: what step l adds to the part of it that is known, where that changes slowly from
  /// step to step. From a state z and the step's value f there; drift [B, n]. Returns true where
  /// the model has such a thing. Default: it has not.
  virtual bool drift(Index l, ConstState z, ConstState f, State drift) const;
  /// The steps of a range one after another from z, with that drift in place of an evaluation.
  /// Shapes: out [range.size(), B, n]. @pre drift() returns true
  virtual void extrapolate(StepRange range, ConstState z, ConstState drift, States out) const;

  /// The steps one after another, as sequential code does it: out[0] = f_first(z), out[i] =
  /// f_{first+i}(out[i-1]). Shapes: z [B, n], out [range.size(), B, n]. Default: value() step by
  /// step; a model whose step is short overrides it with a tight loop, because this is the baseline
  /// that users have.
  virtual void propagate(StepRange range, ConstState z, States out) const;

  /// propagate() from states[0] into those behind it, with the same bits, and linearise() at what
  /// it finds. The states [range.size() + 1, B, n] must outlive the result. Default: one after the
  /// other; a model whose linearise_at_solution() evaluates again can spare that.
  virtual std::unique_ptr<blocks::Linearisation> linearise_along(StepRange range,
                                                                 States states) const;

  /// propagate(), with one tangent of one sample pushed along: tangent [n] <- A_last .. A_first
  /// tangent, the Jacobians at the states of that sample. Tells how much the chain amplifies. The
  /// states are propagate()'s to rounding (of the models that come with it to the bit). Default:
  /// linearise() step by step; where a step is short, one pass for both is worth having.
  virtual void propagate_with_tangent(StepRange range, ConstState z, States out, Index sample,
                                      View<Real, 1> tangent) const;

  /// Its trainable numbers, shown where they are as long as the object lives. Default: none.
  virtual std::vector<ParameterGroup> parameters() { return {}; }
  /// The steps that this object holds rows of parameters for. A range given to any call lies within
  /// one of its ranges(). Default: all.
  virtual StepSet local_steps() const { return {0, num_steps()}; }

  /// grads[i] = sum over samples of (df_l / dtheta_l)^T g[i], l = range.first + i, is assigned to
  /// the rows of a group's steps; the sum over samples and steps is added to the row of a shared
  /// one.
  /// Shapes: in, g [m, B, n] (state before the step; gradient of the loss by the state after it).
  /// Cost: about that of value() and one product backward.
  /// @pre there are parameters
  virtual void parameter_gradient(StepRange range, ConstStates in, ConstStates g,
                                  const GroupRows& grads) const;
  /// The same with a linearisation of this sequence at the same states, which may know what would
  /// have to be computed again. Default: does not use it.
  virtual void parameter_gradient_at(const blocks::Linearisation& J, StepRange range,
                                     ConstStates in, ConstStates g, const GroupRows& grads) const;

  /// J.substitute() backward and the parameter gradients: g_l = c_l + carry, grads_l = (df_l /
  /// dtheta_l)^T g_l, carry = A_l^T g_l, from the last step to the first. Default: one after the
  /// other; a model that does both while a step's data are in the caches saves a pass over them.
  virtual void backpropagate(const blocks::Linearisation& J, StepRange range,
                             const BackwardPass& pass) const;

  /// Numbers that a step takes for each sample beside the state. Default: none.
  virtual int input_width() const { return 0; }
  /// The inputs that are bound, whose values such a chain needs in every call. Default: none.
  virtual Inputs inputs() const { return {}; }
  /// The same steps and parameters with these inputs: a light object that borrows from this one,
  /// for as many samples as it is asked for. Null where steps take no inputs and do the same for
  /// every sample: then this object serves. Default: null.
  virtual std::unique_ptr<Sequence> bound_to(const Inputs&) const { return nullptr; }

  /// The chains that a step consists of, one above the other, all with all steps: the first takes
  /// the inputs that are bound, each other one the output() of the one below after the same step as
  /// its inputs, still to be bound. Their states are side by side in a state of this chain, their
  /// groups of parameters one after another in parameters(), in the same memory; each step has the
  /// same bits. Default: none; a step is not made so.
  virtual std::vector<std::unique_ptr<Sequence>> layers() const { return {}; }
};

/// A chain for batches that begin with another sample of its inputs: micro-batches, or the samples
/// of one rank. Sequence and inputs must outlive it.
class FromSample {
 public:
  FromSample(const Sequence& sequence, Index first)
      : view_(sequence.bound_to(sequence.inputs().from_sample(first))),
        sequence_(view_ ? *view_ : sequence) {}

  const Sequence& operator*() const { return sequence_; }
  const Sequence* operator->() const { return &sequence_; }

 private:
  std::unique_ptr<Sequence> view_;
  const Sequence& sequence_;
};

}  // namespace deeppcr::sequence
