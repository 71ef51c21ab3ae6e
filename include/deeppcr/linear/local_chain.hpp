#pragma once

#include "deeppcr/blocks/affine_map.hpp"
#include "deeppcr/blocks/linearisation.hpp"
#include "deeppcr/core/view.hpp"

namespace deeppcr::linear {

/// One rank's part of a chain, walked in either direction. What enters the part is its `carry`, [B,
/// n]:
///
///     forward    carry = d_{l-1};           d_l = A_l carry + r_l;  carry <- d_l
///     backward   carry = A_{l+1}^T g_{l+1}; g_l = carry + c_l;      carry <- A_l^T g_l
///
/// Either way the carry that leaves is an affine map of the one that enters.
class LocalChain {
 public:
  LocalChain(Index batch, int width);

  /// Writes the results for the steps of a part and replaces its carry by what leaves. Right-hand
  /// side and result may be the same array. Cost: 2 B n^2 m flops.
  static void substitute(const blocks::Linearisation& A, Direction direction,
                         const blocks::Strand& part);

  // What a linearisation has in its Tuned facet, or what is right without it.

  /// substitute() for a rank whose carry another one waits for, and what it left undone.
  static void substitute_first(const blocks::Linearisation& A, Direction direction,
                               const blocks::Strand& part);
  static void catch_up(const blocks::Linearisation& A, Direction direction,
                       const blocks::Strand& part);

  /// Backward substitution where right-hand side and carry are zero: result [m, B, n] is zero.
  static void skip(const blocks::Linearisation& A, Direction direction, StepRange range,
                   States result);
  static bool repeatable(const blocks::Linearisation& A);
  static bool overlaps(const blocks::Linearisation& A);
  static void prefetch(const blocks::Linearisation& A, Direction direction, StepRange range,
                       Index bytes);
  /// substitute() through two ranges in turns.
  static void substitute_both(const blocks::Linearisation& A, Direction direction,
                              const blocks::Strand& one, const blocks::Strand& other);

  /// The map from the carry that enters `range` to the one that leaves. Stores no block.
  /// Cost: 2 B n^2 (n + 1) m flops. Memory: B n (n + 1).
  void eliminate(const blocks::Linearisation& A, Direction direction, StepRange range,
                 ConstStates rhs, blocks::AffineMap& map);
  /// map <- that of `range` o map
  void extend(const blocks::Linearisation& A, Direction direction, StepRange range, ConstStates rhs,
              blocks::AffineMap& map);

 private:
  Index batch_;
  int width_;
  blocks::AffineMap scratch_;
};

}  // namespace deeppcr::linear
