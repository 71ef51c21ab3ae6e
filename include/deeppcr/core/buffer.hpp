#pragma once

#include <cstddef>
#include <utility>

#include "deeppcr/core/types.hpp"

namespace deeppcr {

namespace detail {
/// 64-byte aligned memory; large pieces ask the kernel for huge pages. @throws Error when there is
/// none.
void* allocate_aligned(std::size_t bytes);
void free_aligned(void* memory, std::size_t bytes) noexcept;
}  // namespace detail

/// Owns `size` elements, aligned for vector instructions and set to zero. Move only.
///
/// Zeroing also touches the pages, so no later timing pays for the first touch.
template <typename T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(Index size) { reset(size); }
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { detail::free_aligned(data_, static_cast<std::size_t>(capacity_) * sizeof(T)); }

  /// At least `size` elements; what was there before is lost if the buffer has to grow.
  void reserve(Index size) {
    if (size > size_) reset(size);
  }

  /// Gives the buffer a new size, all zero; keeps the memory where it is large enough.
  void reset(Index size) {
    if (size > capacity_) {
      Buffer fresh;
      fresh.data_ =
          static_cast<T*>(detail::allocate_aligned(static_cast<std::size_t>(size) * sizeof(T)));
      fresh.capacity_ = size;
      swap(fresh);
    }
    size_ = size;
    for (Index i = 0; i < size_; ++i) data_[i] = T{};
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  Index size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](Index i) { return data_[i]; }
  const T& operator[](Index i) const { return data_[i]; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }

  void swap(Buffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
  }

 private:
  T* data_ = nullptr;
  Index size_ = 0;
  Index capacity_ = 0;
};

/// Largest resident memory of this process so far, in bytes.
std::size_t peak_resident_bytes();

}  // namespace deeppcr
