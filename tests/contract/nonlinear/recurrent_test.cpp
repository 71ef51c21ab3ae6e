// Recurrent chains and the solvers: what ParaRNN's cells promise, and a trained net on real
// signals, tests/golden/speech.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "deeppcr/io/cell_weights.hpp"
#include "deeppcr/io/signals.hpp"
#include "deeppcr/nonlinear/catalogue.hpp"
#include "deeppcr/nonlinear/newton.hpp"
#include "deeppcr/nonlinear/windowed.hpp"
#include "deeppcr/sequence/propagate.hpp"
#include "support/environment.hpp"
#include "support/model_problem.hpp"
#include "support/random_chain.hpp"
#include "support/refusal.hpp"

namespace deeppcr::nonlinear {
namespace {

using test::world;

constexpr double kRtol = 1e-10;

models::ModelOptions options_of(const char* model, Index steps, int width, int layers = 1) {
  models::ModelOptions options;
  options.model = model;
  options.steps = steps;
  options.width = width;
  options.set("layers", layers);
  return options;
}

/// Newton from zero by a linear solver, against sequential execution: its iterations.
int newton_iterations(const models::ModelOptions& options, Index batch, const char* linear) {
  NewtonOptions how;
  how.linear = linear;
  how.tolerance.rtol = kRtol;
  how.fallback = false;
  Newton newton(how);
  const int width = models::state_width(options);
  const auto layout = newton.layout({options.steps, batch, width, world().size()});
  test::ModelProblem found(world(), options, layout, batch),
      expected(world(), options, layout, batch);
  for (test::ModelProblem* one : {&found, &expected})
    std::fill(one->trajectory.input().begin(), one->trajectory.input().end(), 0.0);
  found.trajectory.fill_with_input();
  const SolveReport report = newton.solve(*found.sequence, found.trajectory);
  EXPECT_EQ(report.status, Status::converged) << report.reason;
  sequence::propagate(*expected.sequence, expected.trajectory);
  const ConstStates ours = found.trajectory.states(), theirs = expected.trajectory.states();
  EXPECT_LE(test::relative_difference(world(), ours.data(), theirs.data(), ours.size()), kRtol);
  return report.iterations;
}

TEST(ParaCells, TakeAFewNewtonStepsAtAnyLength) {
  for (const char* model : {"para-gru", "para-lstm"})
    for (const Index steps : {Index{256}, Index{4096}, Index{65536}}) {
      const int iterations = newton_iterations(options_of(model, steps, 8), 1, "scan");
      EXPECT_LE(iterations, 5) << model << ", " << steps << " steps";
      EXPECT_GE(iterations, 2);
    }
}

TEST(ParaCells, AreTheSameByScanAndByDenseBlocks) {
  for (const char* model : {"para-gru", "para-lstm"})
    EXPECT_EQ(newton_iterations(options_of(model, 33, 5), 3, "scan"),
              newton_iterations(options_of(model, 33, 5), 3, "hybrid"));
}

TEST(ParaCells, GoDenseWhereLayersAreStacked) {
  EXPECT_LE(newton_iterations(options_of("para-lstm", 64, 4, 2), 2, "hybrid"), 6);
}

/// Sweeps of a window over all steps with these approximations.
int sweeps(Jacobian jacobian, const models::ModelOptions& options, Index batch) {
  WindowedOptions how;
  how.jacobian = jacobian;
  how.tolerance.rtol = kRtol;
  how.fallback = false;
  Windowed windowed(how);
  const int width = models::state_width(options);
  const auto layout = windowed.layout({options.steps, batch, width, world().size()});
  const std::vector<Index> lengths{options.steps, 5, 0};
  test::ModelProblem found(world(), options, layout, batch, lengths),
      expected(world(), options, layout, batch, lengths);
  found.trajectory.fill_with_input();
  const SolveReport report = windowed.solve(*found.sequence, found.trajectory);
  EXPECT_EQ(report.status, Status::converged) << report.reason;
  sequence::propagate(*expected.sequence, expected.trajectory);
  const ConstStates ours = found.trajectory.states(), theirs = expected.trajectory.states();
  EXPECT_LE(test::relative_difference(world(), ours.data(), theirs.data(), ours.size()), kRtol);
  return report.iterations;
}

TEST(PairedDiagonals, AreRightAndTakeNoMoreSweepsThanDiagonals) {
  for (const char* model : {"lstm", "para-lstm"}) {
    const models::ModelOptions options = options_of(model, 200, 6);
    EXPECT_LE(sweeps(Jacobian::paired, options, 3), sweeps(Jacobian::diagonal, options, 3))
        << model;
  }
}

TEST(PairedDiagonals, AreRefusedWhereThereAreNone) {
  for (const auto& options : {options_of("gru", 8, 4), options_of("lstm", 8, 4, 2)})
    EXPECT_EQ(test::refusal([&] { sweeps(Jacobian::paired, options, 3); }),
              "--jacobian paired: this model has no such pairs, an lstm or para-lstm of one layer "
              "has; use diagonal");
}

/// The trained layer with its frames.
class SpeechStates : public ::testing::Test {
 protected:
  SpeechStates()
      : path_(std::string(DEEPPCR_GOLDEN_DIR) + "/speech/gru.h5"),
        signals_(io::read_signals(world(), path_)) {
    const auto shape = io::inspect_cells(world(), path_);
    models::ModelOptions options =
        options_of(shape->cell.c_str(), signals_.steps, static_cast<int>(shape->units));
    options.set("features", static_cast<double>(shape->features))
        .set("candidate", shape->candidate)
        .set("reset", shape->reset_before ? "before" : "after");
    cells_ = models::make(options, {0, signals_.steps});
    const View<Real, 2> row = test::rows_of(*cells_);
    io::read_cells(world(), path_, *shape, 0, row[0]);
    chain_ = cells_->bound_to(
        {StepRange{0, signals_.steps},
         {signals_.inputs.data(), {signals_.steps, signals_.samples, signals_.features}}});
  }
  sequence::Trajectory trajectory(const parallel::BlockLayout& layout) const {
    return {world(), layout, signals_.samples, chain_->width()};
  }

  std::string path_;
  io::Signals signals_;
  std::unique_ptr<sequence::Sequence> cells_, chain_;
};

class Speech : public SpeechStates, public ::testing::WithParamInterface<std::string> {};

TEST_F(SpeechStates, SequentialStatesAreThoseOfPyTorch) {
  std::ifstream stream(std::string(DEEPPCR_GOLDEN_DIR) + "/speech/states.json");
  const nlohmann::json golden = nlohmann::json::parse(stream);
  const Index every = golden["every"];
  auto states = trajectory(parallel::BlockLayout::balanced(signals_.steps, world().size()));
  sequence::propagate(*chain_, states);
  const StepRange local = states.local_range();
  Index seen = 0;
  for (const std::vector<Real> expected : golden["states"]) {
    const Index l = ++seen * every - 1;
    if (!local.contains(l)) continue;
    // Rounding grows along a trained net: it does not forget.
    for (Index i = 0; i < chain_->width(); ++i)
      ASSERT_NEAR(states.states()(l - local.first, 0, i), expected[static_cast<std::size_t>(i)],
                  1e-11)
          << "state " << l + 1;
  }
  EXPECT_EQ(seen * every, signals_.steps);
}

TEST_P(Speech, IsRightOrSaysThatItIsNot) {
  Settings settings;
  settings.tolerance.rtol = kRtol;
  const auto solver = find(GetParam()).make(settings);
  const auto layout =
      solver->layout({signals_.steps, signals_.samples, chain_->width(), world().size()});
  auto found = trajectory(layout), expected = trajectory(layout);
  found.fill_with_input();
  const SolveReport report = solver->solve(*chain_, found);
  sequence::propagate(*chain_, expected);
  const double error = test::relative_difference(world(), found.states().data(),
                                                 expected.states().data(), found.states().size());
  if (report.status == Status::fell_back) {
    EXPECT_EQ(error, 0.0) << report.reason;
  } else {
    EXPECT_EQ(report.status, Status::converged) << report.reason;
    EXPECT_LE(error, kRtol);
  }
}

std::vector<std::string> solvers() {
  std::vector<std::string> names;
  for (const CatalogueEntry& entry : catalogue()) names.push_back(entry.name);
  return names;
}

std::string case_name(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  for (char& letter : name)
    if (letter == '-') letter = '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Solvers, Speech, ::testing::ValuesIn(solvers()), case_name);

}  // namespace
}  // namespace deeppcr::nonlinear
