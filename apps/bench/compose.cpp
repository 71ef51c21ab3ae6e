// Local elimination: [A | r] of m dense maps, against the bare products of their blocks.
#include <vector>

#include "compose_chain.hpp"
#include "deeppcr/blocks/affine_map.hpp"
#include "deeppcr/blocks/dense_linearisation.hpp"
#include "deeppcr/core/random.hpp"
#include "suites.hpp"

namespace deeppcr::bench {
namespace {

constexpr double kShareOfBareLoop = 0.75;
/// Blocks of all steps together, in elements: 8 MiB of doubles.
constexpr Index kElements = Index{1} << 20;

/// V <- A_l V for all l, and nothing else: the products n x n x columns.
template <typename T>
class BareLoop {
 public:
  BareLoop(int width, int columns)
      : width_(width), columns_(columns), product_(width, columns, width) {
    for (Buffer<T>& panel : panels_) panel.reset(Index{width} * columns);
    for (Index i = 0; i < std::min(width, columns); ++i) panels_[0][i * width + i] = 1;
  }
  void run(Index m, const T* A) {
    const Index block = Index{width_} * width_;
    T *from = panels_[0].data(), *to = panels_[1].data();
    for (Index l = 0; l < m; ++l, std::swap(from, to)) product_(A + l * block, from, to);
  }
  double flops(Index m) const { return 2.0 * width_ * width_ * columns_ * static_cast<double>(m); }

 private:
  int width_, columns_;
  Gemm<T> product_;
  Buffer<T> panels_[2];
};

/// Random reflections and right-hand sides, in the precision wanted: products of reflections
/// neither vanish nor grow.
template <typename T>
struct Maps {
  Maps(Index m, int n) : A(m * n * n), r(m * n) {
    std::vector<double> v(static_cast<std::size_t>(n));
    for (Index l = 0; l < m; ++l) {
      // A = I - 2 v v^T / v^T v
      double square = 0;
      for (int i = 0; i < n; ++i) {
        v[static_cast<std::size_t>(i)] = RandomStream(3, 1).normal(l * n + i);
        square += v[static_cast<std::size_t>(i)] * v[static_cast<std::size_t>(i)];
      }
      T* block = A.data() + l * n * n;
      for (int j = 0; j < n; ++j)
        for (int i = 0; i < n; ++i)
          block[j * n + i] = static_cast<T>((i == j) - 2 * v[static_cast<std::size_t>(i)] *
                                                           v[static_cast<std::size_t>(j)] / square);
    }
    for (Index i = 0; i < r.size(); ++i) r[i] = static_cast<T>(RandomStream(3, 2).normal(i));
  }
  Buffer<T> A, r;
};

/// Rates are compared, not times: the bare loops with n columns do a little less work.
void add_rows(Harness& harness, Row row, const std::vector<Contender>& contenders,
              const std::vector<double>& flops) {
  const std::vector<Seconds> seconds = harness.race(contenders);
  row.seconds = seconds[0];
  row.gflops = 1e-9 * flops[0] / seconds[0].median;
  for (std::size_t c = 1; c < contenders.size(); ++c) {
    row.compare(contenders[c].method, seconds[c]);
    row.speedup *= flops[0] / flops[c];
    row.demand(kShareOfBareLoop);
    harness.add(row);
  }
}

template <typename T>
std::vector<Contender> bare_loops(BareLoop<T>& square, BareLoop<T>& panel, Index m, const T* A) {
  const std::string library = gemm_library();
  return {{"loop of n x n x n, " + library, 1, [&square, m, A] { square.run(m, A); }},
          {"loop of n x (n+1) x n, " + library, 1, [&panel, m, A] { panel.run(m, A); }}};
}

void add_double(Harness& harness, Index m, int n) {
  const Maps<double> maps(m, n);
  blocks::DenseLinearisation A({0, m}, 1, n);
  std::copy(maps.A.begin(), maps.A.end(), A.storage().begin());
  blocks::AffineMap map(1, n), scratch(1, n);
  BareLoop<double> square(n, n), panel(n, n + 1);
  const ConstStates r(maps.r.data(), {m, 1, n});
  std::vector<Contender> contenders{
      {"hybrid's elimination", 1, [&] {
         blocks::set_identity(map.panel());
         A.eliminate({0, m}, Direction::forward, r, map.panel(), scratch.panel());
       }}};
  for (Contender& loop : bare_loops(square, panel, m, maps.A.data())) contenders.push_back(loop);
  Row row{"compose", "m dense maps", contenders[0].method, 1, m, n};
  add_rows(harness, row, contenders, {panel.flops(m), square.flops(m), panel.flops(m)});
}

void add_single(Harness& harness, Index m, int n) {
  const Maps<float> maps(m, n);
  ComposeChain<float> compose(n);
  BareLoop<float> square(n, n), panel(n, n + 1);
  std::vector<Contender> contenders{
      {"compose_chain", 1, [&] { compose(m, maps.A.data(), maps.r.data()); }}};
  for (Contender& loop : bare_loops(square, panel, m, maps.A.data())) contenders.push_back(loop);
  Row row{"compose", "m dense maps", contenders[0].method, 1, m, n};
  row.precision = "single";
  add_rows(harness, row, contenders, {panel.flops(m), square.flops(m), panel.flops(m)});
}

}  // namespace

void run_compose(Harness& harness) {
  for (const int n : harness.widths_or({8, 16, 32, 64})) {
    for (const Index m : harness.steps_or({kElements / (Index{n} * n)})) {
      add_double(harness, m, n);
      add_single(harness, m, n);
    }
  }
}

}  // namespace deeppcr::bench
