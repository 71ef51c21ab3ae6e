#pragma once

#include <limits>
#include <memory>
#include <optional>
#include <string>

#include "deeppcr/core/profile.hpp"
#include "deeppcr/nonlinear/conclusion.hpp"
#include "deeppcr/nonlinear/newton.hpp"
#include "deeppcr/nonlinear/recording.hpp"
#include "deeppcr/petsc/handle.hpp"

namespace deeppcr::nonlinear {

/// The chain as PETSc's SNES sees it: F(z) = z_l - f_l(z_{l-1}), its Jacobian I - N, and the
/// stopping rule.
class NewtonSnes {
 public:
  explicit NewtonSnes(const NewtonOptions& options) : options_(options) {}

  SolveReport solve(const sequence::Sequence& chain, sequence::Trajectory& trajectory,
                    const Monitors& monitors);

  static std::vector<std::string> stages();

  /// What the SNES calls back.
  void evaluate(ConstStates z, States F);
  void linearise_at(Vec x);
  SNESConvergedReason judge(int iteration);

  const sequence::Trajectory& trajectory() const { return *trajectory_; }

 private:
  /// Over all ranks.
  struct Norms {
    double residual = 0;  ///< max_l ||r_l||_inf
    double excess =
        0;  ///< max_l ||r_l|| / (atol + rtol max_{k <= l} ||z_k||); 1 or less has converged
    double tolerance = 0;  ///< atol + rtol max_l ||z_l||
    Index frozen = 0;      ///< leading steps that are exact to a thousandth of the tolerance
    Index identical = 0;   ///< leading steps whose residual is exactly zero
  };
  const parallel::Communicator& comm() const { return trajectory_->comm(); }

  /// The linear solver within the SNES, and what it is preconditioned by.
  struct Inner {
    KSP ksp = nullptr;
    PC pc = nullptr;
  };

  Inner inner_solver() const;
  void create_for(const sequence::Sequence& chain, sequence::Trajectory& trajectory);
  void assemble_if_asked();
  bool is_linearised_at(ConstStates z) const;
  void evaluate_unless_linearised_at(Vec x);
  Norms norms(ConstStates F, ConstStates z, parallel::Reduction& together);
  double step_norm() const;
  int account(int iteration, parallel::TrafficByLevel& sent);
  void add_path(const linear::LinearSolver* solver, PetscInt ksp_iterations);
  StageTimes current_stages() const;
  bool is_settled(ConstStates residual);
  bool rises();
  std::string why_not_right(SNESConvergedReason reason) const;
  std::string linear_name() const;

  NewtonOptions options_;

  const sequence::Sequence* chain_ = nullptr;
  sequence::Trajectory* trajectory_ = nullptr;
  std::optional<Recording> recording_;
  std::unique_ptr<blocks::BlockBidiagonal> J_;
  /// The states of the last evaluation, [L_local + 1, B, n]: the left neighbour's last one, then
  /// all own ones.
  Buffer<Real> evaluated_;
  std::shared_ptr<const blocks::Linearisation> linearisation_;  ///< there
  std::shared_ptr<const blocks::Linearisation> jacobian_;       ///< what J_ points to
  /// PETSc's count of changes of the states at which all ranks know that they are linearised at
  /// them; -1 where that is not known.
  Index known_ = -1;
  petsc::Handle<SNES> snes_;
  petsc::Handle<Vec> states_;  ///< of the trajectory that all this was made for
  petsc::Handle<Vec> residual_;
  petsc::Handle<Mat> assembled_;  ///< only when another PC than ours was asked for

  SolveReport report_;
  StageTimes stages_, solver_before_;
  parallel::TrafficByLevel levels_;
  parallel::Traffic neighbours_;
  Norms last_;
  Assessment found_;  ///< of the last states whose residual was small enough
  double best_residual_ = std::numeric_limits<double>::infinity();
  double error_before_ = std::numeric_limits<double>::infinity();
  int rises_ = 0;
};

}  // namespace deeppcr::nonlinear
