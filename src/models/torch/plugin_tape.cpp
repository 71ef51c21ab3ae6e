#include "models/torch/plugin_tape.hpp"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include "models/torch/plugin_derivatives.hpp"

namespace deeppcr::torch_plugin {

void differentiate(const Module& module, const TapedStep& step, const at::Tensor& g,
                   const GradientPlaces& places, bool keeps_graph) {
  std::vector<at::Tensor> wanted;
  if (places.rows != nullptr) wanted = step.weights;
  const std::size_t groups = wanted.size();
  if (places.by_state != nullptr) wanted.push_back(step.z);
  std::vector<at::Tensor> found(wanted.size());
  if (step.y.requires_grad() && !wanted.empty())
    found = torch::autograd::grad({step.y}, wanted, {g}, keeps_graph, /*create_graph=*/false,
                                  /*allow_unused=*/true);
  for (std::size_t k = 0; k < groups; ++k) {
    const Weight& weight = module.weights()[k];
    const std::int64_t row = weight.shared ? 0 : places.first_row;
    const at::Tensor into = borrow(places.rows[k] + row * weight.row_size(), wanted[k].sizes());
    if (!weight.shared) into.zero_();
    if (found[k].defined()) into.add_(found[k]);
  }
  if (places.by_state == nullptr) return;
  const at::Tensor into = borrow(places.by_state, step.z.sizes());
  if (found.back().defined()) {
    into.copy_(found.back());
  } else {
    into.zero_();
  }
}

}  // namespace deeppcr::torch_plugin
