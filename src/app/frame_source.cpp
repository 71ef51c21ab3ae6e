#include "app/frame_source.hpp"

#include <algorithm>

#include "deeppcr/core/error.hpp"

namespace deeppcr::app {

FrameSource::Next ImageFrames::next(double, Real* numbers, int& label) {
  if (at_ == images_.count()) return Next::end;
  images_.fill(&at_, 0, normalisation_, {}, {numbers, {1, images_.features()}});
  label = images_.label(at_++);
  return Next::frame;
}

Index ImageFrames::skip(Index frames) {
  const Index count = std::min(frames, images_.count() - at_);
  at_ += count;
  return count;
}

StreamedFrames::StreamedFrames(const StreamConfig& config, Index numbers)
    : frames_(config.frames, numbers, config.labelled),
      source_(config.source()),
      numbers_(numbers),
      mean_(config.mean),
      deviation_(config.deviation) {
  if (config.drop && !frames_.is_live())
    throw local_input_error(
        "--drop: {} is an ordinary file, which loses nothing by waiting; leave it out, or use a "
        "FIFO or standard input",
        source_);
}

FrameSource::Next StreamedFrames::next(double seconds, Real* numbers, int& label) {
  const Next next = frames_.next(seconds, numbers, label);
  for (Index i = 0; next == Next::frame && i < numbers_; ++i)
    numbers[i] = (numbers[i] - mean_) / deviation_;
  return next;
}

std::string StreamedFrames::left_over() const {
  if (frames_.bytes_left() == 0) return "";
  return fmt::format("{} ends with {} bytes of a frame of {}; they are left out", source_,
                     frames_.bytes_left(), frames_.bytes_a_frame());
}

}  // namespace deeppcr::app
