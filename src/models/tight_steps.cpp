#include "models/tight_steps.hpp"

#include "deeppcr/blocks/register_product.hpp"
#include "deeppcr/blocks/register_width.hpp"
#include "models/sigma.hpp"

namespace deeppcr::models {

namespace {

/// The first product of so short a block is waited for, and the tangent's is computed meanwhile:
/// together they would delay each other. Longer ones are read once where the sums of both fit.
constexpr int kShort = 16;

template <int n, typename Sigma, bool kSkip, bool kAsks>
struct Kernel {
  using Product = blocks::RegisterProduct<n, kAsks>;
  using Vector = simd::Widest;
  static constexpr int kVectors = Product::kVectors, kLanes = simd::kLanes<Vector>;
  static constexpr Index kBias = Index{n} * n, kParameters = kBias + n;
  static constexpr bool kTogether = Product::kBothFit && n > kShort;

  /// What a layer has computed.
  struct Layer {
    Vector a[kVectors], value[kVectors], kept[kVectors] = {};
    Vector slope(int v) const { return Sigma::slope(a[v], value[v], kept[v]); }
  };

  // y = sigma(a) or z + h sigma(a)
  static void finish(Layer& layer, const TightSteps& s, const Real* z, Real* y) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      layer.value[v] = Sigma::value(layer.a[v], layer.kept[v]);
      Vector out = layer.value[v];
      if constexpr (kSkip) out = simd::load<Vector>(z + v * kLanes) + s.scale * out;
      simd::store(out, y + v * kLanes);
    }
  }

  // Flatten: GCC would leave the product out of line, and its sums would go through memory.
  [[gnu::flatten]] static void run(const TightSteps& s) {
    const Real *theta = s.theta, *z = s.z;
    Real* y = s.states;
    for (Index i = 0; i < s.steps; ++i, theta += kParameters, z = y, y += n) {
      Layer layer;
      Product::add(theta, z, theta + kBias, layer.a);
      finish(layer, s, z, y);
    }
  }

  [[gnu::flatten]] static void run_with_tangent(const TightSteps& s, Real* tangent) {
    const Real *theta = s.theta, *z = s.z;
    Real* y = s.states;
    for (Index i = 0; i < s.steps; ++i, theta += kParameters, z = y, y += n) {
      Layer layer;
      Vector image[kVectors];
      if constexpr (kTogether) {
        Product::add_both(theta, z, theta + kBias, tangent, layer.a, image);
      } else {
        Product::add(theta, z, theta + kBias, layer.a);
        blocks::RegisterProduct<n, false>::add(theta, tangent, nullptr, image);
      }
      finish(layer, s, z, y);
      // tangent = sigma' W tangent or tangent + h sigma' W tangent
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        Vector out = layer.slope(v) * image[v];
        if constexpr (kSkip) out = simd::load<Vector>(tangent + v * kLanes) + s.scale * out;
        simd::store(out, tangent + v * kLanes);
      }
    }
  }
};

template <bool kAsks>
TightKernels kernels_for(const StepShape& shape) {
  return blocks::with_register_width(
      shape.width,
      [&](auto width) -> TightKernels {
        constexpr int n = width();
        if constexpr (n % simd::kLanes<simd::Widest> != 0) {
          return {};
        } else {
          return sigma::with(shape.activation, [&](auto sigma) -> TightKernels {
            using Plain = Kernel<n, decltype(sigma), false, kAsks>;
            using Skip = Kernel<n, decltype(sigma), true, kAsks>;
            if (shape.skip) return {Skip::run, Skip::run_with_tangent, Skip::kTogether};
            return {Plain::run, Plain::run_with_tangent, Plain::kTogether};
          });
        }
      },
      []() -> TightKernels { return {}; });
}

}  // namespace

TightKernels tight_kernels(const StepShape& shape, blocks::BlocksFrom weights) {
  if (shape.layers > 1 || !shape.bias) return {};
  return weights == blocks::BlocksFrom::memory ? kernels_for<true>(shape)
                                               : kernels_for<false>(shape);
}

}  // namespace deeppcr::models
