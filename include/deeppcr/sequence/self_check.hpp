#pragma once

#include <cstdint>
#include <vector>

#include "deeppcr/sequence/sequence.hpp"

namespace deeppcr::sequence {

/// What a check of a model's derivatives found. All errors are relative.
struct SelfCheck {
  double jvp_error = 0;     ///< jvp against central differences
  double vjp_error = 0;     ///< <u, A v> against <A^T u, v>
  double blocks_error = 0;  ///< blocks() against jvp on unit vectors
  double parameter_error =
      0;                   ///< parameter_gradient against central differences; 0 without parameters
  double value_error = 0;  ///< linearise() and propagate() against value()
  double tangent_error = 0;     ///< propagate_with_tangent() against propagate() and product()
  double samples_error = 0;     ///< FromSample against value() of all samples
  bool structure_holds = true;  ///< no entry outside of the declared structure
  double tolerance = 0;

  /// One of the errors above, by its name.
  struct Part {
    const char* name;
    double SelfCheck::*error;
    const char* meaning;
  };
  static const std::vector<Part>& parts();
  bool passed() const;
};

/// Checks the derivatives of some steps of a model at random states; where it takes inputs and has
/// none yet, with random ones.
/// @pre range lies in what the model holds
SelfCheck check_derivatives(Sequence& sequence, StepRange range, Index batch, std::uint64_t seed);

}  // namespace deeppcr::sequence
