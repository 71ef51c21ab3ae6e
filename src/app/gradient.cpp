#include <algorithm>
#include <cmath>

#include "app/files.hpp"
#include "app/interrupts.hpp"
#include "app/run_commands.hpp"
#include "app/solve.hpp"
#include "deeppcr/linear/catalogue.hpp"
#include "deeppcr/nonlinear/adjoint.hpp"
#include "deeppcr/nonlinear/newton.hpp"

namespace deeppcr::app {
namespace {

/// The loss at a trajectory and all its gradients.
struct Gradients {
  models::LossReport loss;
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

Gradients differentiate(const Chain& chain, const sequence::Trajectory& at,
                        linear::LinearSolver& linear) {
  const bool no_steps = at.layout().num_steps() == 0;
  const std::array<Index, 2> state{at.batch(), at.width()};
  Gradients g;
  Buffer<Real> of_states;
  std::array<Index, 3> shape = differentiate_loss(chain, at, g, of_states);
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
  summary.adjoint = g.report;
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

void write(io::hdf5::File& file, const Chain& chain, const RunConfig& config, const Gradients& g) {
  io::write_last_state(file, chain.trajectory);
  const Index B = chain.trajectory.batch(), n = chain.trajectory.width();
  models::DenseLayer* head = chain.loss->head();
  if (head != nullptr) {
    const Buffer<Real> z = last_state(chain.trajectory);
    Buffer<Real> logits(B * head->outputs());
    head->forward({z.data(), {B, n}}, {logits.data(), {B, head->outputs()}});
    file.write<Real>("/logits", {B, head->outputs()}, logits.data(),
                     {"output of the head", {"sample", "class"}});
  }
  file.write<double>("/loss", {}, &g.loss.loss, {"loss of the batch", {}});
  file.write<Real>("/input_gradient", {B, n}, g.input.data(),
                   {"gradient of the loss by the input z_0 of the chain", {"sample", "component"}});
  const StepSet local(chain.trajectory.local_range());
  const auto groups = chain.sequence->parameters();
  for (int k = 0; k < g.parameters.groups(); ++k) {
    const sequence::ParameterGroup& group = groups[static_cast<std::size_t>(k)];
    if (group.name == kLayers) {
      const FileLayers layers(config.chain.model, g.parameters[k]);
      io::write_layers(file, "/gradients", layers.shape, local, layers.view(),
                       "gradient of the loss by the parameters of the chain");
      continue;
    }
    const bool first = chain.trajectory.comm().is_root();
    const StepSet own = group.shared ? StepSet(0, first ? 1 : 0) : local;
    const View<const Real, 2> rows = g.parameters[k];
    file.write_rows<Real>("/gradients/" + group.name, {group.rows, rows.extent(1)},
                          {{own, rows.data()}},
                          {"gradient of the loss by " + group.content, {"row", "number"}});
  }
  if (chain.embedding) {
    io::write_dense_layer(file, "/gradients/embedding",
                          {g.embedding.data(), chain.embedding->rows().shape()},
                          "gradient of the loss by the embedding");
  }
  if (head != nullptr) {
    io::write_dense_layer(file, "/gradients/head", g.of_loss[0],
                          "gradient of the loss by the head");
  }
}

void save(const Chain& chain, const RunConfig& config, const Gradients& g,
          const cli::Context& context) {
  const UndisturbedWriting undisturbed;
  io::write_file(context.comm, config.files.output, file_format::kResults, provenance(context),
                 [&](io::hdf5::File& file) { write(file, chain, config, g); });
}

}  // namespace

int run_gradient(const OptionValues& options, const cli::Context& context) {
  RunConfig config = read_run_config(options, linear::Passes::forward_and_backward);
  Chain chain = set_up(context, config);
  ChainReport report;
  report.run = run_forward(chain, config, context);
  if (report.run.solved()) {
    const auto linear = backward_solver(config.solver);
    const Gradients gradients = differentiate(chain, chain.trajectory, *linear);
    report.gradient = summarise(chain, gradients);
    report.gradient->outcome = linear->report(chain.trajectory.layout());
    if (!config.files.output.empty()) save(chain, config, gradients, context);
    if (config.solver.verify) report.verification = verify(chain, gradients);
  }
  return print(context, "gradient", config, report);
}

}  // namespace deeppcr::app
