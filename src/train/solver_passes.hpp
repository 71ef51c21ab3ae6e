#pragma once

#include <memory>
#include <optional>

#include "deeppcr/nonlinear/adjoint.hpp"
#include "deeppcr/parallel/process_grid.hpp"
#include "deeppcr/sequence/trajectory.hpp"
#include "deeppcr/train/chain_network.hpp"
#include "deeppcr/train/trainable.hpp"

namespace deeppcr::train {

/// The forward pass of a whole batch by a nonlinear solver, and the backward pass behind it.
class SolverPasses {
 public:
  /// Two chains with the same steps, which must outlive the passes.
  struct Chain {
    const sequence::Sequence& steps;
    const sequence::Sequence& differentiated;  ///< whose Jacobians the backward pass takes
  };

  /// kept: of so many samples, the last trajectories are kept, if the solver iterates. The grid
  /// must outlive the object. Collective.
  SolverPasses(const parallel::ProcessGrid& grid, const Chain& chain,
               const parallel::BlockLayout& layout, Index batch, const PassMethods& methods,
               Index kept);

  State input() { return trajectory_.input(); }
  ConstStates states() const { return trajectory_.states(); }
  /// Fills the states. Iterations start from copies of z_0, or where these samples (if any) have
  /// kept trajectories from those.
  nonlinear::SolveReport forward(const Index* samples);
  /// Room for the gradient of a loss by its last `rows` local states.
  States loss_gradient(Index rows);
  /// From loss_gradient(); as Adjoint::solve().
  void backward(sequence::ParameterGradients& parameters, const nonlinear::Adjoint::Ready& ready);
  const nonlinear::Adjoint& adjoint() const { return adjoint_; }

  /// The trajectories that are kept, if any.
  std::optional<StoredArray> kept();

 private:
  /// Calls visit(known, kept, state) for each local step of each of these samples that is kept.
  template <typename Visit>
  void for_each_kept(const Index* samples, const Visit& visit);

  const parallel::ProcessGrid& grid_;
  const sequence::Sequence& chain_;
  bool iterates_;
  sequence::Trajectory trajectory_;
  std::unique_ptr<nonlinear::Solver> forward_;
  nonlinear::Adjoint adjoint_;
  Buffer<Real> loss_gradient_;
  Index loss_rows_ = 0;
  Index kept_samples_;
  /// Last trajectories, [L_local, kept (n + 1)]: for each step whether samples 0..kept-1 are known
  /// on this data rank, then their states. Samples are independent, whatever batch they come in.
  Buffer<Real> kept_;
};

}  // namespace deeppcr::train
