#pragma once

#include <torch/script.h>

#include <cstdint>
#include <vector>

#include "models/torch/plugin_module.hpp"

namespace deeppcr::torch_plugin {

/// A step that was evaluated with what autograd needs to go back through it.
struct TapedStep {
  at::Tensor z, y;                  ///< [R, n]
  std::vector<at::Tensor> weights;  ///< [group], as it was evaluated with
};

/// Where gradients go: rows of each group, the first that is meant, and the state's [R, n]; null
/// ones are not wanted.
struct GradientPlaces {
  double* const* rows;
  std::int64_t first_row;
  double* by_state;
};

/// (dy / dweights)^T g and (dy / dz)^T g. Rows of steps are assigned, shared ones added to.
void differentiate(const Module& module, const TapedStep& step, const at::Tensor& g,
                   const GradientPlaces& places, bool keeps_graph);

/// Steps after each other, kept for their gradients. The module must outlive it.
struct Tape {
  const Module* module = nullptr;
  std::vector<TapedStep> steps;
};

}  // namespace deeppcr::torch_plugin
