#include "deeppcr/train/sharing.hpp"

#include <algorithm>
#include <vector>

#include "deeppcr/core/machine.hpp"
#include "deeppcr/linear/catalogue.hpp"
#include "deeppcr/plan/ways.hpp"

namespace deeppcr::train {
namespace {

constexpr const char* kOpen = "auto";

/// Those whose cost does not depend on the numbers in the chain.
std::vector<std::string> direct_solvers() {
  std::vector<std::string> names;
  for (const auto& entry : linear::catalogue())
    if (entry.takes(blocks::Structure::dense) && entry.make()->tolerance() == 0)
      names.push_back(entry.name);
  return names;
}

/// Whether nothing says how the passes are done.
bool is_open(const PassMethods& methods) {
  const OptionValues& own = methods.settings.own;
  const bool chunked = own.has("chunks") && own.whole("chunks") > 0;
  return methods.forward == kOpen && methods.backward == kOpen && !chunked;
}

/// All ways to fill in what is open on one grid.
std::vector<PassMethods> candidates(const PassMethods& wanted, bool pipelines) {
  const std::vector<std::string> linear = direct_solvers();
  std::vector<PassMethods> forward{wanted}, all;
  if (wanted.forward == kOpen) {
    forward.front().forward = "sequential";
    PassMethods newton{"newton", wanted.settings, wanted.backward};
    for (const std::string& name : linear) {
      newton.settings.own = OptionValues(nonlinear::find("newton").options).set("linear", name);
      forward.push_back(newton);
    }
  }
  const bool open = wanted.backward == kOpen;
  for (PassMethods& one : forward) {
    for (const std::string& name : open ? linear : std::vector<std::string>{wanted.backward}) {
      one.backward = name;
      all.push_back(one);
    }
  }
  if (pipelines && is_open(wanted))
    all.push_back(wanted.piped({plan::PipelineSchedule::zero_bubble, 0, false}));
  return all;
}

/// Flops on the longest path through one linear solve, in steps of one layer for one sample.
double linear_cost(const TrainingProblem& training, const PassMethods& methods,
                   const parallel::BlockLayout& layout, Index batch) {
  linear::Problem problem{layout, batch, training.width};
  problem.product_weight = machine().product_flop_ratio(training.width);
  const double step = 2.0 * training.width * training.width;
  return methods.make_backward()->cost(problem).critical_flops / step;
}

/// As the options name it.
std::string words(const PassMethods& methods) {
  if (methods.pipeline)
    return fmt::format("--pipeline {}", plan::pipeline_schedules().of(methods.pipeline->schedule));
  const OptionValues& own = methods.settings.own;
  const std::string linear = own.has("linear") ? " --linear " + own.word("linear") : "";
  return "--nonlinear " + methods.forward + linear;
}

double update_cost(const TrainingProblem& training, const Sharing& sharing);

/// As a share of the time of one rank, in sequence, for the same samples.
double pipeline_cost(const TrainingProblem& training, const Sharing& sharing) {
  const nonlinear::Problem problem = sharing.problem(training);
  Sharing alone{1, sharing.data_ranks, sharing.methods, "", ""};
  alone.methods.pipeline.reset();
  alone.methods.forward = alone.methods.backward = "sequential";
  alone.methods.settings.own = {};
  const double weights =
      training.weight_bytes * static_cast<double>(training.steps) / sharing.depth_ranks;
  return update_cost(training, alone) *
         plan::time_share(sharing.methods.pipeline->schedule,
                          {sharing.depth_ranks, problem.batch, weights});
}

/// One update on such a grid, as a time in steps of one layer for one sample on one rank.
double update_cost(const TrainingProblem& training, const Sharing& sharing) {
  if (sharing.methods.pipeline) return pipeline_cost(training, sharing);
  const nonlinear::Problem problem = sharing.problem(training);
  const auto solver = sharing.forward();
  const parallel::BlockLayout layout = solver->layout(problem);
  require_layout(*sharing.methods.make_backward(), layout);
  const auto batch = static_cast<double>(problem.batch);
  const double step = batch * training.layers;
  const double own = step * static_cast<double>(layout.longest());
  const linear::CriticalPath path =
      solver->cost(problem, {static_cast<int>(machine().newton_iterations), 0}).path;
  const double columns =
      std::max(1.0, training.width * machine().product_flop_ratio(training.width));
  const double forward = step * (path.evaluations + columns * path.products);
  const double backward = linear_cost(training, sharing.methods, layout, problem.batch);
  return forward + own + training.layers * backward + machine().parameter_passes * own;
}

/// All ways that a request leaves open; their keys are positions in candidates().
std::vector<plan::Way> ways_for(const TrainingProblem& training, const Sharing& wanted, int ranks) {
  const std::vector<PassMethods> methods = candidates(wanted.methods, training.pipelines);
  std::vector<plan::Way> ways;
  const plan::Grid grid{wanted.depth_ranks, wanted.data_ranks};
  for (const plan::Grid& one : plan::possible_grids(grid, ranks, training.batch)) {
    for (std::size_t key = 0; key < methods.size(); ++key) {
      const bool pointless = methods[key].pipeline && !wanted.methods.pipeline && one.depth < 2;
      if (pointless) continue;
      const double cost = update_cost(training, {one.depth, one.data, methods[key], "", ""});
      const bool in_a_row =
          !methods[key].pipeline && !nonlinear::find(methods[key].forward).iterates;
      ways.push_back({one, words(methods[key]), in_a_row, cost, key});
    }
  }
  return ways;
}

/// Whether the steps are to be split: who asks for a method that works on all ranks at once wants
/// that.
bool asks_for_depth(const PassMethods& methods) {
  const bool forward = methods.forward != kOpen && nonlinear::find(methods.forward).iterates;
  const bool backward = methods.backward != kOpen && !methods.make_backward()->walks_in_a_row();
  return forward || backward;
}

}  // namespace

nonlinear::Problem Sharing::problem(const TrainingProblem& training) const {
  DEEPPCR_ASSERT(data_ranks > 0, "a sharing over {} x {} ranks is not decided", depth_ranks,
                 data_ranks);
  const Index samples_a_rank = (training.batch + data_ranks - 1) / data_ranks;
  return {training.steps,
          samples_a_rank,
          training.width,
          depth_ranks,
          linear::Passes::forward_and_backward,
          training.stacked_cells,
          training.weight_bytes};
}

std::unique_ptr<nonlinear::Solver> Sharing::forward() const {
  return nonlinear::find(methods.forward).make(methods.settings);
}

Sharing choose_sharing(const TrainingProblem& training, const Sharing& wanted, int ranks) {
  Sharing asked = wanted;
  const bool open = wanted.depth_ranks == 0 && wanted.data_ranks == 0;
  if (open && asks_for_depth(wanted.methods)) asked.depth_ranks = ranks;
  Sharing free;
  free.methods.settings = wanted.methods.settings;
  free.methods.settings.own = {};
  const plan::Sharing plan =
      plan::choose_sharing(ways_for(training, asked, ranks), ways_for(training, free, ranks));
  Sharing chosen{plan.way.grid.depth, plan.way.grid.data,
                 candidates(asked.methods, training.pipelines)[plan.way.key], plan.choice,
                 plan.advice};
  const bool looks = wanted.methods.forward == kOpen && !chosen.methods.pipeline &&
                     chosen.depth_ranks > 1 && !nonlinear::find(chosen.methods.forward).iterates;
  if (looks) {  // at the chunks of ranges of steps, which the backward pass was chosen for
    chosen.methods.forward = kOpen;
    OptionValues& own = chosen.methods.settings.own;
    if (!own.has("chunks")) own = OptionValues(nonlinear::find(kOpen).options);
    if (own.whole("chunks") == 0) own.set("chunks", chosen.depth_ranks);
  }
  return chosen;
}

}  // namespace deeppcr::train
