#include "blocks/tiled_product.hpp"

#include <algorithm>
#include <type_traits>

#include "deeppcr/blocks/gemm.hpp"

#ifdef DEEPPCR_HAVE_LIBXSMM
#include <libxsmm.h>
#endif

namespace deeppcr::blocks {

namespace {

/// Tiles of A, 32 x 64, of 64 columns: of the sizes tried (32 to 256 rows, 64 to 512 inner) the
/// fastest or close to it at widths 128 to 512 and 2 to 128 columns.
constexpr int kTileRows = 32, kTileInner = 64, kTileColumns = 64;
/// A transposed A is read along its columns: long runs, which the hardware sees coming (5 to 20 %
/// faster than runs of 64 at widths 256 to 1024, 4 to 128 columns). As many columns as fit.
constexpr int kTransposedInner = 512, kTransposedTile = kTileRows * kTransposedInner;
/// Where the inner side is one tile the sums are written once, in long columns too (10 to 50 %
/// faster at widths 256 to 1024, an outer product of 8 to 64 samples).
constexpr int kLongRows = 1024;
/// So many rows are one tile.
constexpr int kWholeTile = 64;

int tile_inner(const ProductSizes& sizes) {
  return std::min(sizes.k, sizes.transposed ? kTransposedInner : kTileInner);
}

int tile_rows(const ProductSizes& sizes) {
  if (sizes.transposed)
    return std::min(sizes.m, kTransposedTile / tile_inner(sizes) / kTileRows * kTileRows);
  if (sizes.k <= kTileInner) return std::min(sizes.m, kLongRows);
  return sizes.m <= kWholeTile ? sizes.m : kTileRows;
}

#ifdef DEEPPCR_HAVE_LIBXSMM
auto dispatch(const SmallProductShape& s, double beta) {
  const double alpha = 1;
  const int flags = LIBXSMM_GEMM_FLAG_NONE, prefetch = LIBXSMM_GEMM_PREFETCH_NONE;
  return libxsmm_dmmdispatch(s.m, s.n, s.k, &s.lda, &s.ldb, &s.ldc, &alpha, &beta, &flags,
                             &prefetch);
}

auto dispatch(const SmallProductShape& s, float beta) {
  const float alpha = 1;
  const int flags = LIBXSMM_GEMM_FLAG_NONE, prefetch = LIBXSMM_GEMM_PREFETCH_NONE;
  return libxsmm_smmdispatch(s.m, s.n, s.k, &s.lda, &s.ldb, &s.ldc, &alpha, &beta, &flags,
                             &prefetch);
}
#endif

}  // namespace

template <typename T>
SmallProduct<T> small_product([[maybe_unused]] const SmallProductShape& shape,
                              [[maybe_unused]] bool accumulate) {
#ifdef DEEPPCR_HAVE_LIBXSMM
  return reinterpret_cast<SmallProduct<T>>(dispatch(shape, static_cast<T>(accumulate ? 1 : 0)));
#else
  return nullptr;
#endif
}

template <typename T>
TiledProduct<T>::TiledProduct(const ProductSizes& sizes)
    : sizes_(sizes),
      rows_{sizes.m, tile_rows(sizes)},
      columns_{sizes.n, std::min(sizes.n, kTileColumns)},
      inner_{sizes.k, tile_inner(sizes)} {}

template <typename T>
std::shared_ptr<const TiledProduct<T>> TiledProduct<T>::make(const ProductSizes& sizes) {
  if (sizes.m < 1 || sizes.n < 1 || sizes.k < 1) return nullptr;
  std::shared_ptr<TiledProduct> product(new TiledProduct(sizes));
  return product->make_kernels() ? product : nullptr;
}

template <typename T>
bool TiledProduct<T>::make_kernels() {
  // The first tile and the last one of each side stand for all.
  const auto last = [](const Side& side) { return (side.size - 1) / side.tile * side.tile; };
  for (const int i : {0, last(rows_)}) {
    for (const int j : {0, last(columns_)}) {
      for (const int p : {0, last(inner_)}) {
        const SmallProductShape shape{
            rows_.length(i),  columns_.length(j),
            inner_.length(p), sizes_.transposed ? rows_.length(i) : sizes_.m,
            sizes_.k,         sizes_.m};
        // The tiles between the first and the last add to the sum as the last does.
        for (const bool accumulate : {sizes_.accumulate || p > 0, true}) {
          SmallProduct<T>& made =
              kernels_[rows_.whole(i)][columns_.whole(j)][inner_.whole(p)][accumulate];
          made = small_product<T>(shape, accumulate);
          if (made == nullptr) return false;
        }
      }
    }
  }
  return true;
}

template <typename T>
SmallProduct<T> TiledProduct<T>::kernel(int i, int j, int p) const {
  return kernels_[rows_.whole(i)][columns_.whole(j)][inner_.whole(p)][sizes_.accumulate || p > 0];
}

template <typename T>
void TiledProduct<T>::operator()(const T* A, const T* B, T* C) const {
  if constexpr (std::is_same_v<T, Real>) {
    if (sizes_.transposed) {
      transposed(A, B, C);
      return;
    }
  }
  straight(A, B, C);
}

template <typename T>
void TiledProduct<T>::straight(const T* A, const T* B, T* C) const {
  const Index m = sizes_.m, k = sizes_.k;
  for (int j = 0; j < columns_.size; j += columns_.tile) {
    for (int p = 0; p < inner_.size; p += inner_.tile) {
      for (int i = 0; i < rows_.size; i += rows_.tile)
        kernel(i, j, p)(A + p * m + i, B + j * k + p, C + j * m + i);
    }
  }
}

template <typename T>
void TiledProduct<T>::transposed(const T* A, const T* B, T* C) const {
  alignas(64) T tile[kTransposedTile];
  const Index m = sizes_.m, k = sizes_.k;
  for (int i = 0; i < rows_.size; i += rows_.tile) {
    for (int p = 0; p < inner_.size; p += inner_.tile) {
      transpose(inner_.length(p), rows_.length(i), A + i * k + p, k, tile);
      for (int j = 0; j < columns_.size; j += columns_.tile)
        kernel(i, j, p)(tile, B + j * k + p, C + j * m + i);
    }
  }
}

template SmallProduct<float> small_product(const SmallProductShape&, bool);
template SmallProduct<double> small_product(const SmallProductShape&, bool);
// Without transposed(), which is for Real.
template std::shared_ptr<const TiledProduct<float>> TiledProduct<float>::make(const ProductSizes&);
template void TiledProduct<float>::operator()(const float*, const float*, float*) const;
template class TiledProduct<double>;

}  // namespace deeppcr::blocks
