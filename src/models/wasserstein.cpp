#include "deeppcr/models/wasserstein.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/random.hpp"

namespace deeppcr::models {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Euclidean distances, [N, N].
Buffer<double> distances(ConstState a, ConstState b) {
  const Index N = a.extent(0), n = a.extent(1);
  Buffer<double> cost(N * N);
  for (Index i = 0; i < N; ++i) {
    for (Index j = 0; j < N; ++j) {
      double square = 0;
      for (Index k = 0; k < n; ++k)
        square += (a.data()[i * n + k] - b.data()[j * n + k]) *
                  (a.data()[i * n + k] - b.data()[j * n + k]);
      cost[i * N + j] = std::sqrt(square);
    }
  }
  return cost;
}

/// Rows are assigned one after another along the shortest augmenting path in reduced costs.
class Assignment {
 public:
  explicit Assignment(const Buffer<double>& cost, Index N)
      : cost_(cost), N_(N), row_price_(size(N)), column_price_(size(N)), row_of_(size(N), -1) {
    for (Index i = 0; i < N; ++i) assign(i);
  }
  double mean_cost() const {
    double sum = 0;
    for (Index j = 0; j < N_; ++j) sum += cost_[row_of_[size(j)] * N_ + j];
    return sum / static_cast<double>(N_);
  }

 private:
  static std::size_t size(Index i) { return static_cast<std::size_t>(i); }

  void assign(Index row) {
    std::vector<double> path(size(N_), kInfinity);  // length of the shortest path to each column
    std::vector<Index> before(size(N_), -1);        // the column before it on that path
    std::vector<bool> done(size(N_), false);
    Index column = -1, from = row;
    double length = 0;
    do {
      Index next = -1;
      for (Index j = 0; j < N_; ++j) {
        if (done[size(j)]) continue;
        const double through =
            length + cost_[from * N_ + j] - row_price_[size(from)] - column_price_[size(j)];
        if (through < path[size(j)]) {
          path[size(j)] = through;
          before[size(j)] = column;
        }
        if (next < 0 || path[size(j)] < path[size(next)]) next = j;
      }
      column = next;
      length = path[size(column)];
      done[size(column)] = true;
      from = row_of_[size(column)];
    } while (from >= 0);
    update_prices(row, path, done, length);
    for (Index j = column; j >= 0; j = before[size(j)])
      row_of_[size(j)] = before[size(j)] < 0 ? row : row_of_[size(before[size(j)])];
  }

  void update_prices(Index row, const std::vector<double>& path, const std::vector<bool>& done,
                     double length) {
    row_price_[size(row)] += length;
    for (Index j = 0; j < N_; ++j) {
      if (!done[size(j)]) continue;
      column_price_[size(j)] -= length - path[size(j)];
      if (row_of_[size(j)] >= 0) row_price_[size(row_of_[size(j)])] += length - path[size(j)];
    }
  }

  const Buffer<double>& cost_;
  Index N_;
  std::vector<double> row_price_, column_price_;
  std::vector<Index> row_of_;  ///< of each column
};

double sliced(ConstState a, ConstState b) {
  constexpr Index kDirections = 256;
  constexpr std::uint64_t kSeed = 1, kStream = 0x534c494345;
  const Index N = a.extent(0), n = a.extent(1);
  std::vector<double> u(static_cast<std::size_t>(n)), x(static_cast<std::size_t>(N)), y(x.size());
  double sum = 0;
  for (Index d = 0; d < kDirections; ++d) {
    RandomStream(kSeed, kStream).normal(d * n, n, u.data());
    double square = 0;
    for (const double value : u) square += value * value;
    for (Index s = 0; s < N; ++s) {
      double p = 0, q = 0;
      for (Index i = 0; i < n; ++i) {
        p += u[static_cast<std::size_t>(i)] * a.data()[s * n + i];
        q += u[static_cast<std::size_t>(i)] * b.data()[s * n + i];
      }
      x[static_cast<std::size_t>(s)] = p / std::sqrt(square);
      y[static_cast<std::size_t>(s)] = q / std::sqrt(square);
    }
    std::sort(x.begin(), x.end());
    std::sort(y.begin(), y.end());
    for (std::size_t s = 0; s < x.size(); ++s)
      sum += std::abs(x[s] - y[s]) / static_cast<double>(N * kDirections);
  }
  return sum;
}

}  // namespace

Wasserstein wasserstein(ConstState a, ConstState b, Index most_exact) {
  if (a.shape() != b.shape())
    throw input_error("sets of {} and {} samples cannot be compared; as many are needed",
                      a.extent(0), b.extent(0));
  const Index N = a.extent(0);
  if (N == 0) return {};
  if (N > most_exact) return {sliced(a, b), false};
  return {Assignment(distances(a, b), N).mean_cost(), true};
}

}  // namespace deeppcr::models
