#include "app/solve.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "app/files.hpp"
#include "app/interrupts.hpp"
#include "app/report.hpp"
#include "app/run_commands.hpp"
#include "deeppcr/cli/options.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/profile.hpp"
#include "deeppcr/io/trace.hpp"
#include "deeppcr/io/weights.hpp"
#include "deeppcr/nonlinear/sequential.hpp"
#include "deeppcr/sequence/propagate.hpp"

namespace deeppcr::app {
namespace {

constexpr const char* kGuessWords[] = {"copy", "zero", "random"};

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
  } else if (const std::optional<Index> factor = nonlinear::coarsening(guess)) {
    if (*factor < 1)
      throw input_error(
          "--guess {}: coarse:K with a whole number K from 1 is needed, such as coarse:16", guess);
    require_coarse_chain(config.chain.model.model, guess);
    nonlinear::fill_with_coarse_chain(*chain.sequence, *factor, trajectory);
  } else {
    parallel::agree(trajectory.comm(), [&] {
      if (trajectory.comm().is_root() && !std::filesystem::exists(guess)) {
        throw local_input_error(
            "--guess {}: no such file, and none of copy, zero, random, coarse:K; {}", guess,
            did_you_mean(guess, {std::begin(kGuessWords), std::end(kGuessWords)}));
      }
    });
    io::read_guess(guess, trajectory);
    trajectory.touched();
  }
}

/// What ran, such as "newton+hybrid" or "shooting+identity".
std::string method_of(const nonlinear::SolveReport& solve) {
  return solve.linear.empty() ? solve.method : solve.method + "+" + solve.linear;
}

/// "0.51 L step evaluations (n^2), 0 products (n^3)"
std::string path_text(const nonlinear::CriticalPath& path, Index steps) {
  const auto L = static_cast<double>(std::max<Index>(1, steps));
  return fmt::format("{:.4g} L step evaluations (n^2), {:.4g} L products (n^3)",
                     path.evaluations / L, path.products / L);
}

Json levels_json(const parallel::TrafficByLevel& levels) {
  Json list = Json::array();
  for (const parallel::Traffic& level : levels)
    list.push_back({{"messages", level.messages}, {"bytes", level.bytes}});
  return list;
}

/// What is said of a pass that was a pipeline; keys begin with `prefix`.
void add_pipeline(const std::optional<nonlinear::PipelineReport>& found, const std::string& prefix,
                  const char* label, Report& report) {
  if (!found) return;
  report.json[prefix + "layout"] = found->layout;
  report.json[prefix + "micro_batches"] = found->micro_batches;
  report.json[prefix + "chunks"] = found->chunks;
  report.json[prefix + "block_steps"] = found->block_steps;
  report.json[prefix + "idle"] = found->idle;
  report.json[prefix + "idle_by_formula"] = found->idle_by_formula;
  const std::string parts =
      found->chunks > 0 ? fmt::format("{} chunks of {} steps", found->chunks, found->block_steps)
                        : fmt::format("{} micro-batches, blocks of {} steps", found->micro_batches,
                                      found->block_steps);
  report.line(label, "{}, {}; idle {:.3g} %, by formula {:.3g} %", found->layout, parts,
              100 * found->idle, 100 * found->idle_by_formula);
}

void add_forward(const nonlinear::SolveReport& solve, Index steps, Report& report) {
  Json& json = report.json;
  json["exact_states"] = solve.exact_states;
  json["lyapunov"] = solve.lyapunov;
  json["log_growth"] = solve.growth;
  json["chunks"] = solve.chunks;
  json["path_evaluations"] = solve.path.evaluations;
  json["path_products"] = solve.path.products;
  json["levels"] = levels_json(solve.levels);
  report.line("exact states", "{} of {}, bit for bit those of sequential execution",
              solve.exact_states, steps);
  if (solve.lyapunov != 0)
    report.line("Lyapunov exponent", "{:+.4f} a step, estimated", solve.lyapunov);
  if (solve.growth > 0)
    report.line("growth", "a change of a state grows up to {:.1e} times further on, estimated",
                std::exp(solve.growth));
  add_pipeline(solve.pipeline, "pipeline_", "pipeline", report);
  report.line("in a row", "{}{}", path_text(solve.path, steps),
              solve.chunks > 0 ? fmt::format(", with {} chunks", solve.chunks) : "");
}

void add_gradient(const GradientSummary& gradient, Index steps, Report& report) {
  const linear::SolveOutcome& outcome = gradient.adjoint.outcome;
  Json& json = report.json;
  json["loss"] = gradient.loss;
  json["accuracy"] = gradient.accuracy;
  json["gradient_norms"] = gradient.norms;
  json["gradient_seconds"] = gradient.adjoint.seconds;
  json["gradient_levels"] = levels_json(gradient.adjoint.levels);
  json["gradient_method"] = outcome.method;
  json["gradient_sweeps"] = outcome.sweeps;
  json["gradient_residual"] = outcome.residual;
  json["gradient_path_evaluations"] = outcome.path.evaluations;
  json["gradient_path_products"] = outcome.path.products;
  if (!outcome.reason.empty()) json["gradient_reason"] = outcome.reason;
  report.line(
      "loss", "{:.6g}{}", gradient.loss,
      std::isnan(gradient.accuracy) ? "" : fmt::format(", accuracy {:.3g}", gradient.accuracy));
  report.line("backward by", "{}{}", outcome.method,
              outcome.reason.empty() ? "" : ": " + outcome.reason);
  add_pipeline(gradient.adjoint.pipeline, "gradient_pipeline_", "pipeline, backward", report);
  if (outcome.sweeps > 0)
    report.line("sweeps backward", "{}, residual {:.3e} of the largest gradient", outcome.sweeps,
                outcome.residual);
  report.line("in a row, backward", "{}", path_text(outcome.path, steps));
  for (const auto& [name, norm] : gradient.norms)
    report.line("|gradient|, " + name, "{:.6e}", norm);
  report.line("time, backward", "{}", seconds_text(gradient.adjoint.seconds));
}

/// Whether the chain was walked one step after another, in each pass that there was.
bool ran_in_a_row(const ChainReport& report, Index steps) {
  const nonlinear::SolveReport& solve = report.run.report;
  const bool one_chunk = solve.chunks == 1 && solve.iterations == 0;
  if (!one_chunk && solve.sequential_evaluations != steps) return false;
  if (!report.gradient) return true;
  const linear::CriticalPath& back = report.gradient->adjoint.outcome.path;
  return back.products == 0 && back.evaluations >= static_cast<double>(steps);
}

/// Of what --verify repeats in sequence.
double total_seconds(const ChainReport& found) {
  const double forward = seconds_of(found.run.report.seconds, "total");
  return found.gradient ? forward + seconds_of(found.gradient->adjoint.seconds, "total") : forward;
}

void add_verification(const ChainReport& found, Report& report) {
  const Verification& verification = *found.verification;
  const double sequential = verification.sequential_seconds;
  double largest = 0;
  report.line("sequential", "{:.3g} s on these ranks, {:.3g} s by {}, one run each", sequential,
              total_seconds(found), method_of(found.run.report));
  for (const auto& [name, error] : verification.errors) {
    largest = std::max(largest, error);
    report.line("error, " + name, "{:.3e}  (relative to the largest)", error);
  }
  report.json["sequential_seconds"] = sequential;
  report.json["max_error"] = largest;
  report.json["errors"] = verification.errors;
}

/// Seconds that sequential execution would take, without --verify: from one evaluation of all
/// residuals, which is the work of a rank's part of the chain, or from the sweeps.
double sequential_estimate(const ChainReport& found, Index steps, int ranks) {
  const nonlinear::SolveReport& solve = found.run.report;
  constexpr double kBackward = 2;  // of a forward pass
  const double passes = found.gradient ? 1 + kBackward : 1;
  const double sweep = seconds_of(solve.seconds, "sweep");
  if (sweep > 0)
    return passes * sweep * static_cast<double>(steps) / std::max(1.0, solve.path.evaluations);
  return passes * seconds_of(solve.seconds, "residual") / (solve.iterations + 1) * ranks;
}

/// Says in a sentence when sequential code would have been faster, measured or estimated; else
/// empty.
std::string advice(const ChainReport& found, Index steps, int ranks) {
  if (!found.run.solved() || ran_in_a_row(found, steps)) return "";
  const bool measured = found.verification.has_value();
  const double sequential =
      measured ? found.verification->sequential_seconds : sequential_estimate(found, steps, ranks);
  const double ours = total_seconds(found);
  if (sequential <= 0 || ours <= sequential) return "";
  return fmt::format(
      "sequential {} {:.1f} times faster on these ranks{}: use --nonlinear sequential",
      measured ? "was" : "would be about", ours / sequential, measured ? ", in one run each" : "");
}

Verification verify(const Chain& chain) {
  const SequentialRun sequential = run_sequential(chain);
  const ConstStates ours = chain.trajectory.states();
  const double error = relative_difference(chain.trajectory.comm(), ours.size(), ours.data(),
                                           sequential.trajectory.states().data());
  return {sequential.seconds, {{"states", error}}};
}

}  // namespace

SolverRun run_forward(Chain& chain, const RunConfig& config, const cli::Context& context) {
  sequence::Trajectory& trajectory = chain.trajectory;
  const auto solver = config.solver.make();
  const std::string& weights = config.files.save_weights;
  stop_before_start(context.comm, weights.empty() ? "" : "the weights in " + weights);
  Method method;
  method.iterates = config.solver.entry().iterates;
  method.most_iterations = solver->most_iterations(problem_of(config, context.comm.size()));
  method.guess = [&] { fill_guess(config, chain); };
  method.solve = [&](Index, const nonlinear::Monitors& monitors) {
    return solver->solve(*chain.sequence, trajectory, monitors);
  };
  return run_solver(context, config, trajectory, method);
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

void write_last_state(io::hdf5::File& file, const Chain& chain) {
  io::write_last_state(file, chain.trajectory);
  if (chain.sequence->input_width() > 0) io::write_last_state(file, chain.trajectory, "/state");
}

double weight_bytes(const Chain& chain) {
  double bytes = 0;
  for (const sequence::ParameterGroup& group : chain.sequence->parameters())
    bytes += sizeof(Real) * static_cast<double>(group.values.size());
  return chain.trajectory.comm().max(bytes);
}

int print(const cli::Context& context, const char* command, const RunConfig& config,
          const ChainReport& found) {
  const nonlinear::SolveReport& solve = found.run.report;
  const Index steps = config.chain.model.steps;
  Report report(context, command, solve.status);
  report.add_model(config.chain);
  report.add_method(method_of(solve));
  const nonlinear::AdjointReport backward =
      found.gradient ? found.gradient->adjoint : nonlinear::AdjointReport{};
  report.add_solve(found.run, "iterations", total(backward.levels, backward.neighbours));
  add_forward(solve, steps, report);
  report.json["weight_bytes_per_rank"] = found.weight_bytes;
  report.line("weights", "{:.4g} MiB a rank", found.weight_bytes / (1024 * 1024));
  if (found.gradient) add_gradient(*found.gradient, steps, report);
  if (found.verification) add_verification(found, report);
  const std::string faster = advice(found, steps, context.comm.size());
  report.json["advice"] = faster;
  return report.print(found.run.why(), faster);
}

int run_solve(const OptionValues& options, const cli::Context& context) {
  RunConfig config = read_run_config(options, linear::Passes::forward);
  Chain chain = set_up(context, config);
  ChainReport report;
  report.weight_bytes = weight_bytes(chain);
  report.run = run_forward(chain, config, context);
  if (report.run.solved() && !config.files.output.empty()) {
    const UndisturbedWriting undisturbed;
    io::write_file(context.comm, config.files.output, file_format::kResults, provenance(context),
                   [&](io::hdf5::File& file) { write_last_state(file, chain); });
  }
  if (report.run.solved() && config.solver.verify) report.verification = verify(chain);
  return print(context, "solve", config, report);
}

}  // namespace deeppcr::app
