// The catalogue's recurrent cells: a CellShape each.
#include "models/recurrent_models.hpp"

#include "models/recurrent_chain.hpp"

namespace deeppcr::models {

namespace {

std::vector<OptionSpec> stack_options() {
  return {whole_option("layers", 1, 1, 100, "cells on top of each other"),
          whole_option("features", 0, 0, 1 << 15,
                       "numbers in an input; 0: as many as the data or the weights have, n for "
                       "random inputs")};
}

CellShape shape_of(CellKind kind, const ModelOptions& options) {
  CellShape shape;
  shape.kind = kind;
  shape.layers = static_cast<int>(options.own.whole("layers"));
  shape.features = static_cast<int>(options.own.whole("features"));
  shape.units = options.width;
  if (shape.features == 0) shape.features = shape.units;
  if (kind == CellKind::rnn)
    shape.activation = blocks::activation_from(options.own.word("activation"));
  if (kind == CellKind::gru) {
    shape.activation = blocks::activation_from(options.own.word("candidate"));
    shape.reset_before = options.own.word("reset") == "before";
  }
  return shape;
}

StepCost cost_of(const CellShape& shape) {
  StepCost cost;
  cost.layers = shape.layers;
  cost.shared_parameters = static_cast<double>(shape.all_parameters());
  cost.flops = 2 * cost.shared_parameters;
  cost.structure = shape.structure();
  return cost;
}

CatalogueEntry entry_of(CellKind kind, const char* name, const char* help) {
  CatalogueEntry entry;
  entry.name = name;
  entry.help = help;
  entry.options = stack_options();
  entry.make = [kind](const ModelOptions& options, const StepSet& local) {
    return std::make_unique<RecurrentChain>(shape_of(kind, options), options.steps, local,
                                            options.seed);
  };
  entry.state_width = [kind](const ModelOptions& options) {
    return shape_of(kind, options).state_width();
  };
  entry.input_width = [kind](const ModelOptions& options) {
    return shape_of(kind, options).features;
  };
  entry.cells = true;
  entry.cost = [kind](const ModelOptions& options) { return cost_of(shape_of(kind, options)); };
  return entry;
}

}  // namespace

CatalogueEntry rnn_entry() {
  CatalogueEntry entry = entry_of(CellKind::rnn, "rnn", "recurrent cell: sigma(W x + U h + b)");
  entry.options.push_back(
      word_option("activation", "tanh", {"tanh", "relu"}, "of the new state: tanh, relu"));
  return entry;
}

CatalogueEntry gru_entry() {
  CatalogueEntry entry = entry_of(CellKind::gru, "gru", "gated recurrent unit");
  entry.options.push_back(word_option("candidate", "tanh",
                                      {"identity", "tanh", "relu", "silu", "gelu", "sigmoid"},
                                      "activation of the candidate state: identity, tanh, relu, "
                                      "silu, gelu, sigmoid"));
  entry.options.push_back(word_option("reset", "after", {"after", "before"},
                                      "behind the recurrent product (PyTorch, cuDNN) or in front "
                                      "of it (Cho et al.)"));
  return entry;
}

CatalogueEntry lstm_entry() { return entry_of(CellKind::lstm, "lstm", "long short-term memory"); }

CatalogueEntry para_gru_entry() {
  return entry_of(CellKind::para_gru, "para-gru",
                  "gated recurrent unit with diagonal recurrent weights");
}

CatalogueEntry para_lstm_entry() {
  return entry_of(CellKind::para_lstm, "para-lstm",
                  "long short-term memory with peepholes and diagonal recurrent weights");
}

}  // namespace deeppcr::models
