#include "petsc_reference.hpp"

#include <algorithm>

#include "deeppcr/core/error.hpp"
#include "deeppcr/petsc/check.hpp"

namespace deeppcr::bench {

PetscReference::PetscReference(const blocks::BlockBidiagonal& J,
                               const std::vector<std::string>& options)
    : comm_(J.comm()),
      prefix_(fmt::format("reference_{}_", static_cast<const void*>(this))),
      matrix_(J.assemble()) {
  for (std::size_t i = 0; i < options.size(); ++i) {
    if (options[i].front() != '-') continue;
    const bool has_value = i + 1 < options.size() && options[i + 1].front() != '-';
    names_.push_back("-" + prefix_ + options[i].substr(1));
    DEEPPCR_PETSC(PetscOptionsSetValue(nullptr, names_.back().c_str(),
                                       has_value ? options[i + 1].c_str() : nullptr));
  }
  DEEPPCR_PETSC(MatCreateVecs(matrix_.get(), solution_.put(), right_.put()));
  create();
}

PetscReference::~PetscReference() {
  for (const std::string& name : names_) PetscOptionsClearValue(nullptr, name.c_str());
}

void PetscReference::create() {
  DEEPPCR_PETSC(KSPCreate(comm_.get(), ksp_.put()));
  DEEPPCR_PETSC(KSPSetOptionsPrefix(ksp_.get(), prefix_.c_str()));
  DEEPPCR_PETSC(KSPSetOperators(ksp_.get(), matrix_.get(), matrix_.get()));
  DEEPPCR_PETSC(KSPSetFromOptions(ksp_.get()));
}

PetscReference::Outcome PetscReference::solve(ConstStates r, States d) {
  create();
  return run(r, d);
}

PetscReference::Outcome PetscReference::solve_again(ConstStates r, States d) {
  petsc::mark_changed(reinterpret_cast<PetscObject>(matrix_.get()));
  return run(r, d);
}

PetscReference::Outcome PetscReference::run(ConstStates r, States d) {
  PetscScalar* in = nullptr;
  const PetscScalar* out = nullptr;
  KSPConvergedReason reason = KSP_CONVERGED_ITERATING;
  PetscInt iterations = 0;
  DEEPPCR_PETSC(VecGetArrayWrite(right_.get(), &in));
  std::copy(r.begin(), r.end(), in);
  DEEPPCR_PETSC(VecRestoreArrayWrite(right_.get(), &in));
  DEEPPCR_PETSC(KSPSolve(ksp_.get(), right_.get(), solution_.get()));
  DEEPPCR_PETSC(VecGetArrayRead(solution_.get(), &out));
  std::copy(out, out + d.size(), d.begin());
  DEEPPCR_PETSC(VecRestoreArrayRead(solution_.get(), &out));
  DEEPPCR_PETSC(KSPGetConvergedReason(ksp_.get(), &reason));
  DEEPPCR_PETSC(KSPGetIterationNumber(ksp_.get(), &iterations));
  return {reason > 0, static_cast<int>(iterations), KSPConvergedReasons[reason]};
}

}  // namespace deeppcr::bench
