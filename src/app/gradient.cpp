#include <algorithm>
#include <cmath>

#include "app/files.hpp"
#include "app/interrupts.hpp"
#include "app/over_time.hpp"
#include "app/run_commands.hpp"
#include "app/solve.hpp"
#include "deeppcr/models/losses.hpp"
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
  const bool owns = L > 0 && trajectory.local_steps().contains(L - 1);
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
  data.local = at.local_steps();
  data.states = at.states();
  data.samples = at.batch();
  data.labels = chain.labels;
  const bool no_steps = at.layout().num_steps() == 0;
  if (!no_steps && !chain.lengths.empty()) {
    data.lengths = chain.lengths.data();
    // the mean is over the samples that it judges
    const auto judged = std::count_if(chain.lengths.begin(), chain.lengths.end(),
                                      [&](Index length) { return chain.loss->judges(length); });
    data.weight = static_cast<Real>(data.samples) / static_cast<Real>(std::max<Index>(1, judged));
  }
  if (chain.signals && chain.loss->takes_targets()) data.targets = targets_of(*chain.signals);
  if (no_steps && at.comm().is_root()) {
    data.local = StepRange{0, 1};
    data.states = {at.input().data(), {1, at.batch(), at.width()}};
  }
  return data;
}

/// Whether every rank has the whole: what is summed over ranks would count several times.
bool on_every_rank(const sequence::Trajectory& at) {
  return at.comm().size() > 1 && at.layout().is_replicated() && at.layout().num_steps() > 0;
}

/// The loss, its gradients by parameters of its own on every rank, and by the rows of states from
/// the first that it reads: into `gradient`, whose shape is returned. Collective.
std::array<Index, 3> differentiate_loss(const Chain& chain, const sequence::Trajectory& at,
                                        Gradients& g, Buffer<Real>& gradient) {
  models::LossData data = loss_data(chain, at);
  Buffer<Real> sums(chain.loss->num_sums(data.samples));
  chain.loss->add_sums(data, sums.data());
  if (!on_every_rank(at)) at.comm().sum(sums.data(), sums.size());
  data.sums = sums.data();
  const std::array<Index, 3> shape{chain.loss->rows(data.local), at.batch(), at.width()};
  gradient.reset(shape[0] * shape[1] * shape[2]);
  g.of_loss = sequence::ParameterGradients(chain.loss->parameters());
  models::LossGradients into{{gradient.data(), shape}, {}};
  for (int k = 0; k < g.of_loss.groups(); ++k) into.parameters.push_back(g.of_loss[k]);
  if (shape[0] > 0) g.loss = chain.loss->evaluate(data, &into);
  if (on_every_rank(at)) return shape;
  g.loss.loss = at.comm().sum(g.loss.loss);
  g.loss.correct = at.comm().sum(g.loss.correct);
  g.loss.counted = at.comm().sum(g.loss.counted);
  for (const View<Real, 2>& rows : into.parameters) at.comm().sum(rows.data(), rows.size());
  return shape;
}

Gradients differentiate(const Chain& chain, const sequence::Trajectory& at,
                        std::unique_ptr<nonlinear::Backward> backward) {
  const bool no_steps = at.layout().num_steps() == 0;
  const std::array<Index, 2> state{at.batch(), at.width()};
  Gradients g;
  Buffer<Real> of_states;
  std::array<Index, 3> shape = differentiate_loss(chain, at, g, of_states);
  if (no_steps) shape[0] = 0;
  g.parameters = sequence::ParameterGradients(chain.sequence->parameters());
  g.adjoint = std::make_unique<nonlinear::Adjoint>(*chain.sequence, at, std::move(backward));
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

/// Of all groups over all ranks; rows that all have count once. Collective.
double square_sum(const sequence::Trajectory& at, const sequence::ParameterGradients& gradients) {
  double sum = 0;
  for (int g = 0; g < gradients.groups(); ++g) {
    const bool everywhere = gradients.shared(g) || on_every_rank(at);
    if (!everywhere || at.comm().is_root()) sum += square_sum(gradients[g]);
  }
  return at.comm().sum(sum);
}

GradientSummary summarise(const Chain& chain, const Gradients& g) {
  GradientSummary summary;
  summary.loss = g.loss.loss;
  summary.accuracy = chain.loss->classes() > 0
                         ? static_cast<double>(g.loss.correct) /
                               static_cast<double>(std::max<Index>(g.loss.counted, 1))
                         : std::nan("");
  summary.norms["input"] = std::sqrt(square_sum(g.input));
  const auto groups = chain.loss->parameters();
  for (int k = 0; k < g.of_loss.groups(); ++k) {
    const std::string& name = groups[static_cast<std::size_t>(k)].name;
    summary.norms[name] = std::sqrt(square_sum(g.of_loss[k]));
  }
  summary.norms["parameters"] = std::sqrt(square_sum(chain.trajectory, g.parameters));
  if (chain.embedding) summary.norms["embedding"] = std::sqrt(square_sum(g.embedding));
  summary.adjoint = g.report;
  return summary;
}

std::unique_ptr<nonlinear::Backward> make_backward(const SolverConfig& solver) {
  const OptionValues& own = solver.settings.own;
  nonlinear::BackwardSettings settings;
  settings.linear.chunks = own.has("chunks") ? own.whole("chunks") : 0;
  settings.linear.rtol = solver.settings.tolerance.rtol;
  settings.micro_batches = own.has("micro-batches") ? own.whole("micro-batches") : 0;
  settings.chunk_steps = own.has("chunk-steps") ? own.whole("chunk-steps") : 0;
  return nonlinear::make_backward(solver.backward_solver(), settings);
}

double largest_entry(ConstStates values) {
  double largest = 0;
  for (const Real value : values) largest = std::max(largest, std::abs(value));
  return largest;
}

/// Step after step with the whole batch: on other layouts than contiguous ones a pipeline of one
/// micro-batch.
std::unique_ptr<nonlinear::Backward> sequential_backward(const parallel::BlockLayout& layout) {
  if (layout.is_contiguous()) return nonlinear::make_backward("sequential");
  nonlinear::BackwardSettings settings;
  settings.micro_batches = 1;
  return nonlinear::make_backward("pipeline", settings);
}

/// Compares with the sequential trajectory and the sequential backward pass at it.
Verification verify(const Chain& chain, const Gradients& ours) {
  const parallel::Communicator& comm = chain.trajectory.comm();
  const SequentialRun sequential = run_sequential(chain);
  const Gradients theirs =
      differentiate(chain, sequential.trajectory, sequential_backward(chain.trajectory.layout()));
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
  verification.errors["loss"] =
      std::abs(ours.loss.loss - theirs.loss.loss) / std::max(1.0, std::abs(theirs.loss.loss));
  for (int g = 0; g < ours.of_loss.groups(); ++g)
    verification.errors["head gradient"] = error(ours.of_loss[g], theirs.of_loss[g]);
  return verification;
}

/// Those by the parameters of the chain: cells and layers as weights files hold them. Collective.
void write_gradients(io::hdf5::File& file, const Chain& chain, const RunConfig& config,
                     const Gradients& g) {
  const int rank = chain.trajectory.comm().rank();
  const StepSet local = chain.trajectory.layout().written_steps(rank);
  const auto groups = chain.sequence->parameters();
  if (are_cells(groups)) {
    std::vector<View<const Real, 1>> rows;
    for (int k = 0; k < g.parameters.groups(); ++k) rows.emplace_back(g.parameters[k][0]);
    io::write_cells(file, "/gradients", cells_shape(config.chain.model), rows,
                    "gradient of the loss by the cell");
    return;
  }
  for (int k = 0; k < g.parameters.groups(); ++k) {
    const sequence::ParameterGroup& group = groups[static_cast<std::size_t>(k)];
    if (group.name == kLayers) {
      io::write_layers(file, "/gradients", file_shape(config.chain.model), local, g.parameters[k],
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
}

void write(io::hdf5::File& file, const Chain& chain, const RunConfig& config, const Gradients& g) {
  write_last_state(file, chain);
  const Index B = chain.trajectory.batch(), n = chain.trajectory.width();
  const models::End* head = chain.loss->head();
  if (head != nullptr && !chain.loss->needs_all_steps()) {
    const Buffer<Real> z = last_state(chain.trajectory);
    Buffer<Real> logits(B * head->outputs());
    models::apply_head(*head, chain.sequence->output(), {z.data(), {B, n}},
                       {logits.data(), {B, head->outputs()}});
    file.write<Real>("/logits", {B, head->outputs()}, logits.data(),
                     {"output of the head for the last state", {"sample", "class"}});
  }
  file.write<double>("/loss", {}, &g.loss.loss, {"loss of the batch", {}});
  file.write<Real>("/input_gradient", {B, n}, g.input.data(),
                   {"gradient of the loss by the input z_0 of the chain", {"sample", "component"}});
  write_gradients(file, chain, config, g);
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
  auto backward = make_backward(config.solver);
  require_layout(*backward, chain.trajectory.layout());
  ChainReport report;
  report.weight_bytes = weight_bytes(chain);
  report.run = run_forward(chain, config, context);
  if (report.run.solved()) {
    const Gradients gradients = differentiate(chain, chain.trajectory, std::move(backward));
    report.gradient = summarise(chain, gradients);
    if (!config.files.output.empty()) save(chain, config, gradients, context);
    if (config.solver.verify) report.verification = verify(chain, gradients);
  }
  return print(context, "gradient", config, report);
}

}  // namespace deeppcr::app
