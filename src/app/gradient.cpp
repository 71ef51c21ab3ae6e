#include <algorithm>
#include <cmath>

#include "app/interrupts.hpp"
#include "app/run_commands.hpp"
#include "app/run_report.hpp"
#include "app/run_setup.hpp"
#include "app/storage.hpp"
#include "deeppcr/core/profile.hpp"
#include "deeppcr/linear/catalogue.hpp"
#include "deeppcr/nonlinear/adjoint.hpp"
#include "deeppcr/nonlinear/newton.hpp"

namespace deeppcr::app {
namespace {

/// The loss at a trajectory and all its gradients.
struct Gradients {
  models::LossReport loss;
  Buffer<Real> logits;                          ///< [B, classes]; empty without a classifier
  std::unique_ptr<nonlinear::Adjoint> adjoint;  ///< d loss / d z_l
  Buffer<Real> input;                           ///< d loss / d z_0, [B, n], on every rank
  sequence::ParameterGradients parameters;
  sequence::ParameterGradients of_loss;  ///< by the loss's own parameters, on every rank
  Buffer<Real> embedding;                ///< as the embedding's parameters; empty without one
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

/// The states that the loss looks at; the only state of a chain without steps counts as that of
/// one.
models::LossData loss_data(const Chain& chain, const sequence::Trajectory& at) {
  models::LossData data;
  data.local = at.local_range();
  data.states = at.states();
  data.samples = at.batch();
  data.labels = chain.labels;
  if (at.layout().num_steps() == 0 && at.comm().is_root()) {
    data.local = {0, 1};
    data.states = {at.input().data(), {1, at.batch(), at.width()}};
  }
  return data;
}

/// The loss, its gradients by parameters of its own on every rank, and by the rows of states from
/// the first that it reads: into `gradient`, whose shape is returned. Collective.
std::array<Index, 3> differentiate_loss(const Chain& chain, const sequence::Trajectory& at,
                                        Gradients& g, Buffer<Real>& gradient) {
  const models::LossData data = loss_data(chain, at);
  const std::array<Index, 3> shape{chain.loss->span(data.local).size(), at.batch(), at.width()};
  gradient.reset(shape[0] * shape[1] * shape[2]);
  g.of_loss = sequence::ParameterGradients(chain.loss->parameters());
  models::LossGradients into{{gradient.data(), shape}, {}};
  for (int k = 0; k < g.of_loss.groups(); ++k) into.parameters.push_back(g.of_loss[k]);
  if (shape[0] > 0) g.loss = chain.loss->evaluate(data, &into);
  g.loss.loss = at.comm().sum(g.loss.loss);
  g.loss.correct = at.comm().sum(g.loss.correct);
  for (const View<Real, 2>& rows : into.parameters) at.comm().sum(rows.data(), rows.size());
  return shape;
}

/// Of the classifier on the last state, on every rank; nothing where there is none. Collective.
Buffer<Real> logits_of(const Chain& chain, const sequence::Trajectory& at) {
  const models::ClassifierHead* head = chain.loss->head();
  if (head == nullptr) return {};
  const Buffer<Real> z = last_state(at);
  Buffer<Real> logits(at.batch() * head->classes());
  head->forward({z.data(), {at.batch(), at.width()}},
                {logits.data(), {at.batch(), head->classes()}});
  return logits;
}

Gradients differentiate(const Chain& chain, const sequence::Trajectory& at,
                        linear::LinearSolver& linear) {
  const bool no_steps = at.layout().num_steps() == 0;
  const std::array<Index, 2> state{at.batch(), at.width()};
  Gradients g;
  Buffer<Real> of_states;
  std::array<Index, 3> shape = differentiate_loss(chain, at, g, of_states);
  g.logits = logits_of(chain, at);
  if (no_steps) shape[0] = 0;
  g.parameters = sequence::ParameterGradients(chain.sequence->parameters());
  g.adjoint = std::make_unique<nonlinear::Adjoint>(*chain.sequence, at, linear);
  g.adjoint->solve({of_states.data(), shape}, &g.parameters);
  g.adjoint->share_input();
  g.report = g.adjoint->report();
  g.input.reset(state[0] * state[1]);
  std::copy_n(g.adjoint->input().data(), g.input.size(), g.input.data());
  if (no_steps) {  // the loss is a function of z_0 itself
    if (at.comm().is_root()) std::copy(of_states.begin(), of_states.end(), g.input.begin());
    at.comm().broadcast(g.input.data(), g.input.size(), 0);
  }
  if (chain.embedding) {
    g.embedding.reset(chain.embedding->parameters().size());
    chain.embedding->gradient(chain.feature_view(), {g.input.data(), state}, view(g.embedding),
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
  summary.accuracy = chain.loss->classes() > 0 ? static_cast<double>(g.loss.correct) /
                                                     static_cast<double>(chain.labels.size())
                                               : std::nan("");
  summary.norms["input"] = std::sqrt(square_sum(g.input));
  const auto groups = chain.loss->parameters();
  for (int k = 0; k < g.of_loss.groups(); ++k) {
    const std::string& name = groups[static_cast<std::size_t>(k)].name;
    summary.norms[name] = std::sqrt(square_sum(g.of_loss[k]));
  }
  summary.norms["parameters"] = std::sqrt(square_sum(chain.trajectory.comm(), g.parameters));
  if (chain.embedding) summary.norms["embedding"] = std::sqrt(square_sum(g.embedding));
  summary.seconds = g.report.seconds;
  summary.levels = g.report.levels;
  summary.neighbours = g.report.neighbours;
  return summary;
}

std::unique_ptr<linear::LinearSolver> backward_solver(const SolverConfig& solver) {
  const std::string method = solver.backward_solver();
  const OptionValues& own = solver.settings.own;
  linear::Settings settings;
  settings.chunks = own.has("chunks") ? own.whole("chunks") : 0;
  settings.rtol = solver.settings.tolerance.rtol;
  return linear::make(method, settings);
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
template <typename Values>
std::optional<models::DenseLayer> as_layer(const models::DenseLayer& layer,
                                           const Values& gradient) {
  models::DenseLayer copy(layer.inputs(), layer.outputs(), 0, 0);
  std::copy(gradient.begin(), gradient.end(), copy.parameters().begin());
  return copy;
}

void save(const Setup& setup, const Gradients& g, const Context& context) {
  const UndisturbedWriting undisturbed;
  const Chain& chain = setup.chain;
  const StepRange local = chain.trajectory.local_range();
  std::optional<models::DenseLayer> head;
  if (chain.loss->head() != nullptr) head = as_layer(*chain.loss->head(), g.of_loss[0]);
  std::optional<models::DenseLayer> embedding;
  if (chain.embedding) embedding = as_layer(*chain.embedding, g.embedding);
  storage::Results results;
  results.trajectory = &chain.trajectory;
  const Index B = chain.trajectory.batch();
  results.logits = {g.logits.data(), {B, g.logits.size() / B}};
  results.loss = g.loss.loss;
  results.input_gradient = {g.input.data(), chain.trajectory.input().shape()};
  storage::NetworkParts parts{setup.config.chain.model,
                              local,
                              {},
                              embedding ? &*embedding : nullptr,
                              head ? &*head : nullptr};
  const auto groups = chain.sequence->parameters();
  for (int k = 0; k < g.parameters.groups(); ++k) {
    const sequence::ParameterGroup& group = groups[static_cast<std::size_t>(k)];
    if (group.name == storage::kLayers) {
      parts.parameters = g.parameters[k];
      continue;
    }
    const bool first = chain.trajectory.comm().is_root();
    const StepSet own = group.shared ? StepSet(0, first ? 1 : 0) : StepSet(local);
    results.other_gradients.push_back(
        {group.name, group.rows, own, g.parameters[k], group.content});
  }
  results.gradients = parts;
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
    if (!setup.config.files.output.empty()) save(setup, gradients, context);
    if (setup.config.solver.verify) report.verification = verify(chain, gradients);
  }
  report.peak_bytes_per_rank = context.comm.max(static_cast<Index>(peak_resident_bytes()));
  return finish(report, context);
}

}  // namespace deeppcr::app
