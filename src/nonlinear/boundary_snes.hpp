#pragma once

#include "deeppcr/nonlinear/shooting.hpp"
#include "deeppcr/petsc/handle.hpp"

namespace deeppcr::nonlinear {

class ShootingRun;

/// The states between the chunks as PETSc's SNES sees them: F(x) = x - (the starts that shooting
/// would take after a sweep from x). Anderson's acceleration (SNESANDERSON) and N-GMRES combine the
/// last sweeps. Options: -shooting_snes_*.
class BoundarySnes {
 public:
  BoundarySnes(ShootingRun& run, Acceleration acceleration);
  /// Corrects until the run is right, gives up or is stopped. Collective.
  void solve();

  /// What the SNES calls back. Shapes [C_local, B, n].
  void evaluate(ConstStates x, States F);
  bool ended() const { return ended_; }
  ShootingRun& run() { return run_; }

 private:
  ShootingRun& run_;
  Acceleration acceleration_;
  petsc::Handle<Vec> starts_;
  petsc::Handle<Vec> residual_;
  petsc::Handle<SNES> snes_;
  bool ended_ = false;
};

}  // namespace deeppcr::nonlinear
