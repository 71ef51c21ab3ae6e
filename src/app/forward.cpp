#include "app/forward.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "app/interrupts.hpp"
#include "app/progress.hpp"
#include "app/storage.hpp"
#include "app/suggest.hpp"
#include "deeppcr/core/log.hpp"
#include "deeppcr/nonlinear/sequential.hpp"
#include "deeppcr/parallel/runtime.hpp"
#include "deeppcr/sequence/propagate.hpp"

namespace deeppcr::app {
namespace {

constexpr const char* kGuessWords[] = {"copy", "zero", "random"};
constexpr const char* kCoarse = "coarse:";
/// K of "coarse:K".
Index coarsening(const std::string& guess) {
  const std::string number = guess.substr(std::string(kCoarse).size());
  const bool digits = !number.empty() && number.size() < 10 &&
                      number.find_first_not_of("0123456789") == std::string::npos;
  const Index factor = digits ? std::stoll(number) : 0;
  if (factor >= 1) return factor;
  throw input_error(
      "--guess {}: coarse:K with a whole number K from 1 is needed, such as coarse:16", guess);
}

void require_coarse_chain(const std::string& model, const std::string& guess) {
  if (models::find(model).coarse_chain) return;
  std::vector<std::string> with;
  for (const models::CatalogueEntry& entry : models::catalogue())
    if (entry.coarse_chain) with.push_back(entry.name);
  throw input_error("--guess {}: only a {} has a coarse chain, --model {} has none; use copy",
                    guess, fmt::join(with, " or "), model);
}

void fill_guess(const RunConfig& config, Chain& chain) {
  sequence::Trajectory& trajectory = chain.trajectory;
  const std::string& guess = config.solver.guess;
  if (guess == "copy") {
    trajectory.fill_with_input();
  } else if (guess == "zero") {
    trajectory.fill_with_zero();
  } else if (guess == "random") {
    trajectory.fill_with_noise(config.chain.model.seed);
  } else if (guess.rfind(kCoarse, 0) == 0) {
    const Index factor = coarsening(guess);
    require_coarse_chain(config.chain.model.model, guess);
    nonlinear::fill_with_coarse_chain(*chain.sequence, factor, trajectory);
  } else {
    parallel::agree(trajectory.comm(), [&] {
      if (trajectory.comm().is_root() && !std::filesystem::exists(guess)) {
        throw local_input_error(
            "--guess {}: no such file, and none of copy, zero, random, coarse:K; {}", guess,
            did_you_mean(guess, {std::begin(kGuessWords), std::end(kGuessWords)}));
      }
    });
    storage::read_guess(guess, trajectory);
    trajectory.touched();
  }
}

}  // namespace

double Verification::max_error() const {
  double largest = 0;
  for (const auto& error : errors) largest = std::max(largest, error.second);
  return largest;
}

ForwardResult run_forward(Chain& chain, const RunConfig& config, const Context& context) {
  sequence::Trajectory& trajectory = chain.trajectory;
  ForwardResult result;
  const auto solver = config.solver.make();
  const std::string& weights = config.files.save_weights;
  stop_before_start(context.comm, weights.empty() ? "" : "the weights in " + weights);
  if (!config.solver.entry().iterates) {
    release_signals();
    const auto recorder = storage::record(context, config, std::nullopt, trajectory);
    context.comm.barrier();
    result.report = solver->solve(*chain.sequence, trajectory);
    const UndisturbedWriting undisturbed;
    if (recorder) recorder->finish(result.report, parallel::Runtime::unused_petsc_options());
    return result;
  }
  std::optional<storage::Resumed> resumed;
  if (!config.files.restart.empty())
    resumed = storage::restart(context, config.chain, config.files, trajectory);
  if (!resumed) fill_guess(config, chain);
  if (resumed) result.iterations_before = resumed->iterations;

  Interrupts interrupts(
      context.comm, {config.files.folder(), config.files.max_hours, config.files.minutes_to_save});
  const Index most = solver->most_iterations(problem_of(config, context.comm.size()));
  Progress progress(context.comm.is_root() && !context.quiet, most);
  const auto recorder = storage::record(context, config, resumed, trajectory);
  nonlinear::Monitors monitors{&interrupts, &progress};
  if (recorder) monitors.push_back(recorder.get());
  result.report = solver->solve(*chain.sequence, trajectory, monitors);
  {
    const UndisturbedWriting undisturbed;
    if (recorder) recorder->finish(result.report, parallel::Runtime::unused_petsc_options());
  }
  if (result.report.status == nonlinear::Status::interrupted) {
    result.stopped_by = interrupts.stopped_by();
    result.checkpoint = recorder ? config.files.checkpoint_path() : "";
  }
  return result;
}

SequentialRun run_sequential(const Chain& chain) {
  const sequence::Trajectory& solved = chain.trajectory;
  const parallel::Communicator& comm = solved.comm();
  SequentialRun run{sequence::Trajectory(comm, solved.layout(), solved.batch(), solved.width()), 0};
  std::copy(solved.input().begin(), solved.input().end(), run.trajectory.input().begin());
  run.trajectory.fill_with_zero();  // its pages are there, as those of the solver's states were
  comm.barrier();
  const Stopwatch watch;
  sequence::propagate(*chain.sequence, run.trajectory);
  run.seconds = comm.max(watch.seconds());
  return run;
}

double relative_difference(const parallel::Communicator& comm, Index count, const Real* a,
                           const Real* b) {
  // [largest difference, largest reference], over all ranks
  std::vector<double> largest{0, 0};
  bool numbers = true;
  for (Index i = 0; i < count; ++i) {
    const double difference = std::abs(a[i] - b[i]);
    numbers = numbers && std::isfinite(difference);
    largest[0] = std::max(largest[0], difference);
    largest[1] = std::max(largest[1], std::abs(b[i]));
  }
  if (!numbers) largest[0] = std::numeric_limits<double>::infinity();
  comm.max(largest);
  return largest[1] > 0 ? largest[0] / largest[1] : largest[0];
}

}  // namespace deeppcr::app
