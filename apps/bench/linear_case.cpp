#include "linear_case.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "deeppcr/core/random.hpp"

namespace deeppcr::bench {
namespace {

constexpr std::uint64_t kSeed = 7;
constexpr double kGrowth = 0.9;

parallel::BlockLayout layout_for(const parallel::Communicator& comm, const std::string& method,
                                 const LinearSizes& sizes, linear::Passes passes) {
  return linear::find(method).layout(sizes.steps, comm.size(), sizes.width, passes);
}

/// Replaces each block by the reflection along its first column.
void make_reflections(Blocks A) {
  const Index n = A.extent(3);
  std::vector<Real> u(static_cast<std::size_t>(n));
  for (Real* block = A.begin(); block != A.end(); block += n * n) {
    std::copy_n(block, n, u.begin());
    const Real size = std::inner_product(u.begin(), u.end(), u.begin(), Real{0});
    for (Index j = 0; j < n; ++j)
      for (Index i = 0; i < n; ++i)
        block[j * n + i] = (i == j ? 1 : 0) - 2 * u[static_cast<std::size_t>(i)] *
                                                  u[static_cast<std::size_t>(j)] / size;
  }
}

}  // namespace

LinearCase::LinearCase(const parallel::Communicator& comm, const std::string& method,
                       const LinearSizes& sizes, linear::Passes passes)
    : method_(method),
      chain_(comm, layout_for(comm, method, sizes, passes), sizes.batch, sizes.width),
      blocks_(chain_.local_range(), sizes.batch, sizes.width),
      right_(chain_.local_range().size() * sizes.batch * sizes.width),
      result_(right_.size()),
      solver_(linear::find(method).make()) {
  const Blocks A = blocks_.storage();
  const Index first = chain_.local_range().first, state = sizes.batch * sizes.width;
  RandomStream(kSeed, 1).normal(first * state * sizes.width, A.size(), A.data());
  for (Real& value : A) value *= kGrowth / std::sqrt(static_cast<double>(sizes.width));
  if (sizes.kind == BlockKind::reflection) make_reflections(A);
  RandomStream(kSeed, 2).normal(first * state, right_.size(), right_.data());
  chain_.set_linearisation(&blocks_);
  solver_->setup(chain_);
}

linear::Cost LinearCase::cost(double product_weight, std::optional<Index> forgetting_steps) const {
  linear::Problem problem{chain_.layout(), chain_.batch(),  chain_.width(), 0,
                          product_weight,  forgetting_steps};
  return solver_->cost(problem);
}

void LinearCase::set_up_and_solve(bool anew) {
  if (anew) solver_ = linear::find(method_).make();
  solver_->setup(chain_);
  solve();
}

std::unique_ptr<LinearCase> make_linear_case(const Harness& harness, int ranks,
                                             const std::string& method, const LinearSizes& sizes,
                                             linear::Passes passes) {
  if (!harness.takes_part(ranks)) return nullptr;
  return std::make_unique<LinearCase>(harness.first(ranks), method, sizes, passes);
}

}  // namespace deeppcr::bench
