#pragma once

#include <petscksp.h>

#include <string>
#include <vector>

#include "deeppcr/blocks/block_bidiagonal.hpp"

namespace deeppcr::bench {

/// PETSc's own solvers on the assembled matrix of a chain, chosen by option words: the other way to
/// solve such a system, for comparison.
class PetscReference {
 public:
  struct Outcome {
    bool converged = false;
    int iterations = 0;
    std::string reason;  ///< PETSc's word, such as CONVERGED_RTOL
  };

  /// Assembles the MATMPIBAIJ (MATSEQBAIJ on one rank). options: PETSc's words, such as
  /// {"-ksp_type", "gmres"}. Collective on J.comm(), which must outlive the object.
  PetscReference(const blocks::BlockBidiagonal& J, const std::vector<std::string>& options);
  ~PetscReference();
  PetscReference(const PetscReference&) = delete;
  PetscReference& operator=(const PetscReference&) = delete;

  /// Sets up from nothing and solves. Shapes: r, d [L_local, B, n]. Collective.
  Outcome solve(ConstStates r, States d);
  /// The same for new values in the matrix: what depends on its structure is kept.
  Outcome solve_again(ConstStates r, States d);

 private:
  void create();
  Outcome run(ConstStates r, States d);

  const parallel::Communicator& comm_;
  std::string prefix_;
  std::vector<std::string> names_;  ///< in the option data base
  petsc::Handle<Mat> matrix_;
  petsc::Handle<Vec> right_, solution_;
  petsc::Handle<KSP> ksp_;
};

}  // namespace deeppcr::bench
