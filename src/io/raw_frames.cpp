#include "deeppcr/io/raw_frames.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/profile.hpp"

namespace deeppcr::io {

namespace {

constexpr Index kBytes = 4;  ///< of a number, and of a label

std::uint32_t little_endian(const unsigned char* bytes) {
  std::uint32_t number = 0;
  for (Index i = kBytes; i-- > 0;) number = number << 8 | bytes[i];
  return number;
}

Error unreadable(const std::string& path) {
  return local_input_error("--frames {}: {}; name a file, a FIFO, or - for standard input", path,
                           std::strerror(errno));
}

}  // namespace

RawFrames::RawFrames(std::string path, Index numbers, bool labelled)
    : path_(std::move(path)),
      numbers_(numbers),
      labelled_(labelled),
      // a FIFO without a writer would hold the run in open(), where no signal stops it
      descriptor_(path_ == "-" ? STDIN_FILENO
                               : ::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)),
      bytes_(static_cast<std::size_t>(kBytes * (numbers + (labelled ? 1 : 0)))) {
  struct stat about = {};
  if (descriptor_ < 0 || ::fstat(descriptor_, &about) != 0) throw unreadable(path_);
  if (S_ISDIR(about.st_mode)) {
    errno = EISDIR;
    throw unreadable(path_);
  }
  live_ = !S_ISREG(about.st_mode);
}

RawFrames::~RawFrames() {
  if (descriptor_ != STDIN_FILENO) ::close(descriptor_);
}

RawFrames::Next RawFrames::next(double seconds, Real* numbers, int& label) {
  const Stopwatch watch;
  while (!ended_ && filled_ < bytes_a_frame()) {
    if (read_some(std::max(0.0, seconds - watch.seconds())) == Next::none) return Next::none;
  }
  if (filled_ < bytes_a_frame()) return Next::end;
  filled_ = 0;
  const unsigned char* at = bytes_.data();
  label = -1;
  if (labelled_) {
    const std::uint32_t bits = little_endian(at);
    std::int32_t value = 0;
    std::memcpy(&value, &bits, sizeof value);
    label = value;
    at += kBytes;
  }
  for (Index i = 0; i < numbers_; ++i, at += kBytes) {
    const std::uint32_t bits = little_endian(at);
    float value = 0;
    std::memcpy(&value, &bits, sizeof value);
    numbers[i] = static_cast<Real>(value);
  }
  return Next::frame;
}

Index RawFrames::skip(Index frames) {
  if (live_) return 0;
  struct stat about = {};
  const off_t at = ::lseek(descriptor_, 0, SEEK_CUR);
  if (at < 0 || ::fstat(descriptor_, &about) != 0) throw unreadable(path_);
  const Index there = std::max<Index>(0, about.st_size - at) / bytes_a_frame();
  const Index count = std::min(frames, there);
  if (::lseek(descriptor_, at + count * bytes_a_frame(), SEEK_SET) < 0) throw unreadable(path_);
  return count;
}

RawFrames::Next RawFrames::read_some(double seconds) {
  struct pollfd look = {descriptor_, POLLIN, 0};
  const int ready = ::poll(&look, 1, static_cast<int>(std::ceil(1000 * seconds)));
  if (ready == 0 || (ready < 0 && errno == EINTR)) return Next::none;
  const auto room = static_cast<std::size_t>(bytes_a_frame() - filled_);
  const ssize_t got = ready < 0 ? -1 : ::read(descriptor_, bytes_.data() + filled_, room);
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return Next::none;
  if (got < 0) throw unreadable(path_);
  ended_ = got == 0;
  filled_ += got;
  return Next::frame;
}

}  // namespace deeppcr::io
