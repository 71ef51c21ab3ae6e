#include "models/torch/plugin_vmap.hpp"

#include <ATen/functorch/BatchedFallback.h>
#include <ATen/functorch/BatchedTensorImpl.h>
#include <ATen/functorch/DynamicLayer.h>

namespace deeppcr::torch_plugin {

namespace functorch = at::functorch;

VmapLevel::VmapLevel(std::int64_t steps)
    : steps_(steps),
      level_(functorch::initAndPushDynamicLayer(functorch::TransformType::Vmap, steps,
                                                functorch::RandomnessType::Error)) {}

VmapLevel::~VmapLevel() { functorch::popDynamicLayerAndDeleteMetadata(); }

at::Tensor VmapLevel::each(const at::Tensor& all) const {
  return functorch::makeBatched(all, 0, level_);
}

at::Tensor VmapLevel::all(const at::Tensor& each) const {
  const auto* batched = functorch::maybeGetBatchedImpl(each);
  if (batched != nullptr) return batched->value().movedim(batched->bdim(), 0);
  std::vector<std::int64_t> sizes = each.sizes().vec();
  sizes.insert(sizes.begin(), steps_);
  return each.unsqueeze(0).expand(sizes);
}

WithoutVmapFallback::WithoutVmapFallback() { functorch::setVmapFallbackEnabled(false); }
WithoutVmapFallback::~WithoutVmapFallback() { functorch::setVmapFallbackEnabled(true); }

}  // namespace deeppcr::torch_plugin
