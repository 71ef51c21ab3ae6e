#pragma once

#include <petscmat.h>

#include <algorithm>
#include <optional>

#include "deeppcr/blocks/linearisation.hpp"
#include "deeppcr/parallel/block_layout.hpp"
#include "deeppcr/parallel/communicator.hpp"
#include "deeppcr/petsc/handle.hpp"

namespace deeppcr::blocks {

/// The linear system of a chain: x_l - A_l x_{l-1} = r_l for the steps of a layout, B samples of
/// width n.
///
/// As a PETSc Mat (type "deeppcrbidiagonal") its rows are ordered step by step, then by sample: [L,
/// B, n], the order of a trajectory. MatMult, MatMultTranspose and MatConvert to MATMPIBAIJ /
/// MATMPIAIJ work, so any PETSc solver can use it.
class BlockBidiagonal {
 public:
  /// Collective on comm. The communicator and the linearisation must outlive the operator.
  /// @pre layout.is_contiguous()
  BlockBidiagonal(const parallel::Communicator& comm, parallel::BlockLayout layout, Index batch,
                  int width);
  BlockBidiagonal(const BlockBidiagonal&) = delete;
  BlockBidiagonal& operator=(const BlockBidiagonal&) = delete;

  const parallel::Communicator& comm() const { return comm_; }
  const parallel::BlockLayout& layout() const { return layout_; }
  StepRange local_range() const { return layout_.range(comm_.rank()); }
  Index batch() const { return batch_; }
  int width() const { return width_; }

  const Linearisation& linearisation() const;
  /// New Jacobians for the same chain; counts as a change of the matrix for PETSc. Of a window into
  /// a longer chain, row 0 is step `first_step` of A.
  /// A rank without steps may have none.
  void set_linearisation(const Linearisation* A, Index first_step = 0);

  /// Steps 0..frozen()-1 have no correction: d_l = 0 there, and solvers skip them.
  Index frozen() const { return frozen_; }
  void set_frozen(Index steps) { frozen_ = steps; }
  /// This rank's steps that are not frozen; empty at the end of local_range() when all are.
  StepRange active_range() const {
    const StepRange local = local_range();
    return {std::clamp(frozen_, local.first, local.last), local.last};
  }

  /// y_l = x_l - A_l x_{l-1}, and its transpose. Shapes: [L_local, B, n]. Collective; one message
  /// of B n reals.
  void multiply(ConstStates x, States y) const;
  void multiply_transpose(ConstStates x, States y) const;

  /// The PETSc view of this operator. Created on first use; collective then.
  Mat mat();
  /// The operator behind a Mat of type "deeppcrbidiagonal"; nullptr for any other Mat.
  static BlockBidiagonal* from(Mat mat);
  /// A MATMPIBAIJ (MATSEQBAIJ on one rank) with the same entries, all blocks assembled; refills
  /// `reuse` if it is given.
  petsc::Handle<Mat> assemble(petsc::Handle<Mat> reuse = {}) const;

 private:
  const parallel::Communicator& comm_;
  parallel::BlockLayout layout_;
  Index batch_;
  int width_;
  const Linearisation* linearisation_ = nullptr;
  std::optional<Shifted> shifted_;  ///< of a window
  Index frozen_ = 0;
  petsc::Handle<Mat> mat_;
};

}  // namespace deeppcr::blocks
