#pragma once

#include <array>
#include <cassert>
#include <type_traits>
#include <vector>

#include "deeppcr/core/types.hpp"

namespace deeppcr {

/// A non-owning, contiguous, row-major array of fixed rank: the last index runs fastest.
template <typename T, int Rank>
class View {
 public:
  View() = default;
  View(T* data, std::array<Index, Rank> shape) : data_(data), shape_(shape) {}
  /// A view of values converts to a view of constants.
  template <typename U, typename = std::enable_if_t<std::is_same_v<const U, T>>>
  View(const View<U, Rank>& other) : data_(other.data()), shape_(other.shape()) {}

  T* data() const { return data_; }
  Index extent(int axis) const { return shape_[static_cast<std::size_t>(axis)]; }
  const std::array<Index, Rank>& shape() const { return shape_; }
  Index size() const {
    Index count = 1;
    for (Index e : shape_) count *= e;
    return count;
  }

  template <typename... I>
  T& operator()(I... indices) const {
    static_assert(sizeof...(I) == Rank, "one index an axis");
    return data_[offset(indices...)];
  }

  /// The view of rank Rank - 1 at position i of the first axis.
  View<T, Rank - 1> operator[](Index i) const {
    static_assert(Rank > 1, "use operator() on a view of rank 1");
    std::array<Index, Rank - 1> rest{};
    Index stride = 1;
    for (int a = 1; a < Rank; ++a) {
      rest[static_cast<std::size_t>(a - 1)] = extent(a);
      stride *= extent(a);
    }
    return {data_ + i * stride, rest};
  }

  /// Positions [first, last) of the first axis.
  View slice(Index first, Index last) const {
    std::array<Index, Rank> shape = shape_;
    shape[0] = last - first;
    Index stride = 1;
    for (int a = 1; a < Rank; ++a) stride *= extent(a);
    return {data_ + first * stride, shape};
  }

  T* begin() const { return data_; }
  T* end() const { return data_ + size(); }

 private:
  template <typename... I>
  Index offset(I... indices) const {
    const std::array<Index, Rank> at{static_cast<Index>(indices)...};
    Index position = 0;
    for (int a = 0; a < Rank; ++a) {
      assert(at[static_cast<std::size_t>(a)] >= 0 && at[static_cast<std::size_t>(a)] < extent(a));
      position = position * extent(a) + at[static_cast<std::size_t>(a)];
    }
    return position;
  }

  T* data_ = nullptr;
  std::array<Index, Rank> shape_{};
};

/// One state of every sample: [B, n].
using State = View<Real, 2>;
using ConstState = View<const Real, 2>;
/// States of consecutive steps: [m, B, n].
using States = View<Real, 3>;
using ConstStates = View<const Real, 3>;
/// k columns for each sample, [B, k, n]: for one sample a column-major n x k matrix.
using Panel = View<Real, 3>;
using ConstPanel = View<const Real, 3>;
/// Dense blocks [m, B, n, n]; each block column-major, so element (i, j) is at [.., j, i].
using Blocks = View<Real, 4>;
using ConstBlocks = View<const Real, 4>;

/// How many numbers an array of these sizes holds; 1 without any.
inline Index numbers_in(const std::vector<Index>& sizes) {
  Index numbers = 1;
  for (const Index size : sizes) numbers *= size;
  return numbers;
}

/// The last state of a range of steps; null where the range is empty.
inline const Real* last_state(ConstStates z) {
  return z.extent(0) == 0 ? nullptr : z[z.extent(0) - 1].data();
}

}  // namespace deeppcr
