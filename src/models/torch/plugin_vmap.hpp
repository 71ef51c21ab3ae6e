#pragma once

#include <ATen/ATen.h>

#include <cstdint>

namespace deeppcr::torch_plugin {

/// A level of vmap, as long as it lives: calls on tensors with a first dimension that stands for
/// steps are those of each step, all at once.
///
/// Source: functorch, which PyTorch holds from 1.13 on.
class VmapLevel {
 public:
  explicit VmapLevel(std::int64_t steps);
  ~VmapLevel();
  VmapLevel(const VmapLevel&) = delete;
  VmapLevel& operator=(const VmapLevel&) = delete;

  /// [m, ..] as what each of m steps has.
  at::Tensor each(const at::Tensor& all) const;
  /// The same back: [m, ..]; a result that all steps share, m times.
  at::Tensor all(const at::Tensor& each) const;

 private:
  std::int64_t steps_, level_;
};

/// As long as it lives, operations that vmap would do one by one are errors.
class WithoutVmapFallback {
 public:
  WithoutVmapFallback();
  ~WithoutVmapFallback();
  WithoutVmapFallback(const WithoutVmapFallback&) = delete;
  WithoutVmapFallback& operator=(const WithoutVmapFallback&) = delete;
};

}  // namespace deeppcr::torch_plugin
