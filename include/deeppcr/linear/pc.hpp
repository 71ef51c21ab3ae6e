#pragma once

#include <petscpc.h>

#include "deeppcr/linear/linear_solver.hpp"

namespace deeppcr::linear {

/// Makes the preconditioner type "deeppcr" known to PETSc; calling it again does nothing.
///
/// It solves block-bidiagonal systems exactly, so `-ksp_type preonly -pc_type deeppcr` is a direct
/// solver, and
/// `-pc_deeppcr_method hybrid|pcr|sequential` chooses how. The matrix is a
/// blocks::BlockBidiagonal's Mat, or any assembled MATBAIJ / MATAIJ with its block size set,
/// identity blocks on the diagonal and blocks on the first subdiagonal only.
void register_pc();

/// The solver inside a PC of type "deeppcr" once it is set up; nullptr for other types.
LinearSolver* solver_of(PC pc);

/// Sets the method as -pc_deeppcr_method does. @throws Error for an unknown name
void set_method(PC pc, const std::string& method);

}  // namespace deeppcr::linear
