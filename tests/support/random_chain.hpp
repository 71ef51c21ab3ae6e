#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "deeppcr/blocks/block_bidiagonal.hpp"
#include "deeppcr/blocks/dense_linearisation.hpp"
#include "deeppcr/core/random.hpp"

namespace deeppcr::test {

/// Blocks that say what is known of their zeros.
class StructuredBlocks : public blocks::DenseLinearisation {
 public:
  StructuredBlocks(StepRange range, Index batch, int width, blocks::Structure structure)
      : DenseLinearisation(range, batch, width), structure_(for_width(structure, width)) {}
  blocks::Structure structure() const override { return structure_; }
  /// Numbers of odd states have no pairs: they are diagonal.
  static blocks::Structure for_width(blocks::Structure structure, int width) {
    const bool unpaired = structure == blocks::Structure::paired_diagonals && width % 2 != 0;
    return unpaired ? blocks::Structure::diagonal : structure;
  }

 private:
  blocks::Structure structure_;
};

/// A chain of random blocks, dense ones with entries of size about growth / sqrt(n) or diagonal
/// ones of size growth, and a right-hand side; the numbers depend on global positions only.
class RandomChain {
 public:
  RandomChain(const parallel::Communicator& comm, const parallel::BlockLayout& layout, Index batch,
              int width, double growth = 0.9,
              blocks::Structure structure = blocks::Structure::dense)
      : operator_(comm, layout, batch, width),
        blocks_(layout.range(comm.rank()), batch, width, structure),
        rhs_(layout.range(comm.rank()).size() * batch * width) {
    const StepRange local = layout.range(comm.rank());
    const Index state = batch * width;
    RandomStream(11, 1).normal(local.first * state * width, blocks_.storage().size(),
                               blocks_.storage().data());
    for (Real& value : blocks_.storage()) value *= growth / std::sqrt(static_cast<double>(width));
    if (structure != blocks::Structure::dense) leave_diagonals(blocks_.structure());
    RandomStream(11, 2).normal(local.first * state, rhs_.size(), rhs_.data());
    operator_.set_linearisation(&blocks_);
  }

  blocks::BlockBidiagonal& chain() { return operator_; }
  blocks::DenseLinearisation& blocks() { return blocks_; }
  ConstStates rhs() const { return {rhs_.data(), shape()}; }
  /// For methods that overwrite them.
  Buffer<Real> copy_of_blocks() {
    const Blocks all = blocks_.storage();
    Buffer<Real> copy(all.size());
    std::copy(all.begin(), all.end(), copy.begin());
    return copy;
  }
  Buffer<Real> copy_of_rhs() const {
    Buffer<Real> copy(rhs_.size());
    std::copy(rhs_.begin(), rhs_.end(), copy.begin());
    return copy;
  }
  std::array<Index, 3> shape() const {
    return {operator_.local_range().size(), operator_.batch(), operator_.width()};
  }

 private:
  /// Of pairs those of numbers that are half a state apart too.
  void leave_diagonals(blocks::Structure structure) {
    const Index n = operator_.width();
    const bool paired = structure == blocks::Structure::paired_diagonals;
    const Index apart = paired ? n / 2 : n;
    const double scale = std::sqrt(static_cast<double>(paired ? n / 2 : n));
    Real* A = blocks_.storage().data();
    for (Index i = 0; i < blocks_.storage().size(); ++i)
      A[i] = i / n % n % apart == i % n % apart ? A[i] * scale : 0;
  }

  blocks::BlockBidiagonal operator_;
  StructuredBlocks blocks_;
  Buffer<Real> rhs_;
};

/// A layout that no method would choose: uneven, with empty ranks at the end where there are few
/// steps.
inline parallel::BlockLayout uneven_layout(Index num_steps, int num_ranks) {
  std::vector<double> share;
  for (int p = 0; p < num_ranks; ++p) share.push_back(1.0 + 2.5 * (p % 3));
  return parallel::BlockLayout::by_share(num_steps, share);
}

/// Over all ranks: largest |a - b| over the largest |b| (or 1).
inline double relative_difference(const parallel::Communicator& comm, const Real* a, const Real* b,
                                  Index count) {
  double difference = 0, size = 0;
  for (Index i = 0; i < count; ++i) {
    const double d = std::abs(a[i] - b[i]);
    difference = d == d ? std::max(difference, d) : INFINITY;
    size = std::max(size, std::abs(b[i]));
  }
  difference = comm.max(difference);
  size = comm.max(size);
  return difference / (size > 0 ? size : 1.0);
}

}  // namespace deeppcr::test
