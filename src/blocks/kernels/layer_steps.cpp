#include "blocks/kernels/sigma.hpp"
#include "blocks/kernels/sums.hpp"
#include "deeppcr/blocks/activation.hpp"
#include "deeppcr/core/work.hpp"

namespace deeppcr::blocks {

namespace {

using V = simd::Widest<Real>;
constexpr int kLanes = simd::kWidest<Real>;

/// So many reals ahead of the columns in use are asked for where parameters come from memory: the
/// hardware's own look ahead falls behind where there is more to do than a product. Of 1 to 64 KiB,
/// about as fast from 4 on (Zen 5, November 2026); with the parameters in a cache it costs.
constexpr Index kAhead = 1024;

template <int kVectors, typename Sigma, bool kSkip, bool kFar>
struct Kernel {
  static constexpr int n = kVectors * kLanes, kSets = sets_for(kVectors);
  static constexpr Index kBias = Index{n} * n, kParameters = kBias + n;

  /// y = start + W x
  template <bool kAsks>
  static void product(const Real* W, const Real* x, const Real* start, V (&y)[1][kVectors]) {
    sums<Real, V, kVectors, 1, kSets, kAsks>(
        {n, n - kLanes, W, n, x, n, start, 0, nullptr, 0, kAhead}, y);
  }

  /// Both products, of which the matrix is read once where registers have room for the sums; where
  /// it is so short that the first one is waited for, the second one is computed meanwhile.
  static void both(const Real* theta, const Real* z, const Real* tangent, V (&a)[1][kVectors],
                   V (&image)[1][kVectors]) {
    constexpr bool kTogether = kVectors > 2 && 2 * kSets * kVectors <= simd::kRegisters * 3 / 4;
    if constexpr (kTogether) {
      alignas(64) Real x[2 * n], start[2 * n] = {};
      std::copy_n(z, n, x);
      std::copy_n(tangent, n, x + n);
      std::copy_n(theta + kBias, n, start);
      V y[2][kVectors];
      sums<Real, V, kVectors, 2, kSets, kFar>(
          {n, n - kLanes, theta, n, x, n, start, n, nullptr, 0, kAhead}, y);
      std::copy_n(y[0], kVectors, a[0]);
      std::copy_n(y[1], kVectors, image[0]);
    } else {
      product<kFar>(theta, z, theta + kBias, a);
      product<false>(theta, tangent, nullptr, image);
    }
  }

  // Flatten: GCC would leave the product out of line, and its sums would go through memory.
  template <bool kTangent>
  [[gnu::flatten]] static void run(const LayerSteps& s) {
    const Real *theta = s.theta, *z = s.z;
    Real* y = s.states;
    count(s.steps, kTangent ? 2 : 1);
    for (Index i = 0; i < s.steps; ++i, theta += kParameters, z = y, y += n) {
      V a[1][kVectors], image[1][kVectors];
      if constexpr (kTangent) {
        both(theta, z, s.tangent, a, image);
      } else {
        product<kFar>(theta, z, theta + kBias, a);
      }
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        // y = sigma(a) or z + h sigma(a), and the tangent likewise with sigma' W tangent
        V kept = {};
        const V value = Sigma::value(a[0][v], kept);
        simd::store(next(z + v * kLanes, s.scale, value), y + v * kLanes);
        if constexpr (kTangent) {
          Real* t = s.tangent + v * kLanes;
          simd::store(next(t, s.scale, Sigma::slope(a[0][v], value, kept) * image[0][v]), t);
        }
      }
    }
  }

  static void count(Index steps, Index vectors) {
    if constexpr (kCountsWork)
      for (Index i = 0; i < steps; ++i) count_product(n, n, vectors);
    Sigma::kExact ? count_elements(steps * n) : count_functions(steps * n);
  }

  static V next(const Real* before, Real scale, const V& layer) {
    if constexpr (!kSkip) return layer;
    return simd::load<V>(before) + scale * layer;
  }
};

}  // namespace

LayerStepsKernels layer_steps(int width, Activation activation, bool skip, bool far) {
  LayerStepsKernels chosen;
  const auto choose = [&](auto vectors, auto skips, auto comes_far) {
    if (width != vectors() * kLanes || skip != skips() || far != comes_far()) return;
    sigma::with(activation, [&](auto sigma) {
      using Chosen = Kernel<vectors(), decltype(sigma), skips(), comes_far()>;
      chosen = {Chosen::template run<false>, Chosen::template run<true>};
    });
  };
  const auto of_width = [&](auto vectors) {
    choose(vectors, std::false_type{}, std::false_type{});
    choose(vectors, std::false_type{}, std::true_type{});
    choose(vectors, std::true_type{}, std::false_type{});
    choose(vectors, std::true_type{}, std::true_type{});
  };
  of_width(std::integral_constant<int, 1>{});
  of_width(std::integral_constant<int, 2>{});
  of_width(std::integral_constant<int, 4>{});
  of_width(std::integral_constant<int, 8>{});
  return chosen;
}

}  // namespace deeppcr::blocks
