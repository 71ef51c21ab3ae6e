// What every nonlinear solver of the catalogue keeps, those from outside included.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <sstream>

#include "deeppcr/nonlinear/catalogue.hpp"
#include "deeppcr/sequence/propagate.hpp"
#include "support/bound_model.hpp"
#include "support/environment.hpp"
#include "support/identifier.hpp"
#include "support/model_problem.hpp"
#include "support/random_chain.hpp"
#include "support/stopping_monitor.hpp"

namespace deeppcr::nonlinear {
namespace {

using test::ModelProblem;
using test::world;

constexpr double kRtol = 1e-10;

/// A chain by its model's options.
struct Chain {
  std::string model = "mlp", activation = "tanh", scale = "1/sqrt(L)";
  double gain = 1;
  Index steps = 0, batch = 2;
  int width = 4, layers = 1;
  bool masked = false;  ///< samples end at different steps
  double factor = 1;    ///< on all parameters

  models::ModelOptions options() const {
    models::ModelOptions made;
    made.model = model;
    made.steps = steps;
    made.width = width;
    test::set_where_known(made, "activation", activation);
    test::set_where_known(made, "residual-scale", scale);
    test::set_where_known(made, "init", "xavier");
    test::set_where_known(made, "gain", gain);
    test::set_where_known(made, "layers", layers);
    return made;
  }
  std::vector<Index> lengths() const {
    std::vector<Index> all;
    for (Index b = 0; b < batch && masked; ++b) all.push_back(std::max<Index>(0, steps - 3 * b));
    return all;
  }
  std::string text() const {
    return fmt::format("{} {} {} gain {} factor {}, L {}, B {}, n {}, {} layers{}", model,
                       activation, scale, gain, factor, steps, batch, width, layers,
                       masked ? ", masked" : "");
  }
};

struct Outcome {
  SolveReport report;
  double error = 0;          ///< against sequential execution, relative to the largest state
  bool exact_holds = false;  ///< the states that are called exact have its bits
  Cost cost;                 ///< by formula
};

/// A solver, and a word of its options that changes much: "pipeline pipeline-layout samples".
class SolverContract : public ::testing::TestWithParam<std::string> {
 protected:
  const CatalogueEntry& entry() const { return find(word(0)); }
  Settings settings() const {
    Settings made;
    made.tolerance.rtol = kRtol;
    if (word(1).empty()) return made;
    made.own = OptionValues(entry().options);
    made.own.set(word(1), word(2));
    return made;
  }
  Problem problem(const Chain& chain) const {
    return {chain.steps, chain.batch, models::state_width(chain.options()), world().size()};
  }

  Outcome solve(const Chain& chain, bool fallback = true, const Monitors& monitors = {},
                const std::function<void(ModelProblem&)>& change = {}) const {
    Settings all = settings();
    all.fallback = fallback;
    const auto solver = entry().make(all);
    const auto layout = solver->layout(problem(chain));
    ModelProblem found(world(), chain.options(), layout, chain.batch, chain.lengths());
    ModelProblem expected(world(), chain.options(), layout, chain.batch, chain.lengths());
    for (ModelProblem* one : {&found, &expected}) {
      for (sequence::ParameterGroup& group : one->sequence->parameters())
        for (Real& value : group.values) value *= chain.factor;
      if (change) change(*one);
    }
    found.trajectory.fill_with_input();
    Outcome outcome;
    outcome.report = solver->solve(*found.sequence, found.trajectory, monitors);
    outcome.cost = solver->cost(problem(chain), {outcome.report.iterations, outcome.report.looks});
    sequence::propagate(*expected.sequence, expected.trajectory);
    const ConstStates ours = found.trajectory.states(), theirs = expected.trajectory.states();
    outcome.error = test::relative_difference(world(), ours.data(), theirs.data(), ours.size());
    const StepSet local = found.trajectory.local_steps();
    Index exact = 0;  // of the local states
    while (exact < local.size() && local.step(exact) < outcome.report.exact_states) ++exact;
    const std::size_t bytes =
        static_cast<std::size_t>(exact * chain.batch * found.trajectory.width()) * sizeof(Real);
    const bool same = exact == 0 || std::memcmp(ours.data(), theirs.data(), bytes) == 0;
    outcome.exact_holds = !world().any(!same);
    return outcome;
  }

 private:
  std::string word(int which) const {
    std::istringstream words(GetParam());
    std::string found;
    for (int i = 0; i <= which; ++i)
      if (!(words >> found)) found.clear();
    return found;
  }
};

/// On chains of layers, which those for stacked cells refuse.
class LayerContract : public SolverContract {};

/// States within the tolerance, or sequential execution's own, or a stated failure.
void expect_true(const Outcome& outcome, const std::string& what) {
  const SolveReport& report = outcome.report;
  const std::string text = fmt::format("{}: {} after {} iterations, {}", what,
                                       to_string(report.status), report.iterations, report.reason);
  EXPECT_TRUE(outcome.exact_holds) << text;
  if (report.status == Status::converged) {
    EXPECT_LE(outcome.error, kRtol) << text;
    EXPECT_TRUE(report.reason.empty()) << text;
  } else if (report.status == Status::fell_back) {
    EXPECT_EQ(outcome.error, 0.0) << text;
    EXPECT_FALSE(report.reason.empty()) << text;
  } else {
    EXPECT_EQ(report.status, Status::failed) << text;
    EXPECT_FALSE(report.reason.empty()) << text;
  }
}

TEST_P(LayerContract, EndsInTheSequentialTrajectoryForAllSizes) {
  const Index P = world().size();
  for (const char* model : {"mlp", "resnet", "affine"})
    for (const Index steps : {Index{0}, Index{1}, Index{2}, Index{3}, P, P + 1, Index{37}})
      for (const auto& [batch, width] : {std::pair<Index, int>{1, 4}, {3, 1}, {3, 5}}) {
        Chain chain{model};
        chain.gain = 0.8;
        chain.steps = steps;
        chain.batch = batch;
        chain.width = width;
        const Outcome outcome = solve(chain);
        EXPECT_NE(outcome.report.status, Status::failed) << chain.text();
        expect_true(outcome, chain.text());
      }
}

constexpr const char* kCells[] = {"rnn", "gru", "lstm", "para-gru", "para-lstm"};

TEST_P(SolverContract, CellsEndInTheSequentialTrajectoryForAllSizes) {
  const Index P = world().size();
  for (const char* model : kCells)
    for (const Index steps : {Index{0}, Index{1}, Index{2}, Index{3}, P, Index{33}})
      for (const bool masked : {false, true}) {
        Chain chain{model};
        chain.steps = steps;
        chain.batch = masked ? 3 : 1;
        chain.layers = masked ? 2 : 1;
        chain.width = 3;
        chain.masked = masked;
        const Outcome outcome = solve(chain);
        EXPECT_NE(outcome.report.status, Status::failed) << chain.text();
        expect_true(outcome, chain.text());
      }
}

TEST_P(SolverContract, LongCells) {
  for (const char* model : kCells) {
    Chain chain{model};
    chain.steps = 784;
    chain.width = 6;
    chain.masked = true;
    const Outcome outcome = solve(chain);
    EXPECT_NE(outcome.report.status, Status::failed) << chain.text();
    expect_true(outcome, chain.text());
  }
}

// Large weights make of a cell that forgets one that remembers, then one that is chaotic.
TEST_P(SolverContract, SaysOnlyWhatIsTrueOfCells) {
  for (const char* model : kCells)
    for (const double factor : {2.0, 5.0, 20.0}) {
      Chain chain{model};
      chain.steps = 160;
      chain.width = 8;
      chain.factor = factor;
      for (const bool fallback : {true, false}) {
        const Outcome outcome = solve(chain, fallback);
        expect_true(outcome, chain.text() + (fallback ? "" : ", no fallback"));
        if (fallback && std::isfinite(outcome.report.tolerance)) {
          EXPECT_NE(outcome.report.status, Status::failed) << chain.text();
        }
      }
    }
}

// From chains that forget to chaotic ones: what is called right is right, with and without somebody
// to ask.
TEST_P(LayerContract, SaysOnlyWhatIsTrue) {
  const Chain kinds[] = {{"mlp", "tanh"},
                         {"mlp", "relu"},
                         {"resnet", "tanh", "none"},
                         {"resnet", "relu", "1/sqrt(L)"}};
  for (Chain chain : kinds)
    for (const double gain : {0.7, 1.0, 1.4, 2.0, 4.0}) {
      chain.gain = gain;
      chain.steps = 160;
      chain.width = 12;
      for (const bool fallback : {true, false}) {
        const Outcome outcome = solve(chain, fallback);
        expect_true(outcome, chain.text() + (fallback ? "" : ", no fallback"));
        if (fallback && std::isfinite(outcome.report.tolerance)) {
          EXPECT_NE(outcome.report.status, Status::failed) << chain.text();
        }
      }
    }
}

TEST_P(LayerContract, SaysWhatAChaoticChainGrowsTo) {
  Chain chain;
  chain.gain = 4;
  chain.steps = 200;
  chain.width = 16;
  const Outcome outcome = solve(chain);
  expect_true(outcome, chain.text());
  if (outcome.report.status == Status::fell_back) {
    EXPECT_GT(outcome.report.growth, std::log(1e10));
    EXPECT_GT(outcome.report.lyapunov, 0.0);
  }
}

TEST_P(LayerContract, NaNWeightsAreAStatedFailure) {
  Chain chain;
  chain.steps = 24;
  const Outcome outcome = solve(chain, true, {}, [](ModelProblem& problem) {
    const auto rows = test::rows_of(*problem.sequence);
    if (problem.sequence->local_steps().contains(20))
      rows[problem.sequence->local_steps().row(20)].data()[1] = std::nan("");
  });
  EXPECT_EQ(outcome.report.status, Status::failed);
  EXPECT_FALSE(outcome.report.reason.empty());
}

TEST_P(LayerContract, AMonitorCanStopIt) {
  Chain chain{"resnet"};
  chain.steps = 200;
  test::StoppingMonitor first(1);
  const Outcome outcome = solve(chain, true, {&first});
  const bool heard = !first.records.empty() && first.records.back().iteration == 1;
  if (heard) {
    EXPECT_EQ(outcome.report.status, Status::interrupted);
    EXPECT_EQ(outcome.report.iterations, 1);
  } else {
    EXPECT_NE(outcome.report.status, Status::interrupted);
    expect_true(outcome, chain.text());
  }
}

TEST_P(LayerContract, SendsNoMoreThanItsCostSays) {
  Chain chain;
  chain.gain = 0.6;
  chain.steps = 256;
  const Outcome outcome = solve(chain);
  ASSERT_EQ(outcome.report.status, Status::converged) << outcome.report.reason;
  EXPECT_LE(outcome.report.neighbours.messages, outcome.cost.neighbours.messages);
  EXPECT_LE(outcome.report.neighbours.bytes, outcome.cost.neighbours.bytes);
  ASSERT_LE(outcome.report.levels.size(), outcome.cost.levels.size());
  for (std::size_t k = 0; k < outcome.report.levels.size(); ++k) {
    EXPECT_LE(outcome.report.levels[k].messages, outcome.cost.levels[k].messages) << k;
    EXPECT_LE(outcome.report.levels[k].bytes, outcome.cost.levels[k].bytes) << k;
  }
}

TEST_P(SolverContract, LayoutsHoldAllSteps) {
  for (const Index steps : {0, 1, 5, 1000}) {
    const Problem size{steps, 2, 8, world().size()};
    const auto solver = entry().make(settings());
    EXPECT_EQ(solver->layout(size).num_steps(), steps);
    EXPECT_EQ(solver->layout(size).num_ranks(), world().size());
    EXPECT_GE(solver->memory(size), 0.0);
  }
}

std::vector<std::string> names(bool of_layers) {
  std::vector<std::string> all;
  for (const CatalogueEntry& entry : catalogue()) {
    if (of_layers && entry.stacks_only) continue;
    all.push_back(entry.name);
    for (const OptionSpec& option : entry.options)
      if (option.name == "pipeline-layout")
        for (const std::string& word : option.words)
          all.push_back(fmt::format("{} {} {}", entry.name, option.name, word));
  }
  return all;
}

std::string as_identifier(const ::testing::TestParamInfo<std::string>& info) {
  return test::as_identifier(info.param);
}

INSTANTIATE_TEST_SUITE_P(Catalogue, SolverContract, ::testing::ValuesIn(names(false)),
                         as_identifier);
INSTANTIATE_TEST_SUITE_P(Catalogue, LayerContract, ::testing::ValuesIn(names(true)), as_identifier);

TEST(SolverCatalogue, RefusesUnknownNamesWithTheKnownOnes) {
  try {
    find("newtn");
    FAIL() << "found";
  } catch (const Error& error) {
    const std::string text = error.what();
    for (const CatalogueEntry& entry : catalogue())
      EXPECT_NE(text.find(entry.name), std::string::npos) << text;
  }
}

TEST(SolverCatalogue, RefusesANameThatIsTaken) {
  EXPECT_THROW(add_to_catalogue(find("newton")), Error);
}

}  // namespace
}  // namespace deeppcr::nonlinear
