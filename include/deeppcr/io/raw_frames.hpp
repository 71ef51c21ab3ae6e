#pragma once

#include <string>
#include <vector>

#include "deeppcr/core/types.hpp"

namespace deeppcr::io {

/// Frames of `numbers` little-endian float32 one behind the other, before each its label as an
/// int32 where they are labelled: from a file, a FIFO, a device or standard input. This rank alone.
class RawFrames {
 public:
  enum class Next { frame, none, end };

  /// path: "-" is standard input. A FIFO may still be without a writer.
  /// @throws Error (this rank) where it cannot be read
  RawFrames(std::string path, Index numbers, bool labelled);
  ~RawFrames();
  RawFrames(const RawFrames&) = delete;
  RawFrames& operator=(const RawFrames&) = delete;

  /// Takes the next frame, for which it waits so many seconds at most; numbers [numbers], label -1
  /// without labels. @throws Error (this rank) where reading fails
  Next next(double seconds, Real* numbers, int& label);

  /// Leaves out so many whole frames without reading them, or fewer where there are no more; of
  /// what is no ordinary file none. Returns how many. @pre no frame is read in part
  /// @throws Error (this rank) where that fails
  Index skip(Index frames);

  /// Whether frames come at a time of their own: it is no ordinary file.
  bool is_live() const { return live_; }
  /// Bytes behind the last whole frame, once the end is reached.
  Index bytes_left() const { return filled_; }
  Index bytes_a_frame() const { return static_cast<Index>(bytes_.size()); }

 private:
  /// Waits, then reads what is there. @returns whether there may be more at once
  Next read_some(double seconds);

  std::string path_;
  Index numbers_;
  bool labelled_;
  int descriptor_;
  bool live_ = false, ended_ = false;
  std::vector<unsigned char> bytes_;  ///< of a frame
  Index filled_ = 0;
};

}  // namespace deeppcr::io
