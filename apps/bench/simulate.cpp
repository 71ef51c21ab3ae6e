#include "simulate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <sstream>

#include "chains.hpp"
#include "deeppcr/cli/output.hpp"
#include "deeppcr/core/work.hpp"
#include "deeppcr/nonlinear/adjoint.hpp"
#include "deeppcr/nonlinear/catalogue.hpp"
#include "deeppcr/parallel/runtime.hpp"
#include "deeppcr/sequence/propagate.hpp"
#include "network_case.hpp"
#include "row.hpp"
#include "training_step.hpp"

namespace deeppcr::bench {
namespace {

using parallel::Communicator;

/// Results differ from sequential execution's by less, relative to their largest entry.
constexpr double kRight = 1e-6;

/// What is the same in all passes.
struct Sizes {
  Index steps, batch;
  int width, repeats;
};

/// Of empty words none is left.
std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> words;
  std::istringstream stream(list);
  std::string word;
  while (std::getline(stream, word, ','))
    if (!word.empty()) words.push_back(word);
  return words;
}

models::ModelOptions with_sizes(models::ModelOptions options, const Sizes& sizes) {
  options.steps = sizes.steps;
  options.width = sizes.width;
  return options;
}

/// What a pass takes.
struct Timed {
  Seconds seconds;  ///< of the slowest rank
  double flops = 0;
  Index collectives = 0, messages = 0;  ///< of the rank with most
};

/// After a run that is not timed: it sets up what is kept. Collective.
template <typename Prepare, typename Run>
Timed time_runs(const Communicator& comm, int repeats, Prepare&& prepare, Run&& run) {
  std::vector<double> seconds;
  Work of_last;
  for (int i = 0; i <= repeats; ++i) {
    prepare();
    comm.barrier();
    const Work before = work();
    const Stopwatch watch;
    run();
    const double own = watch.seconds();
    of_last = {work().flops - before.flops, 0, work().collectives - before.collectives,
               work().messages - before.messages};
    const double taken = comm.max(own);
    if (i > 0) seconds.push_back(taken);
  }
  const auto most = [&](Index count) {
    return static_cast<Index>(comm.max(static_cast<double>(count)));
  };
  return {Seconds::of(seconds), of_last.flops, most(of_last.collectives), most(of_last.messages)};
}

/// A chain with the states of sequential execution, a loss on the last one, and a backward pass.
class WithGradient {
 public:
  WithGradient(const Communicator& comm, const parallel::BlockLayout& layout,
               const models::ModelOptions& options, Index batch, const std::string& backward)
      : network_(comm, layout, options, batch),
        loss_(batch * options.width),
        parameters_(network_.model->parameters()) {
    std::fill(loss_.begin(), loss_.end(), 1.0);
    has_loss_ = layout.steps(comm.rank()).contains(options.steps - 1);
    network_.trajectory.fill_with_input();
    sequence::propagate(*network_.model, network_.trajectory);
    adjoint_ = std::make_unique<nonlinear::Adjoint>(*network_.model, network_.trajectory,
                                                    nonlinear::make_backward(backward));
  }

  void run() {
    const auto shape = network_.trajectory.states().shape();
    adjoint_->solve({loss_.data(), {has_loss_ ? 1 : 0, shape[1], shape[2]}}, &parameters_);
  }
  const nonlinear::Adjoint& adjoint() const { return *adjoint_; }

  /// What tells a right gradient from a wrong one: that by the input, and the sum of squares of
  /// those by all states. Collective.
  std::vector<double> result() const {
    const ConstState g = adjoint_->input();
    double squares = 0;
    for (const Real x : adjoint_->states()) squares += x * x;
    std::vector<double> found(g.begin(), g.end());
    found.push_back(network_.trajectory.comm().sum(squares));
    return found;
  }

 private:
  NetworkCase network_;
  Buffer<Real> loss_;  ///< of the last state, [B, n]
  bool has_loss_ = false;
  sequence::ParameterGradients parameters_;
  std::unique_ptr<nonlinear::Adjoint> adjoint_;
};

/// Sequential execution on rank 0: its time and what it found there. Other ranks wait.
struct Baseline {
  Timed timed;
  std::vector<double> result;  ///< the last state, or what tells a right gradient
};

Baseline forward_baseline(const models::ModelOptions& options, const Sizes& sizes) {
  const Communicator self = Communicator::self();
  NetworkCase alone(self, parallel::BlockLayout::balanced(sizes.steps, 1), options, sizes.batch);
  Baseline baseline;
  baseline.timed = time_runs(
      self, sizes.repeats, [] {}, [&] { sequence::propagate(*alone.model, alone.trajectory); });
  const ConstStates z = alone.trajectory.states();
  baseline.result.assign(z.end() - sizes.batch * sizes.width, z.end());
  return baseline;
}

Baseline backward_baseline(const models::ModelOptions& options, const Sizes& sizes) {
  const Communicator self = Communicator::self();
  WithGradient alone(self, parallel::BlockLayout::balanced(sizes.steps, 1), options, sizes.batch,
                     "sequential");
  Baseline baseline;
  baseline.timed = time_runs(
      self, sizes.repeats, [] {}, [&] { alone.run(); });
  baseline.result = alone.result();
  return baseline;
}

Baseline step_baseline(const models::ModelOptions& options, const Sizes& sizes) {
  const Communicator self = Communicator::self();
  TrainingStep alone(self, options, sizes.batch, "sequential");
  Baseline baseline;
  baseline.timed = time_runs(
      self, sizes.repeats, [] {}, [&] { alone.run(); });
  baseline.result = {alone.gradient_norm()};
  return baseline;
}

/// @throws Error on all ranks where rank 0's result is another than the baseline's
void require_right(const Communicator& comm, const std::string& what,
                   const std::vector<double>& result, const Baseline& baseline) {
  double error = 0;
  if (comm.is_root()) {
    const auto count = static_cast<Index>(baseline.result.size());
    error = blocks::largest_difference(count, result.data(), baseline.result.data()) /
            blocks::largest(count, baseline.result.data());
  }
  comm.broadcast(&error, 1, 0);
  if (error <= kRight) return;
  throw Error(ExitCode::numerics, Error::Seen::everywhere,
              fmt::format("{}: error {:.1e} against sequential execution", what, error));
}

Row row_of(const NamedChain& chain, const char* pass, const std::string& method, int ranks,
           const Sizes& sizes) {
  return {kCountsWork ? "simulated" : "scaling",
          chain.name + ", " + pass,
          method,
          ranks,
          sizes.steps,
          sizes.width,
          sizes.batch};
}

void fill(Row& row, const Timed& timed) {
  row.seconds = timed.seconds;
  row.collectives = timed.collectives;
  row.messages = timed.messages;
}

/// Of the network alone there is no time to compare with.
void compare(Row& row, const Baseline& baseline) {
  const Seconds& seconds = baseline.timed.seconds;
  if (seconds.median > 0) row.compare("sequential execution on 1 rank", seconds);
}

Row baseline_row(const NamedChain& chain, const char* pass, const Sizes& sizes,
                 const Baseline& baseline) {
  Row row = row_of(chain, pass, "sequential", 1, sizes);
  fill(row, baseline.timed);
  if (baseline.timed.flops > 0 && row.seconds.median > 0)
    row.gflops = 1e-9 * baseline.timed.flops / row.seconds.median;
  compare(row, baseline);
  return row;
}

std::string ran_as(const nonlinear::SolveReport& report) {
  return report.method + (report.linear.empty() ? "" : "+") + report.linear;
}

/// Speedup by formula: a step as long as in the baseline, products as the machine's table has them.
double predicted_speedup(const models::ModelOptions& options, const Sizes& sizes,
                         const linear::CriticalPath& path, double network,
                         const Baseline& baseline) {
  const int n = options.width;
  const Index columns = sizes.batch * (n + 1);
  const KernelSeconds& kernels = machine().kernels;
  const double product =
      kernels.product(n, n, columns) + kernels.element * static_cast<double>(n * columns);
  const double alone = baseline.timed.seconds.median;
  if (alone == 0) return kUnknown;  // of the network alone
  const double step = alone / static_cast<double>(sizes.steps);
  return alone / (path.seconds(step, models::step_cost(options).layers * product) + network);
}

Row forward(const Communicator& comm, const NamedChain& chain, const std::string& words,
            const Sizes& sizes, const Baseline& baseline) {
  const models::ModelOptions options = with_sizes(chain.options, sizes);
  const auto solver = make_method(words).solver;
  const parallel::BlockLayout layout =
      solver->layout({sizes.steps, sizes.batch, sizes.width, comm.size()});
  NetworkCase network(comm, layout, options, sizes.batch);
  nonlinear::SolveReport report;
  Row row = row_of(chain, "forward", words, comm.size(), sizes);
  fill(row, time_runs(
                comm, sizes.repeats, [&] { network.trajectory.fill_with_input(); },
                [&] { report = solver->solve(*network.model, network.trajectory); }));
  if (report.status != nonlinear::Status::converged) row.met = nonlinear::to_string(report.status);
  std::vector<double> last(static_cast<std::size_t>(sizes.batch * sizes.width));
  const int owner = layout.owner(sizes.steps - 1);
  if (comm.rank() == owner)
    std::copy_n(network.trajectory.states().end() - last.size(), last.size(), last.begin());
  comm.broadcast(last.data(), static_cast<Index>(last.size()), owner);
  require_right(comm, row.name + ", " + words, last, baseline);
  if (report.method != words) row.method += ": " + ran_as(report);
  row.iterations = report.iterations;
  row.chunks = report.chunks;
  const nonlinear::Cost cost = solver->cost({sizes.steps, sizes.batch, sizes.width, comm.size()},
                                            {report.iterations, report.looks});
  row.predicted = report.predicted_steps > 0
                      ? static_cast<double>(sizes.steps) / report.predicted_steps
                      : predicted_speedup(options, sizes, cost.path, cost.network, baseline);
  return row;
}

Row backward(const Communicator& comm, const NamedChain& chain, const std::string& words,
             const Sizes& sizes, const Baseline& baseline) {
  const parallel::BlockLayout layout = parallel::BlockLayout::balanced(sizes.steps, comm.size());
  const models::ModelOptions options = with_sizes(chain.options, sizes);
  WithGradient network(comm, layout, options, sizes.batch, words);
  Row row = row_of(chain, "backward", words, comm.size(), sizes);
  fill(row, time_runs(
                comm, sizes.repeats, [] {}, [&] { network.run(); }));
  require_right(comm, row.name + ", " + words, network.result(), baseline);
  const nonlinear::AdjointReport report = network.adjoint().report();
  if (report.outcome.method != words) row.method += ": " + report.outcome.method;
  row.iterations = report.outcome.sweeps;
  row.chunks = report.outcome.chunks;
  // What `auto` has expected, where it did not leave the work to a solver with a formula.
  const auto& found = report.outcome;
  const bool formula = found.method == words || found.method == "hybrid";
  const linear::Cost cost = nonlinear::make_backward(formula ? found.method : words)
                                ->cost({layout, sizes.batch, sizes.width});
  const double closing = machine().network.reduction(comm.size());
  row.predicted =
      !formula && found.predicted_steps > 0
          ? static_cast<double>(sizes.steps) / found.predicted_steps
          : predicted_speedup(options, sizes, cost.path, cost.network + closing, baseline);
  return row;
}

Row training_step(const Communicator& comm, const NamedChain& chain, const std::string& words,
                  const Sizes& sizes, const Baseline& baseline) {
  TrainingStep step(comm, with_sizes(chain.options, sizes), sizes.batch, words);
  Row row = row_of(chain, "training step", words, comm.size(), sizes);
  fill(row, time_runs(
                comm, sizes.repeats, [] {}, [&] { step.run(); }));
  require_right(comm, row.name + ", " + words, {step.gradient_norm()}, baseline);
  row.method +=
      fmt::format(": {}, then {}", ran_as(step.forward()), step.backward().outcome.method);
  const nonlinear::Status status = step.forward().status;
  if (status != nonlinear::Status::converged) row.met = nonlinear::to_string(status);
  row.iterations = step.forward().iterations;
  row.chunks = step.forward().chunks;
  return row;
}

/// The line of a row as soon as it is known: a large simulation may be ended from outside.
void print(const Communicator& comm, const Row& row) {
  if (!comm.is_root()) return;
  const std::string with_names = to_csv({row}, {});
  cli::print_out(with_names.substr(with_names.find('\n') + 1));
  std::fflush(stdout);
}

/// All passes of one kind, behind their baseline.
template <typename FindBaseline, typename Pass>
void print_passes(const Communicator& comm, const NamedChain& chain, const char* name,
                  const std::vector<std::string>& methods, const Sizes& sizes,
                  FindBaseline&& find_baseline, Pass&& pass) {
  if (methods.empty()) return;
  Baseline baseline;
  if (comm.is_root()) baseline = find_baseline(with_sizes(chain.options, sizes), sizes);
  comm.barrier();
  print(comm, baseline_row(chain, name, sizes, baseline));
  for (const std::string& method : methods) {
    Row row = pass(comm, chain, method, sizes, baseline);
    compare(row, baseline);
    print(comm, row);
  }
}

}  // namespace

void add_simulate_options(cli::Options& options) {
  std::vector<std::string> chains;
  for (const NamedChain& chain : all_chains()) chains.push_back(chain.name);
  options.add(
      "Passes",
      {text_option("chains", "mlp tanh",
                   fmt::format("comma-separated, with '_' for a space, which smpirun does not "
                               "pass on; known: {}",
                               fmt::join(chains, ", ")),
                   "LIST"),
       whole_option("steps", 65536, 1, Index{1} << 40, "steps of the chains, L"),
       whole_option("width", 16, 1, 4096, "width of the states, n"),
       whole_option("batch", 1, 1, 1'000'000, "samples, B"),
       text_option("forward", "auto",
                   "nonlinear solvers, comma-separated, such as auto,newton+hybrid; a comma alone: "
                   "none, here and below",
                   "LIST"),
       text_option("backward", "",
                   fmt::format("backward passes, comma-separated: {}",
                               fmt::join(nonlinear::backward_names(), ", ")),
                   "LIST"),
       text_option(
           "step", "",
           "whole training steps on the depth axis, comma-separated: nonlinear solvers with "
           "the backward pass that suits each, or with one of their own behind a slash, such "
           "as auto/hybrid,pipeline",
           "LIST"),
       whole_option("repeats", 1, 1, 1000, "timed runs, of which the median is told")});
}

int run_simulate(const OptionValues& options, const cli::Context& context) {
  const Sizes sizes{options.whole("steps"), options.whole("batch"),
                    static_cast<int>(options.whole("width")),
                    static_cast<int>(options.whole("repeats"))};
  const Communicator& comm = context.comm;
  if (comm.is_root()) {
    cli::print_out(to_csv({}, {fmt::format("deeppcr-simulate, {} ranks, {}, PETSc {}", comm.size(),
                                           parallel::mpi_version(), parallel::petsc_version())}));
  }
  std::string chains = options.text("chains");
  std::replace(chains.begin(), chains.end(), '_', ' ');
  for (const NamedChain& chain : chosen_chains(split(chains))) {
    print_passes(comm, chain, "forward", split(options.text("forward")), sizes, forward_baseline,
                 forward);
    print_passes(comm, chain, "backward", split(options.text("backward")), sizes, backward_baseline,
                 backward);
    print_passes(comm, chain, "training step", split(options.text("step")), sizes, step_baseline,
                 training_step);
  }
  return 0;
}

}  // namespace deeppcr::bench
