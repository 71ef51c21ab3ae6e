#include "training_step.hpp"

#include <algorithm>
#include <utility>

namespace deeppcr::bench {

namespace {

/// What stands before the separator and behind it.
std::pair<std::string, std::string> cut(const std::string& words, char separator) {
  const std::size_t at = words.find(separator);
  if (at == std::string::npos) return {words, ""};
  return {words.substr(0, at), words.substr(at + 1)};
}

}  // namespace

Method make_method(const std::string& words) {
  const auto [forward, backward] = cut(words, '/');
  const auto [name, linear] = cut(forward, '+');
  const nonlinear::CatalogueEntry& entry = nonlinear::find(name);
  nonlinear::Settings settings;
  settings.own = OptionValues(entry.options);
  if (!linear.empty()) settings.own.set("linear", linear);
  return {entry.make(settings), backward.empty() ? entry.backward_for(settings.own) : backward};
}

TrainingStep::TrainingStep(const parallel::Communicator& comm, const models::ModelOptions& options,
                           Index batch, const std::string& words)
    : method_(make_method(words)),
      network_(comm, method_.solver->layout({options.steps, batch, options.width, comm.size()}),
               options, batch),
      loss_(batch * options.width),
      gradients_(network_.model->parameters()),
      adjoint_(*network_.model, network_.trajectory, nonlinear::make_backward(method_.backward)),
      optimiser_(comm, {"sgd", {}, 0}, groups()) {}

std::vector<train::ParameterGroup> TrainingStep::groups() const {
  std::vector<train::ParameterGroup> groups;
  for (const sequence::ParameterGroup& group : network_.model->parameters()) {
    train::StoredArray array;
    array.row_size = group.row_size();
    array.own = {0, group.values.extent(0)};
    array.values = group.values.data();
    array.shared = group.shared;
    groups.push_back({array, gradients_[static_cast<int>(groups.size())].data()});
  }
  return groups;
}

void TrainingStep::run() {
  constexpr double kRate = 1e-3;
  sequence::Trajectory& trajectory = network_.trajectory;
  trajectory.fill_with_input();
  report_ = method_.solver->solve(*network_.model, trajectory);
  const ConstStates z = trajectory.states();
  const bool has_loss = trajectory.local_steps().contains(trajectory.layout().num_steps() - 1);
  if (has_loss) std::copy(z.end() - loss_.size(), z.end(), loss_.begin());
  adjoint_.solve({loss_.data(), {has_loss ? 1 : 0, z.extent(1), z.extent(2)}}, &gradients_);
  norm_ = optimiser_.update(kRate);
}

}  // namespace deeppcr::bench
