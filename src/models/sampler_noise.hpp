#pragma once

#include <cstdint>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/view.hpp"

namespace deeppcr::models {

/// Noise that sampling starts from, of one sample, by (seed, sample): out [n].
void draw_start(std::uint64_t seed, Index sample, Index n, Real* out);

/// What steps add, c_l xi_l with xi by (seed, sample, step), [L, B, n]; factors c [L].
Buffer<Real> draw_noise(std::uint64_t seed, const std::vector<double>& factors, Index batch,
                        Index n);

}  // namespace deeppcr::models
