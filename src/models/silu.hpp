#pragma once

#include "deeppcr/core/types.hpp"

namespace deeppcr::models {

/// h[i] += silu(a[i]), silu(a) = a / (1 + exp(-a)), for whole vectors of float or double. a and h
/// do not overlap.
template <typename T>
void add_silu(Index count, const T* a, T* h);

/// h[i] += silu(a[i]), slope[i] = silu'(a[i]). The arrays do not overlap.
template <typename T>
void add_silu_with_slope(Index count, const T* a, T* h, T* slope);

extern template void add_silu(Index count, const float* a, float* h);
extern template void add_silu(Index count, const double* a, double* h);
extern template void add_silu_with_slope(Index count, const float* a, float* h, float* slope);
extern template void add_silu_with_slope(Index count, const double* a, double* h, double* slope);

}  // namespace deeppcr::models
