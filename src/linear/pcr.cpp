#include "linear/pcr.hpp"

#include <algorithm>

#include "deeppcr/parallel/exchange.hpp"
#include "linear/pcr_levels.hpp"

namespace deeppcr::linear {

Pcr::Pcr() = default;
Pcr::~Pcr() = default;

bool Pcr::same_structure(const blocks::BlockBidiagonal& J) const {
  // The last operator may be gone: what it was like is remembered here.
  return comm_ == &J.comm() && handle_ == J.comm().get() && shape_.layout == J.layout() &&
         shape_.batch == J.batch() && shape_.width == J.width();
}

void Pcr::setup(const blocks::BlockBidiagonal& J) {
  const bool same = same_structure(J);
  J_ = &J;
  if (same) return;
  comm_ = &J.comm();
  handle_ = J.comm().get();
  shape_ = {J.layout(), J.batch(), J.width(), 0};
  forward_.reset();
  backward_.reset();
  const Index columns = J.local_range().size() * J.batch() * J.width();
  columns_.reset(columns);
  blocks_.reset(columns * J.width());
}

std::unique_ptr<PcrLevels> Pcr::make_levels(Direction direction) const {
  const StepRange rows{0, shape_.layout.num_steps()};
  const LevelShape shape{shape_.layout, rows, shape_.batch, shape_.width, direction};
  return std::make_unique<PcrLevels>(*comm_, shape);
}

States Pcr::reduce(PcrLevels& levels) {
  const StageTimer timer(stages_, "reduce");
  const Index m = J_->local_range().size(), B = shape_.batch, n = shape_.width;
  const Blocks blocks(blocks_.data(), {m, B, n, n});
  const States columns(columns_.data(), {m, B, n});
  if (m > 0) J_->linearisation().blocks(J_->local_range(), blocks);
  levels.reduce(blocks, columns, levels_);
  return columns;
}

void Pcr::solve(ConstStates r, States d) {
  neighbours_ = {};
  if (forward_ == nullptr) forward_ = make_levels(Direction::forward);
  // Frozen steps are rows like all others with nothing to correct: the levels need not be made
  // again.
  const Index frozen = J_->active_range().first - J_->local_range().first;
  const States columns(columns_.data(), r.shape());
  std::copy(r.begin(), r.end(), columns.begin());
  const States head = columns.slice(0, frozen);
  std::fill(head.begin(), head.end(), 0.0);
  const States result = reduce(*forward_);
  std::copy(result.begin(), result.end(), d.begin());
}

// In h_l = A_l^T g_l the blocks stay with their step: h_l = A_l^T h_{l+1} + A_l^T c_l, and g_l =
// c_l + h_{l+1}.
void Pcr::solve_transpose(ConstStates c, States g) {
  neighbours_ = {};
  const StepRange local = J_->local_range();
  const Index m = local.size(), state = shape_.batch * shape_.width;
  if (backward_ == nullptr) backward_ = make_levels(Direction::backward);
  const std::array<Index, 3> column{shape_.batch, 1, shape_.width};
  for (Index i = 0; i < m; ++i) {
    const Real* row = blocks::row_at(c, m, i);
    const Panel image(columns_.data() + i * state, column);
    if (row == nullptr) {
      std::fill(image.begin(), image.end(), 0.0);
    } else {
      J_->linearisation().product(local.first + i, Direction::backward, ConstPanel(row, column),
                                  image);
    }
  }
  const States h = reduce(*backward_);
  Buffer<Real> right(state);
  parallel::halo(J_->comm(), 0, shape_.layout.num_active_ranks() - 1, Direction::backward, h.data(),
                 right.data(), state, neighbours_);
  for (Index i = 0; i < m; ++i) {
    const Real* next = i + 1 < m ? h.data() + (i + 1) * state : right.data();
    const Real* row = blocks::row_at(c, m, i);
    for (Index j = 0; j < state; ++j)
      g.data()[i * state + j] = row == nullptr ? next[j] : row[j] + next[j];
  }
}

namespace {

/// Ranks that own rows [first, last), and how many of those rows belong to `except`.
struct Owners {
  Index others = 0;  ///< ranks other than `except`
  Index rows = 0;    ///< rows that they own
  double ready = 0;  ///< when the last of them has its rows
};

Owners owners_of(const parallel::BlockLayout& layout, StepRange rows, int except,
                 const std::vector<double>& ready) {
  Owners owners;
  for (int p = 0; p < layout.num_ranks(); ++p) {
    const Index here = intersect(layout.range(p), rows).size();
    if (p == except || here == 0) continue;
    ++owners.others;
    owners.rows += here;
    owners.ready = std::max(owners.ready, ready[static_cast<std::size_t>(p)]);
  }
  return owners;
}

}  // namespace

// Forward; the backward solve is its mirror image and sends one halo of B n reals a rank on top. A
// rank does the rows whose partner is its own and then waits for those that others had ready when
// they began this level; it does not wait for the slowest rank of each level. That no rank gets
// more than a level ahead of its readers is left out: with the layouts used none does.
Cost Pcr::cost(const Problem& problem) const {
  Cost cost;
  const parallel::BlockLayout& layout = problem.layout;
  const Index L = layout.num_steps(), steps = L;
  const double n = problem.width, B = static_cast<double>(problem.batch);
  cost.sequential_flops = 2 * B * n * n * static_cast<double>(steps);
  const Index column = problem.batch * problem.width * Index{sizeof(Real)};
  const Index block = column * problem.width;
  const auto flops = [&](Index blocks, Index columns) {
    return 2 * B * n * n *
           (problem.product_weight * n * static_cast<double>(blocks) +
            static_cast<double>(columns));
  };
  std::vector<double> end(static_cast<std::size_t>(layout.num_ranks()), 0.0);
  for (Index stride = 1; stride < steps; stride *= 2) {
    parallel::Traffic traffic;
    const std::vector<double> begin = end;
    for (int p = 0; p < layout.num_ranks(); ++p) {
      const StepRange mine = intersect(layout.range(p), {stride, L});
      if (mine.empty()) continue;
      const StepRange partners{mine.first - stride, mine.last - stride};
      const StepRange with_block = intersect(partners, {stride, L});
      const Owners columns = owners_of(layout, partners, p, begin),
                   blocks = owners_of(layout, with_block, p, begin);
      traffic.add(columns.others + blocks.others, columns.rows * column + blocks.rows * block);
      double& now = end[static_cast<std::size_t>(p)];
      now += flops(with_block.size() - blocks.rows, mine.size() - columns.rows);
      now = std::max(now, columns.ready) + flops(blocks.rows, columns.rows);
    }
    cost.levels.push_back(traffic);
  }
  cost.critical_flops = end.empty() ? 0 : *std::max_element(end.begin(), end.end());
  return cost;
}

CriticalPath Pcr::path(const parallel::BlockLayout& layout) const {
  return {0, static_cast<double>(longest_part(layout)) * parallel::ceil_log2(layout.num_steps())};
}

// The blocks, and in both directions rows of two levels for those who read them.
double Pcr::memory(const Problem& problem) const {
  const double row = static_cast<double>(problem.batch) * problem.width * (problem.width + 1);
  constexpr double kArrays = 5;
  return sizeof(Real) * kArrays * row * static_cast<double>(longest_part(problem.layout));
}

// A block row is described to MPI on one rank too.
double Pcr::largest_message(const Problem& problem) const {
  return static_cast<double>(problem.batch) * problem.width * (problem.width + 1);
}

}  // namespace deeppcr::linear
