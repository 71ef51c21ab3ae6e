#include "linear_case.hpp"

#include <cmath>

#include "deeppcr/core/random.hpp"

namespace deeppcr::bench {
namespace {

constexpr std::uint64_t kSeed = 7;
constexpr double kGrowth = 0.9;

parallel::BlockLayout layout_for(const parallel::Communicator& comm, const std::string& method,
                                 const LinearSizes& sizes, linear::Passes passes) {
  return linear::find(method).layout(sizes.steps, comm.size(), sizes.width, passes);
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
  RandomStream(kSeed, 2).normal(first * state, right_.size(), right_.data());
  chain_.set_linearisation(&blocks_);
  solver_->setup(chain_);
}

linear::Cost LinearCase::cost(double product_weight) const {
  return solver_->cost({chain_.layout(), chain_.batch(), chain_.width(), 0, product_weight});
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
