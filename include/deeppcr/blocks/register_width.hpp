#pragma once

#include <type_traits>

#include "deeppcr/blocks/register_product.hpp"

namespace deeppcr::blocks {

/// body(std::integral_constant<int, n>) for a width whose sums fit: powers of two up to 64 with
/// AVX-512, 32 with AVX, 16 else. For others, otherwise(). Both return the same type.
template <typename Body, typename Otherwise>
auto with_register_width(int n, Body&& body, Otherwise&& otherwise) {
  const auto attempt = [&](auto width) {
    if constexpr (RegisterProduct<width(), false>::kFits) {
      return body(width);
    } else {
      return otherwise();
    }
  };
  switch (n) {
    case 2:
      return attempt(std::integral_constant<int, 2>{});
    case 4:
      return attempt(std::integral_constant<int, 4>{});
    case 8:
      return attempt(std::integral_constant<int, 8>{});
    case 16:
      return attempt(std::integral_constant<int, 16>{});
    case 32:
      return attempt(std::integral_constant<int, 32>{});
    case 64:
      return attempt(std::integral_constant<int, 64>{});
    default:
      return otherwise();
  }
}

}  // namespace deeppcr::blocks
