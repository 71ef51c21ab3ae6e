#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "deeppcr/core/buffer.hpp"

namespace deeppcr::models {

/// Memory that has served, for the next who need some: the first touch of fresh memory is dear. Not
/// for use by several threads at once.
///
/// Whenever all of it is back, no more pieces stay than were out at once since the last time.
class BufferPool {
 public:
  /// At least so many numbers, not cleared.
  Buffer<Real> take(Index size) {
    idle_.reserve(idle_.size() + out_ + 1);  // so that nothing can fail on the way back
    Buffer<Real> memory;
    if (!idle_.empty()) {
      memory = std::move(idle_.back());
      idle_.pop_back();
    }
    memory.reserve(size);
    most_out_ = std::max(most_out_, ++out_);
    return memory;
  }
  void give_back(Buffer<Real> memory) noexcept {
    idle_.push_back(std::move(memory));
    if (--out_ > 0) return;
    const auto kept = static_cast<std::ptrdiff_t>(std::min(most_out_, idle_.size()));
    idle_.erase(idle_.begin(), idle_.end() - kept);
    most_out_ = 0;
  }

 private:
  std::vector<Buffer<Real>> idle_;
  std::size_t out_ = 0, most_out_ = 0;
};

/// A piece of a pool for as long as it lives.
class PooledBuffer {
 public:
  PooledBuffer(std::shared_ptr<BufferPool> pool, Index size)
      : pool_(std::move(pool)), memory_(pool_->take(size)) {}
  PooledBuffer(const PooledBuffer&) = delete;
  PooledBuffer& operator=(const PooledBuffer&) = delete;
  ~PooledBuffer() { pool_->give_back(std::move(memory_)); }

  Real* data() { return memory_.data(); }
  const Real* data() const { return memory_.data(); }

 private:
  std::shared_ptr<BufferPool> pool_;
  Buffer<Real> memory_;
};

}  // namespace deeppcr::models
