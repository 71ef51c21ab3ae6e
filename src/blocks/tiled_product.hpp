#pragma once

#include <memory>

#include "deeppcr/core/types.hpp"

namespace deeppcr::blocks {

/// A LIBXSMM kernel for C = A B or C = C + A B on parts of larger column-major matrices.
template <typename T>
using SmallProduct = void (*)(const T* A, const T* B, T* C);

struct SmallProductShape {
  int m, n, k;        ///< A [m x k], B [k x n], C [m x n]
  int lda, ldb, ldc;  ///< from a column to the next
};

/// Null where the build has no LIBXSMM, or LIBXSMM no kernels for this processor.
template <typename T>
SmallProduct<T> small_product(const SmallProductShape& shape, bool accumulate);

/// Sizes of a product C [m x n] = op(A) B [k x n], all without padding.
struct ProductSizes {
  int m, n, k;
  bool transposed;  ///< op(A) = A^T with A [k x m], for Real only; else A [m x k]
  bool accumulate;  ///< C + op(A) B
};

/// Products too large for one kernel: small ones over tiles of A that stay near the core. A
/// transposed A is transposed tile by tile, on its way through the second-level cache.
template <typename T>
class TiledProduct {
 public:
  /// Null where there are no kernels for it, or a size is 0.
  static std::shared_ptr<const TiledProduct> make(const ProductSizes& sizes);

  /// Shapes as ProductSizes has them. C overlaps neither A nor B. Cost: 2 m n k flops.
  void operator()(const T* A, const T* B, T* C) const;

 private:
  /// A side of length `size` in tiles.
  struct Side {
    int size, tile;
    int length(int first) const { return first + tile <= size ? tile : size - first; }
    bool whole(int first) const { return first + tile <= size; }
  };

  explicit TiledProduct(const ProductSizes& sizes);
  bool make_kernels();
  SmallProduct<T> kernel(int i, int j, int p) const;
  void straight(const T* A, const T* B, T* C) const;
  void transposed(const T* A, const T* B, T* C) const;

  ProductSizes sizes_;
  Side rows_, columns_, inner_;
  /// By whether the tile is a whole one in rows, columns and inner side, and whether it adds.
  SmallProduct<T> kernels_[2][2][2][2] = {};
};

}  // namespace deeppcr::blocks
