#include "deeppcr/core/random.hpp"

#include <cmath>

namespace deeppcr {

namespace {

constexpr double kTwoPi = 6.283185307179586476925286766559;

std::uint64_t join(std::uint32_t high, std::uint32_t low) {
  return (static_cast<std::uint64_t>(high) << 32) | low;
}

/// 53 random bits to [0, 1).
double to_unit(std::uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1.0p-53; }

}  // namespace

std::array<std::uint32_t, 4> RandomStream::draw(std::uint64_t counter) const {
  constexpr std::uint64_t kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;
  constexpr std::uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;
  std::array<std::uint32_t, 4> c{
      static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32),
      static_cast<std::uint32_t>(stream_), static_cast<std::uint32_t>(stream_ >> 32)};
  auto k0 = static_cast<std::uint32_t>(seed_);
  auto k1 = static_cast<std::uint32_t>(seed_ >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = kMultiplier0 * c[0];
    const std::uint64_t p1 = kMultiplier1 * c[2];
    c = {static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<std::uint32_t>(p1),
         static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<std::uint32_t>(p0)};
    k0 += kWeyl0;
    k1 += kWeyl1;
  }
  return c;
}

double RandomStream::uniform(Index i) const {
  const auto c = draw(static_cast<std::uint64_t>(i));
  return to_unit(join(c[0], c[1]));
}

double RandomStream::normal(Index i) const {
  const auto c = draw(static_cast<std::uint64_t>(i));
  const double radius = std::sqrt(-2.0 * std::log(1.0 - to_unit(join(c[0], c[1]))));
  return radius * std::cos(kTwoPi * to_unit(join(c[2], c[3])));
}

Index RandomStream::integer(Index i, Index bound) const {
  const auto scaled = static_cast<Index>(uniform(i) * static_cast<double>(bound));
  return scaled < bound ? scaled : bound - 1;
}

void RandomStream::uniform(Index first, Index count, double* out) const {
  for (Index i = 0; i < count; ++i) out[i] = uniform(first + i);
}

void RandomStream::normal(Index first, Index count, double* out) const {
  for (Index i = 0; i < count; ++i) out[i] = normal(first + i);
}

}  // namespace deeppcr
