#pragma once

#include <hdf5.h>

#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "deeppcr/core/step_set.hpp"

namespace deeppcr::io::hdf5 {

/// Sole owner of one HDF5 identifier; everything else is HDF5's own API on get().
class Id {
 public:
  using Close = herr_t (*)(hid_t);
  Id() = default;
  /// @throws Error with HDF5's text when `id` says that the call `what` failed
  Id(hid_t id, Close close, const std::string& what);
  Id(Id&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Id& operator=(Id&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  Id(const Id&) = delete;
  Id& operator=(const Id&) = delete;
  ~Id() { reset(); }

  hid_t get() const { return id_; }
  /// Closes; returns what HDF5's close returned.
  herr_t reset();
  /// Gives the identifier up without closing it.
  void release() { id_ = -1; }

 private:
  hid_t id_ = -1;
  Close close_ = nullptr;
};

using Shape = std::vector<Index>;

/// What an attribute can hold.
using Value = std::variant<std::string, double, Index, std::vector<std::string>>;
using Attributes = std::vector<std::pair<std::string, Value>>;

/// The attributes that each dataset carries; `units` is left out where empty.
struct Description {
  std::string long_name;
  std::vector<std::string> dimensions;
  std::string units = {};
};

/// Numbers one after another, row-major and little-endian, in a file of any kind.
struct Numbers {
  /// IEEE 754 in 8, 4 and 2 bytes; bf16 is the upper half of an f32.
  enum class Type { f64, f32, f16, bf16 };
  Type type = Type::f64;
  Shape shape;           ///< empty for a scalar
  std::string file;      ///< its absolute path
  Index first_byte = 0;  ///< in that file; need not be aligned
  Index bytes = 0;
};

/// Entries of a dataset's first axis, one after another in memory at `data`.
template <typename T>
struct Rows {
  Rows() = default;
  Rows(Index first, Index count, T* values) : rows(first, first + count), data(values) {}
  Rows(const StepSet& which, T* values) : rows(which), data(values) {}

  StepSet rows;
  T* data = nullptr;
};

/// Rows that are made while they are written, so that a rank holds few of them at once.
template <typename T>
struct MadeRows {
  StepSet rows;
  Index at_once = 1;  ///< rows made before they are written, from 1
  /// Fills `to` with `count` rows of this rank, from its row `first` on.
  std::function<void(Index first, Index count, T* to)> make;
};

}  // namespace deeppcr::io::hdf5
