// Every solver of the catalogue against plain substitution, over sizes, layouts and both
// directions.
#include <gtest/gtest.h>

#include <tuple>

#include "deeppcr/linear/catalogue.hpp"
#include "support/environment.hpp"
#include "support/random_chain.hpp"

namespace deeppcr::linear {
namespace {

using test::RandomChain;
using test::relative_difference;
using test::world;

constexpr double kEps = 2.3e-16;

/// On one rank's part: what r_l = d_l - A_l d_{l-1} is, through the operator itself; an oracle that
/// shares no line with the solvers.
double forward_error(RandomChain& problem, ConstStates d) {
  Buffer<Real> image(d.size());
  problem.chain().multiply(d, States(image.data(), problem.shape()));
  return relative_difference(world(), image.data(), problem.rhs().data(), d.size());
}

double backward_error(RandomChain& problem, ConstStates g) {
  Buffer<Real> image(g.size());
  problem.chain().multiply_transpose(g, States(image.data(), problem.shape()));
  return relative_difference(world(), image.data(), problem.rhs().data(), g.size());
}

/// The ranks on one node, and as if each two, and each three, were a node.
const std::vector<parallel::Communicator>& on_nodes() {
  static const std::vector<parallel::Communicator> all = [] {
    std::vector<parallel::Communicator> made;
    made.push_back(world().as_nodes_of(world().size()));
    for (const int ranks : {2, 3})
      if (ranks < world().size()) made.push_back(world().as_nodes_of(ranks));
    return made;
  }();
  return all;
}

class LinearContract : public ::testing::TestWithParam<std::tuple<std::string, Index, int, Index>> {
 protected:
  const CatalogueEntry& entry_ = find(std::get<0>(GetParam()));
  std::unique_ptr<LinearSolver> solver_ = entry_.make();
  Index steps_ = std::get<1>(GetParam()) >= 0 ? std::get<1>(GetParam()) : Index{world().size()};
  int width_ = std::get<2>(GetParam());
  Index batch_ = std::get<3>(GetParam());

  /// Growth of rounding over L products, and the agreement asked for at most; what the solver
  /// itself promises, where it iterates.
  double tolerance() const {
    const double rounding =
        std::min(1e-10, 64 * kEps * width_ * (10.0 + static_cast<double>(steps_)));
    return std::max(rounding, solver_->tolerance());
  }

  std::vector<parallel::BlockLayout> layouts() const {
    const int P = world().size();
    std::vector<parallel::BlockLayout> all{test::uneven_layout(steps_, P)};
    for (const Passes passes : {Passes::forward, Passes::forward_and_backward})
      all.push_back(find(solver_->name()).layout(steps_, P, width_, passes));
    return all;
  }
};

TEST_P(LinearContract, SolvesForwardAndBackward) {
  for (const parallel::Communicator& comm : on_nodes())
    for (const parallel::BlockLayout& layout : layouts()) {
      RandomChain problem(comm, layout, batch_, width_, 0.9, entry_.structure);
      const auto solver = entry_.make();
      solver->setup(problem.chain());
      Buffer<Real> x(problem.rhs().size());
      const States result(x.data(), problem.shape());
      solver->solve(problem.rhs(), result);
      EXPECT_LE(forward_error(problem, result), tolerance());
      solver->solve_transpose(problem.rhs(), result);
      EXPECT_LE(backward_error(problem, result), tolerance());
    }
}

TEST_P(LinearContract, SolvesInPlaceAndAgain) {
  const parallel::BlockLayout layout = layouts().front();
  RandomChain problem(world(), layout, batch_, width_, 0.9, entry_.structure);
  Buffer<Real> apart(problem.rhs().size()), inside(problem.rhs().size());
  const States in_place(inside.data(), problem.shape());
  solver_->setup(problem.chain());
  solver_->solve(problem.rhs(), States(apart.data(), problem.shape()));
  for (int again = 0; again < 2; ++again) {
    solver_->setup(problem.chain());
    std::copy(problem.rhs().begin(), problem.rhs().end(), inside.begin());
    solver_->solve(in_place, in_place);
    EXPECT_EQ(relative_difference(world(), inside.data(), apart.data(), apart.size()), 0.0);
  }
}

TEST_P(LinearContract, TakesMissingRowsOfALossAsZero) {
  RandomChain problem(world(), layouts().front(), batch_, width_, 0.9, entry_.structure);
  const StepRange local = problem.chain().local_range();
  const auto solve = [&](ConstStates c, Buffer<Real>& g) {
    solver_->solve_transpose(c, States(g.data(), problem.shape()));
  };
  solver_->setup(problem.chain());
  for (const Index rows : {Index{0}, Index{1}, steps_ / 2}) {
    // The last `rows` of the chain; what lies on this rank of them.
    const Index here = intersect(local, {std::max(Index{0}, steps_ - rows), steps_}).size();
    const Index missing = local.size() - here;
    Buffer<Real> whole(problem.rhs().size()), expected(whole.size()), found(whole.size());
    std::copy(problem.rhs().begin(), problem.rhs().end(), whole.begin());
    std::fill_n(whole.begin(), missing * batch_ * width_, 0.0);
    const ConstStates c(whole.data(), problem.shape());
    solve(c, expected);
    solve(c.slice(missing, local.size()), found);
    EXPECT_LE(relative_difference(world(), found.data(), expected.data(), found.size()),
              tolerance());
  }
}

TEST_P(LinearContract, SkipsFrozenSteps) {
  const parallel::BlockLayout layout = layouts().front();
  RandomChain problem(world(), layout, batch_, width_, 0.9, entry_.structure);
  for (const Index frozen : {steps_ / 3, steps_ - 1, steps_}) {
    if (frozen < 0) continue;
    problem.chain().set_frozen(frozen);
    solver_->setup(problem.chain());
    Buffer<Real> x(problem.rhs().size()), image(problem.rhs().size());
    const States d(x.data(), problem.shape());
    solver_->solve(problem.rhs(), d);
    problem.chain().multiply(d, States(image.data(), problem.shape()));
    const StepRange local = problem.chain().local_range();
    for (Index i = 0; i < local.size(); ++i) {
      for (Index j = 0; j < batch_ * width_; ++j) {
        const Real value = x[i * batch_ * width_ + j];
        if (local.first + i < frozen) {
          ASSERT_EQ(value, 0.0);
        } else {
          const Real rhs = problem.rhs().data()[i * batch_ * width_ + j];
          ASSERT_NEAR(image[i * batch_ * width_ + j], rhs, 100 * tolerance());
        }
      }
    }
  }
  problem.chain().set_frozen(0);
}

/// Sums over the ranks against the formula. The backward pass of a mirrored layout is the forward
/// one's mirror image, but for the halo that pcr sends on top. Of a solver that iterates the
/// formula is for one sweep: each sends that at most, and sums along the ranks for a Krylov vector.
void expect_traffic(const LinearSolver& solver, const parallel::BlockLayout& layout,
                    const Cost& cost, parallel::Traffic on_top) {
  ASSERT_EQ(solver.level_traffic().size(), cost.levels.size());
  for (std::size_t k = 0; k < cost.levels.size(); ++k) {
    EXPECT_EQ(world().sum(solver.level_traffic()[k].messages), cost.levels[k].messages);
    EXPECT_EQ(world().sum(solver.level_traffic()[k].bytes), cost.levels[k].bytes);
  }
  on_top += cost.neighbours;
  const Index messages = world().sum(solver.neighbour_traffic().messages),
              bytes = world().sum(solver.neighbour_traffic().bytes);
  const int sweeps = solver.report(layout).sweeps;
  if (sweeps == 0) {
    EXPECT_EQ(messages, on_top.messages);
    EXPECT_EQ(bytes, on_top.bytes);
    return;
  }
  const Index most = sweeps * (1 + parallel::ceil_log2(layout.num_active_ranks()));
  EXPECT_LE(messages, most * on_top.messages);
  EXPECT_LE(bytes, most * on_top.bytes);
  EXPECT_EQ(messages * on_top.bytes, bytes * on_top.messages);
}

TEST_P(LinearContract, SendsWhatTheFormulaSays) {
  const bool over_ranks =
      entry_.name == std::string("hybrid") || entry_.name == std::string("scan");
  for (const parallel::Communicator& comm : on_nodes()) {
    if (comm.node_ranks() < comm.size() && !over_ranks) continue;  // these know no nodes
    for (const parallel::BlockLayout& layout : layouts()) {
      RandomChain problem(comm, layout, batch_, width_, 0.9, entry_.structure);
      const auto solver = entry_.make();
      Buffer<Real> x(problem.rhs().size());
      for (const Index frozen : {Index{0}, steps_ / 3}) {
        problem.chain().set_frozen(frozen);
        solver->setup(problem.chain());
        solver->solve(problem.rhs(), States(x.data(), problem.shape()));
        Problem size{layout, batch_, width_, frozen};
        size.node_ranks = comm.node_ranks();
        expect_traffic(*solver, layout, solver->cost(size), {});
      }
      problem.chain().set_frozen(0);
    }
  }
}

TEST_P(LinearContract, SendsTheSameBackwardOnEqualRanges) {
  const Index P = world().size(),
              steps = steps_ / P * P;  // equal ranges are their own mirror image
  const auto layout = parallel::BlockLayout::balanced(steps, static_cast<int>(P));
  RandomChain problem(world(), layout, batch_, width_, 0.9, entry_.structure);
  Buffer<Real> x(problem.rhs().size());
  solver_->setup(problem.chain());
  solver_->solve_transpose(problem.rhs(), States(x.data(), problem.shape()));
  parallel::Traffic halo;
  if (std::string(solver_->name()) == "pcr" && steps > 0)
    halo = {P - 1, (P - 1) * batch_ * width_ * Index{sizeof(Real)}};
  expect_traffic(*solver_, layout, solver_->cost({layout, batch_, width_, 0}), halo);
}

TEST_P(LinearContract, TakesTheStatedNumberOfLevels) {
  const Index P = layouts()[1].num_active_ranks();
  const std::string name = solver_->name();
  const bool by_ranks = name == "hybrid" || name == "scan";
  const int expected = name == "pcr" ? parallel::ceil_log2(steps_)
                       : by_ranks    ? parallel::ceil_log2(P)
                                     : 0;
  const Cost cost = solver_->cost({layouts()[1], batch_, width_, 0});
  EXPECT_EQ(static_cast<int>(cost.levels.size()), expected);
}

TEST_P(LinearContract, SolvesAWindowOfALongerChain) {
  // Row 0 is step `ahead`; ranks without rows have no Jacobians.
  constexpr Index kAhead = 100;
  const parallel::BlockLayout layout = layouts().front();
  RandomChain problem(world(), layout, batch_, width_, 0.9, entry_.structure);
  const StepRange local = problem.chain().local_range();
  test::StructuredBlocks later({local.first + kAhead, local.last + kAhead}, batch_, width_,
                               entry_.structure);
  std::copy(problem.blocks().storage().begin(), problem.blocks().storage().end(),
            later.storage().begin());
  blocks::BlockBidiagonal window(world(), layout, batch_, width_);
  window.set_linearisation(local.empty() ? nullptr : &later, kAhead);
  Buffer<Real> expected(problem.rhs().size()), found(problem.rhs().size());
  solver_->setup(problem.chain());
  solver_->solve(problem.rhs(), States(expected.data(), problem.shape()));
  solver_->setup(window);
  solver_->solve(problem.rhs(), States(found.data(), problem.shape()));
  EXPECT_EQ(relative_difference(world(), found.data(), expected.data(), found.size()), 0.0);
  solver_->solve_transpose(problem.rhs(), States(found.data(), problem.shape()));
  EXPECT_LE(backward_error(problem, ConstStates(found.data(), problem.shape())), tolerance());
}

TEST_P(LinearContract, SaysWhatRanAndWhatItTakes) {
  const parallel::BlockLayout layout = layouts().front();
  RandomChain problem(world(), layout, batch_, width_, 0.9, entry_.structure);
  Buffer<Real> x(problem.rhs().size());
  solver_->setup(problem.chain());
  solver_->solve(problem.rhs(), States(x.data(), problem.shape()));
  const SolveOutcome outcome = solver_->report(layout);
  EXPECT_NE(outcome.method, "");
  EXPECT_EQ(outcome.reason, "");
  EXPECT_LE(outcome.residual, solver_->tolerance());
  // Nothing finishes before the longest part has been walked, or multiplied, once.
  const auto longest = static_cast<double>(layout.longest());
  EXPECT_GE(outcome.path.evaluations + outcome.path.products, steps_ > 1 ? longest : 0);
  const Problem small{layout, batch_, width_}, large{layout, 2 * batch_, width_};
  const Cost of_small = solver_->cost(small), of_large = solver_->cost(large);
  EXPECT_NEAR(of_large.memory, 2 * of_small.memory, 1);
  EXPECT_GE(of_small.memory, 0);
  EXPECT_LE(of_small.largest_message, of_large.largest_message);
}

/// The whole table of sizes, both directions, against substitution.
class LinearAgreement : public LinearContract {};

TEST_P(LinearAgreement, WithSequentialSubstitution) {
  const parallel::BlockLayout layout = layouts().front();
  RandomChain problem(world(), layout, batch_, width_, 0.9, entry_.structure);
  const auto oracle = find("sequential").make();
  Buffer<Real> expected(problem.rhs().size()), found(problem.rhs().size());
  for (const Direction direction : {Direction::forward, Direction::backward}) {
    for (const auto& [solver, out] :
         {std::pair{oracle.get(), &expected}, {solver_.get(), &found}}) {
      solver->setup(problem.chain());
      const States result(out->data(), problem.shape());
      if (direction == Direction::forward) {
        solver->solve(problem.rhs(), result);
      } else {
        solver->solve_transpose(problem.rhs(), result);
      }
    }
    EXPECT_LE(relative_difference(world(), found.data(), expected.data(), found.size()),
              tolerance());
  }
}

constexpr Index kAsManyAsRanks = -1;

INSTANTIATE_TEST_SUITE_P(Sizes, LinearContract,
                         ::testing::Combine(::testing::ValuesIn(names()),
                                            ::testing::Values(0, 1, 2, 3, kAsManyAsRanks, 33),
                                            ::testing::Values(1, 2, 3, 8, 17),
                                            ::testing::Values(1, 5)));
INSTANTIATE_TEST_SUITE_P(Long, LinearContract,
                         ::testing::Combine(::testing::ValuesIn(names()), ::testing::Values(1024),
                                            ::testing::Values(2, 8), ::testing::Values(1, 5)));
INSTANTIATE_TEST_SUITE_P(All, LinearAgreement,
                         ::testing::Combine(::testing::Values("pcr", "hybrid", "shooting", "scan"),
                                            ::testing::Values(0, 1, 2, 3, kAsManyAsRanks, 33, 1024),
                                            ::testing::Values(1, 2, 3, 8, 17, 64),
                                            ::testing::Values(1, 5)));

}  // namespace
}  // namespace deeppcr::linear
