#pragma once

#include <memory>
#include <vector>

#include "deeppcr/core/types.hpp"

namespace deeppcr::bench {

/// The sizes of a chain of layers. One step's parameters are W [n x n] column-major, then b [n].
struct LayerSizes {
  Index steps = 0;
  Index batch = 1;
  int width = 1;
  bool relu = false;

  Index state() const { return batch * width; }
  Index block() const { return Index{width} * width; }
  Index step_parameters() const { return block() + width; }
};

/// Sequential loops over one library, as one would write them by hand for B samples of width n:
/// the baselines of this project's own sequential code. All arrays belong to the caller.
class HandLoops {
 public:
  virtual ~HandLoops() = default;
  virtual const char* library() const = 0;

  /// z_{l+1} = sigma(W_l z_l + b_l). Shapes: theta [L, n^2 + n], z [L + 1, B, n], z_0 given.
  virtual void forward(const Real* theta, Real* z) = 0;
  /// g_{l-1} = c_{l-1} + W_l^T (sigma'(z_l) .* g_l) from g_L = c_L, sigma' from the signs of the
  /// states (relu): a loss on every state, as the solvers have it. Shapes: z, c, g [L + 1, B, n].
  virtual void backward(const Real* theta, const Real* z, const Real* c, Real* g) = 0;
  /// The same with a loss on the last state only, g_L given, and with the gradients of the
  /// parameters, [L, n^2 + n].
  virtual void gradient(const Real* theta, const Real* z, Real* g, Real* grads) = 0;
  /// d_l = A_l d_{l-1} + r_l with blocks of their own for each sample, [L, B, n, n].
  virtual void substitute(const Real* A, const Real* r, Real* d) = 0;
  /// g_{l-1} = A_l^T g_l + c_{l-1}, from g_{L-1} = c_{L-1}.
  virtual void substitute_transposed(const Real* A, const Real* c, Real* g) = 0;
};

/// One for each library that this build has: LIBXSMM, BLAS, Eigen.
std::vector<std::unique_ptr<HandLoops>> make_hand_loops(const LayerSizes& sizes);

std::unique_ptr<HandLoops> make_libxsmm_loops(const LayerSizes& sizes);
std::unique_ptr<HandLoops> make_blas_loops(const LayerSizes& sizes);
std::unique_ptr<HandLoops> make_eigen_loops(const LayerSizes& sizes);

}  // namespace deeppcr::bench
