#include "deeppcr/blocks/gates.hpp"

#include <algorithm>
#include <cstring>

#include "blocks/kernels/sigma.hpp"
#include "deeppcr/core/work.hpp"

namespace deeppcr::blocks {

namespace {

using V = simd::Widest<Real>;
using sigma::Sigmoid;
using sigma::Tanh;
constexpr int kLanes = simd::kWidest<Real>;

/// A register's worth of the n numbers of a row: from `first` on, `count` of them.
struct Part {
  int first, count;

  V load(const Real* x) const {
    if (count == kLanes) return simd::load<V>(x + first);
    V lanes = {};
    std::memcpy(&lanes, x, static_cast<std::size_t>(count) * sizeof(Real));
    return lanes;
  }
  void store(const V& v, Real* x) const {
    if (count == kLanes) return simd::store(v, x + first);
    std::memcpy(x, &v, static_cast<std::size_t>(count) * sizeof(Real));
  }
};

/// body(part) for all n numbers. A last part that is not whole begins earlier, so that some are
/// computed twice, with the same bits; of rows shorter than a register there is one part.
template <typename Body>
[[gnu::always_inline]] inline void for_parts(int n, Body&& body) {
  for (int i = 0; i < n; i += kLanes)
    body(Part{std::max(0, std::min(i, n - kLanes)), std::min(n, kLanes)});
}

/// body(u, v, state before, state after, slopes) for each row.
template <int kGates, int kRecurrent, int kSlopes, typename Body>
[[gnu::always_inline]] inline void for_rows(const GateRows& rows, Body&& body) {
  const Real *u = rows.u, *v = rows.v, *before = rows.before;
  Real *after = rows.after, *slopes = rows.slopes;
  for (Index row = 0; row < rows.count; ++row) {
    body(u, v, before, after, slopes);
    u += kGates * rows.n;
    v += kRecurrent * rows.n;
    before += rows.stride;
    after += rows.stride;
    slopes += kSlopes * rows.n;
  }
}

V sigmoid(V a) { return Sigmoid::value(a, a); }
V tanh_of(V a) { return Tanh::value(a, a); }
V sigmoid_slope(V value) { return Sigmoid::slope(value, value, value); }
V tanh_slope(V value) { return Tanh::slope(value, value, value); }

/// An activation that the user chooses: sigma(a) and sigma'(a).
template <typename Sigma>
struct Chosen {
  struct Found {
    V value, slope;
  };
  Found operator()(V a) const {
    V kept = a;
    const V value = Sigma::value(a, kept);
    return {value, Sigma::slope(a, value, kept)};
  }
};

/// body(sigma, part, u, v, state before, state after, slopes) for each row and part.
template <int kGates, int kRecurrent, int kSlopes, typename Body>
void for_chosen(Activation activation, const GateRows& rows, Body&& body) {
  const int n = rows.n;
  count_functions(n * rows.count);
  sigma::with(activation, [&](auto chosen) {
    const Chosen<decltype(chosen)> sigma;
    const auto row = [=](const Real* u, const Real* v, const Real* before, Real* after,
                         Real* slopes) {
      for_parts(n, [=](Part part) { body(sigma, part, u, v, before, after, slopes); });
    };
    for_rows<kGates, kRecurrent, kSlopes>(rows, row);
  });
}

}  // namespace

void rnn_gates(Activation activation, const GateRows& rows) {
  const auto body = [](auto sigma, Part part, const Real* u, const Real*, const Real*, Real* after,
                       Real* slopes) {
    const auto h = sigma(part.load(u));
    part.store(h.value, after);
    part.store(h.slope, slopes);
  };
  for_chosen<1, 0, 1>(activation, rows, body);
}

void gru_gates(Activation activation, const GateRows& rows) {
  count_functions(3 * rows.n * rows.count);
  const auto body = [n = rows.n](auto sigma, Part part, const Real* u, const Real* v,
                                 const Real* before, Real* after, Real* slopes) {
    const V r = sigmoid(part.load(u) + part.load(v));
    const V z = sigmoid(part.load(u + n) + part.load(v + n));
    const V v_n = part.load(v + 2 * n), h = part.load(before);
    const auto c = sigma(part.load(u + 2 * n) + r * v_n);
    part.store(c.value + z * (h - c.value), after);
    const V of_n = (1 - z) * c.slope;
    part.store(z, slopes);
    part.store(of_n * v_n * sigmoid_slope(r), slopes + n);
    part.store((h - c.value) * sigmoid_slope(z), slopes + 2 * n);
    part.store(of_n, slopes + 3 * n);
    part.store(of_n * r, slopes + 4 * n);
  };
  for_chosen<3, 3, 5>(activation, rows, body);
}

void gru_reset(const GateRows& rows, Real* reset_state) {
  const int n = rows.n;
  count_functions(2 * n * rows.count);
  for_rows<3, 2, 5>(
      rows, [&](const Real* u, const Real* v, const Real* before, Real*, Real* slopes) {
        for_parts(n, [=](Part part) {
          const V r = sigmoid(part.load(u) + part.load(v));
          const V z = sigmoid(part.load(u + n) + part.load(v + n)), h = part.load(before);
          part.store(r * h, reset_state);
          part.store(z, slopes);
          part.store(r, slopes + n);
          part.store(h * sigmoid_slope(r), slopes + 2 * n);
        });
        reset_state += n;
      });
}

void gru_candidate(Activation activation, const GateRows& rows) {
  count_functions(rows.n * rows.count);
  const auto body = [n = rows.n](auto sigma, Part part, const Real* u, const Real* v,
                                 const Real* before, Real* after, Real* slopes) {
    const V z = part.load(slopes), h = part.load(before);
    const auto c = sigma(part.load(u + 2 * n) + part.load(v));
    part.store(c.value + z * (h - c.value), after);
    part.store((h - c.value) * sigmoid_slope(z), slopes + 3 * n);
    part.store((1 - z) * c.slope, slopes + 4 * n);
  };
  for_chosen<3, 1, 5>(activation, rows, body);
}

void lstm_gates(const GateRows& rows) {
  const int n = rows.n;
  count_functions(5 * n * rows.count);
  for_rows<4, 0, 6>(
      rows, [n](const Real* u, const Real*, const Real* before, Real* after, Real* slopes) {
        for_parts(n, [=](Part part) {
          const V i = sigmoid(part.load(u)), f = sigmoid(part.load(u + n));
          const V g = tanh_of(part.load(u + 2 * n)), o = sigmoid(part.load(u + 3 * n));
          const V c = part.load(before + n), next = f * c + i * g, squashed = tanh_of(next);
          part.store(o * squashed, after);
          part.store(next, after + n);
          part.store(f, slopes);
          part.store(g * sigmoid_slope(i), slopes + n);
          part.store(c * sigmoid_slope(f), slopes + 2 * n);
          part.store(i * tanh_slope(g), slopes + 3 * n);
          part.store(o * tanh_slope(squashed), slopes + 4 * n);
          part.store(squashed * sigmoid_slope(o), slopes + 5 * n);
        });
      });
}

void para_gru_gates(const Real* a, const GateRows& rows) {
  const int n = rows.n;
  count_functions(3 * n * rows.count);
  const auto row = [=](const Real* u, const Real*, const Real* before, Real* after, Real* slopes) {
    for_parts(n, [=](Part part) {
      const V a_z = part.load(a), a_r = part.load(a + n), a_n = part.load(a + 2 * n);
      const V h = part.load(before);
      const V z = sigmoid(part.load(u) + a_z * h), r = sigmoid(part.load(u + n) + a_r * h);
      const V value = tanh_of(part.load(u + 2 * n) + a_n * h * r);
      part.store(h + z * (value - h), after);
      const V of_z = (value - h) * sigmoid_slope(z), of_n = z * tanh_slope(value);
      const V of_r = of_n * a_n * h * sigmoid_slope(r);
      part.store((1 - z) + of_z * a_z + of_n * a_n * r + of_r * a_r, slopes);
      part.store(of_z, slopes + n);
      part.store(of_r, slopes + 2 * n);
      part.store(of_n, slopes + 3 * n);
      part.store(r, slopes + 4 * n);
    });
  };
  for_rows<3, 0, 5>(rows, row);
}

void para_lstm_gates(const Real* a, const GateRows& rows) {
  const int n = rows.n;
  count_functions(5 * n * rows.count);
  const auto row = [=](const Real* u, const Real*, const Real* before, Real* after, Real* slopes) {
    for_parts(n, [=](Part part) {
      const V h = part.load(before), c = part.load(before + n);
      const V p_f = part.load(a + 3 * n), p_o = part.load(a + 4 * n);
      const V f = sigmoid(part.load(u) + part.load(a) * h + p_f * c);
      const V g = tanh_of(part.load(u + n) + part.load(a + n) * h);
      const V next = g + f * (c - g), squashed = tanh_of(next);
      const V o = sigmoid(part.load(u + 2 * n) + part.load(a + 2 * n) * h + p_o * next);
      part.store(o * squashed, after);
      part.store(next, after + n);
      const V of_o = squashed * sigmoid_slope(o);
      part.store(f, slopes);
      part.store((c - g) * sigmoid_slope(f), slopes + n);
      part.store((1 - f) * tanh_slope(g), slopes + 2 * n);
      part.store(o * tanh_slope(squashed) + of_o * p_o, slopes + 3 * n);
      part.store(of_o, slopes + 4 * n);
      part.store(next, slopes + 5 * n);
    });
  };
  for_rows<3, 0, 6>(rows, row);
}

}  // namespace deeppcr::blocks
