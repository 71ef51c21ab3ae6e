#include <algorithm>
#include <cmath>

#include "deeppcr/app/run_commands.hpp"
#include "deeppcr/app/run_report.hpp"
#include "deeppcr/app/run_setup.hpp"
#include "deeppcr/app/storage.hpp"
#include "deeppcr/core/profile.hpp"
#include "deeppcr/linear/catalogue.hpp"
#include "deeppcr/nonlinear/adjoint.hpp"

namespace deeppcr::app {
namespace {

/// The loss at a trajectory and all its gradients.
struct Gradients {
  models::LossReport loss;
  Buffer<Real> logits;                          ///< [B, classes]
  std::unique_ptr<nonlinear::Adjoint> adjoint;  ///< d loss / d z_l
  Buffer<Real> input;                           ///< d loss / d z_0, [B, n], on every rank
  sequence::ParameterGradients parameters;
  Buffer<Real> head;       ///< as the head's parameters, on every rank
  Buffer<Real> embedding;  ///< as the embedding's parameters; empty without one
  nonlinear::AdjointReport report;
};

/// z_L on every rank: from the rank that owns it, z_0 for a chain without steps. Collective.
Buffer<Real> last_state(const sequence::Trajectory& trajectory) {
  const parallel::BlockLayout& layout = trajectory.layout();
  const Index size = trajectory.input().size();
  Buffer<Real> state(size);
  const Index L = layout.num_steps();
  const bool owns = trajectory.local_range().contains(L - 1);
  const Real* source = owns ? trajectory.states().end() - size : trajectory.input().data();
  std::copy(source, source + size, state.data());
  if (L > 0) trajectory.comm().broadcast(state.data(), size, layout.owner(L - 1));
  return state;
}

View<Real, 1> view(Buffer<Real>& buffer) { return {buffer.data(), {buffer.size()}}; }

/// Loss and head at the end of the chain; puts d loss / d z_L into `gradient` [B, n].
void differentiate_head(const Chain& chain, const sequence::Trajectory& at, Gradients& g,
                        Buffer<Real>& gradient) {
  const Index B = at.batch();
  const std::array<Index, 2> logits{B, chain.head.classes()};
  const std::array<Index, 2> state{B, at.width()};
  const Buffer<Real> z = last_state(at);
  g.logits.reset(logits[0] * logits[1]);
  g.head.reset(chain.head.parameters().size());
  gradient.reset(z.size());
  Buffer<Real> scratch(g.logits.size());
  chain.head.forward({z.data(), state}, {g.logits.data(), logits});
  g.loss = chain.head.loss_and_gradient({z.data(), state}, chain.labels, {scratch.data(), logits},
                                        {gradient.data(), state}, view(g.head));
}

Gradients differentiate(const Chain& chain, const sequence::Trajectory& at,
                        linear::LinearSolver& linear) {
  const StepRange local = at.local_range();
  const State z0(nullptr, {at.batch(), at.width()});
  Gradients g;
  Buffer<Real> at_end;
  differentiate_head(chain, at, g, at_end);
  // The loss is of the last state alone: one row on the rank that has it.
  const Index rows = local.contains(at.layout().num_steps() - 1) ? 1 : 0;
  g.parameters = sequence::ParameterGradients(chain.sequence->parameters());
  g.adjoint = std::make_unique<nonlinear::Adjoint>(*chain.sequence, at, linear);
  g.adjoint->solve({at_end.data(), {rows, at.batch(), at.width()}}, &g.parameters);
  g.adjoint->share_input();
  g.report = g.adjoint->report();
  g.input.reset(z0.size());
  // without steps the loss is a function of z_0 itself
  const bool no_steps = at.layout().num_steps() == 0;
  std::copy_n(no_steps ? at_end.data() : g.adjoint->input().data(), z0.size(), g.input.data());
  if (chain.embedding) {
    g.embedding.reset(chain.embedding->parameters().size());
    chain.embedding->gradient(chain.feature_view(), {g.input.data(), z0.shape()}, view(g.embedding),
                              State());
  }
  return g;
}

template <typename Values>
double square_sum(const Values& values) {
  double sum = 0;
  for (const Real value : values) sum += value * value;
  return sum;
}

/// Of all groups over all ranks; shared rows count once. Collective.
double square_sum(const parallel::Communicator& comm,
                  const sequence::ParameterGradients& gradients) {
  double sum = 0;
  for (int g = 0; g < gradients.groups(); ++g)
    if (!gradients.shared(g) || comm.is_root()) sum += square_sum(gradients[g]);
  return comm.sum(sum);
}

GradientSummary summarise(const Chain& chain, const Gradients& g) {
  GradientSummary summary;
  summary.loss = g.loss.loss;
  summary.accuracy = static_cast<double>(g.loss.correct) / static_cast<double>(chain.labels.size());
  summary.norms["input"] = std::sqrt(square_sum(g.input));
  summary.norms["head"] = std::sqrt(square_sum(g.head));
  summary.norms["parameters"] = std::sqrt(square_sum(chain.trajectory.comm(), g.parameters));
  if (chain.embedding) summary.norms["embedding"] = std::sqrt(square_sum(g.embedding));
  summary.seconds = g.report.seconds;
  summary.levels = g.report.levels;
  summary.neighbours = g.report.neighbours;
  return summary;
}

std::unique_ptr<linear::LinearSolver> backward_solver(const SolverConfig& solver) {
  const std::string method = backward_method(solver);
  linear::Settings settings;
  settings.chunks = solver.shooting.chunks;
  settings.rtol = solver.newton.rtol;
  settings.may_choose = method == "auto";
  if (method == "linear") return linear::find(solver.newton.linear).make(settings);
  return linear::find(settings.may_choose ? "shooting" : method).make(settings);
}

/// What ran backward, and the work in a row.
void add_method(const linear::SolveOutcome& outcome, GradientSummary& summary) {
  summary.method = outcome.method;
  summary.sweeps = outcome.sweeps;
  summary.residual = outcome.residual;
  summary.path = outcome.path;
  summary.reason = outcome.reason;
}

double largest_entry(ConstStates values) {
  double largest = 0;
  for (const Real value : values) largest = std::max(largest, std::abs(value));
  return largest;
}

/// Compares with the sequential trajectory and the sequential linear solver at it.
Verification verify(const Chain& chain, const Gradients& ours) {
  const parallel::Communicator& comm = chain.trajectory.comm();
  const SequentialRun sequential = run_sequential(chain);
  const auto solver = linear::find("sequential").make();
  const Gradients theirs = differentiate(chain, sequential.trajectory, *solver);
  const auto error = [&](const auto& a, const auto& b) {
    return relative_difference(comm, a.size(), a.data(), b.data());
  };
  Verification verification;
  verification.sequential_seconds = sequential.seconds + theirs.report.seconds.at("total");
  verification.errors["state gradients"] = error(ours.adjoint->states(), theirs.adjoint->states());
  double& parameters = verification.errors["parameter gradients"] = 0;
  for (int g = 0; g < ours.parameters.groups(); ++g)
    parameters = std::max(parameters, error(ours.parameters[g], theirs.parameters[g]));
  // Of the same kind as the states' gradients, and far smaller where the chain forgets its input.
  const double largest = comm.max(largest_entry(theirs.adjoint->states()));
  double difference = 0;
  for (Index i = 0; i < ours.input.size(); ++i)
    difference = std::max(difference, std::abs(ours.input[i] - theirs.input[i]));
  verification.errors["input gradient"] = difference / (largest > 0 ? largest : 1);
  return verification;
}

/// The gradients of a dense layer, in its own shape.
std::optional<models::DenseLayer> as_layer(const models::DenseLayer& layer,
                                           const Buffer<Real>& gradient) {
  models::DenseLayer copy(layer.inputs(), layer.outputs(), 0, 0);
  std::copy(gradient.begin(), gradient.end(), copy.parameters().begin());
  return copy;
}

void save(const Setup& setup, const Gradients& g, const Context& context) {
  const Chain& chain = setup.chain;
  const StepRange local = chain.trajectory.local_range();
  const auto head = as_layer(chain.head, g.head);
  std::optional<models::DenseLayer> embedding;
  if (chain.embedding) embedding = as_layer(*chain.embedding, g.embedding);
  storage::Results results;
  results.trajectory = &chain.trajectory;
  results.logits = {g.logits.data(), {chain.trajectory.batch(), chain.head.classes()}};
  results.loss = g.loss.loss;
  results.input_gradient = {g.input.data(), chain.trajectory.input().shape()};
  results.gradients = storage::NetworkParts{setup.config.chain.model, local, g.parameters[0],
                                            embedding ? &*embedding : nullptr, &*head};
  storage::save_results(context, setup.config.files.output, results);
}

}  // namespace

int run_gradient(const boost::program_options::variables_map& options, const Context& context) {
  Setup setup = set_up(options, linear::Passes::forward_and_backward, context);
  const Chain& chain = setup.chain;
  RunReport report;
  report.command = "gradient";
  report.config = setup.config;
  report.ranks = context.comm.size();
  report.forward = run_forward(setup.chain, setup.config, context);
  const nonlinear::Status status = report.forward.report.status;
  if (status == nonlinear::Status::converged || status == nonlinear::Status::fell_back) {
    const auto linear = backward_solver(setup.config.solver);
    const Gradients gradients = differentiate(chain, chain.trajectory, *linear);
    report.gradient = summarise(chain, gradients);
    add_method(linear->report(chain.trajectory.layout()), *report.gradient);
    if (setup.config.solver.verify) report.verification = verify(chain, gradients);
    if (!setup.config.files.output.empty()) save(setup, gradients, context);
  }
  report.peak_bytes_per_rank = context.comm.max(static_cast<Index>(peak_resident_bytes()));
  return finish(report, context);
}

}  // namespace deeppcr::app
