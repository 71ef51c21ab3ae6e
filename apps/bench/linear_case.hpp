#pragma once

#include <memory>
#include <string>

#include "deeppcr/blocks/block_bidiagonal.hpp"
#include "deeppcr/blocks/dense_linearisation.hpp"
#include "deeppcr/core/buffer.hpp"
#include "deeppcr/linear/catalogue.hpp"
#include "harness.hpp"

namespace deeppcr::bench {

struct LinearSizes {
  Index steps = 0;
  Index batch = 1;
  int width = 1;
};

/// A chain of dense random blocks with entries about 0.9 / sqrt(n), equal for any split, and a
/// solver for it.
class LinearCase {
 public:
  /// Collective on comm, which must outlive the case.
  LinearCase(const parallel::Communicator& comm, const std::string& method,
             const LinearSizes& sizes, linear::Passes passes);

  blocks::BlockBidiagonal& chain() { return chain_; }
  blocks::DenseLinearisation& blocks() { return blocks_; }
  linear::LinearSolver& solver() { return *solver_; }
  linear::Cost cost(double product_weight) const;
  ConstStates right() const { return {right_.data(), shape()}; }
  States result() { return {result_.data(), shape()}; }

  void solve() { solver_->solve(right(), result()); }
  void solve_transpose() { solver_->solve_transpose(right(), result()); }
  /// Set-up and solve; `anew` with a solver that knows nothing of the chain yet.
  void set_up_and_solve(bool anew);

 private:
  std::array<Index, 3> shape() const {
    return {chain_.local_range().size(), chain_.batch(), chain_.width()};
  }

  std::string method_;
  blocks::BlockBidiagonal chain_;
  blocks::DenseLinearisation blocks_;
  Buffer<Real> right_, result_;
  std::unique_ptr<linear::LinearSolver> solver_;
};

/// The case on the first `ranks` ranks; nothing on the others.
std::unique_ptr<LinearCase> make_linear_case(const Harness& harness, int ranks,
                                             const std::string& method, const LinearSizes& sizes,
                                             linear::Passes passes = linear::Passes::forward);

}  // namespace deeppcr::bench
