#include "models/sampler_noise.hpp"

#include "deeppcr/core/random.hpp"

namespace deeppcr::models {

namespace {

constexpr std::uint64_t kStartStream = 0x5354415254;
constexpr std::uint64_t kFreshStream = 0x4652455348;

}  // namespace

void draw_start(std::uint64_t seed, Index sample, Index n, Real* out) {
  RandomStream(seed, kStartStream).normal(sample * n, n, out);
}

Buffer<Real> draw_noise(std::uint64_t seed, const std::vector<double>& factors, Index batch,
                        Index n) {
  const auto L = static_cast<Index>(factors.size());
  Buffer<Real> noise(L * batch * n);
  const RandomStream random(seed, kFreshStream);
  for (Index l = 0; l < L; ++l) {
    for (Index b = 0; b < batch; ++b) {
      Real* xi = noise.data() + (l * batch + b) * n;
      random.normal((b * L + l) * n, n, xi);
      for (Index i = 0; i < n; ++i) xi[i] *= factors[static_cast<std::size_t>(l)];
    }
  }
  return noise;
}

}  // namespace deeppcr::models
