#pragma once

#include <string>
#include <vector>

#include "deeppcr/io/safetensors.hpp"

namespace deeppcr::io {

/// Where each tensor stands in the layout of weights files, in their order: "/layers/0/weight".
///
/// Names of that layout, with '.' or '/' between, stand for themselves. Those of a state_dict are
/// put in order by their numbers:
///   0.weight, 2.weight, ..              layers, whose numbers go up evenly
///   blocks.0.fc1.weight, ..             two numbers: blocks, and the layers of each
///   the one layer [n, f], [c, n]        embedding, head; with numbers at the chain's ends
///   rnn.weight_ih_l0, weight_ih, ..     nn.RNN, nn.GRU, nn.LSTM and their cells, one above another
/// Tensors have no order of their own in such a file, so what names and sizes leave open is
/// refused.
///
/// @throws Error (this rank) that names the tensor
std::vector<std::string> dataset_names(const std::string& path, const std::vector<Tensor>& tensors);

}  // namespace deeppcr::io
