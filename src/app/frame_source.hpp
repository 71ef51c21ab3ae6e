#pragma once

#include <memory>

#include "app/stream_config.hpp"
#include "deeppcr/io/raw_frames.hpp"
#include "deeppcr/train/images.hpp"

namespace deeppcr::app {

/// Frames of a stream in their order, on rank 0.
class FrameSource {
 public:
  using Next = io::RawFrames::Next;
  virtual ~FrameSource() = default;

  /// Takes the next frame as the embedding wants it, for which it waits so many seconds at most;
  /// label -1: not known. @throws Error (this rank)
  virtual Next next(double seconds, Real* numbers, int& label) = 0;
  /// Leaves out so many frames without reading them, or as many as there are; of a live source
  /// none. Returns how many. @throws Error (this rank)
  virtual Index skip(Index frames) = 0;
  /// What stands behind the last whole frame, in words; empty where there is nothing.
  virtual std::string left_over() const { return ""; }
  /// Whether frames that were taken are gone. Default: another run finds them again.
  virtual bool is_live() const { return false; }
};

/// Images with their normalisation, which may be that of others.
class ImageFrames final : public FrameSource {
 public:
  ImageFrames(train::Images images, train::Normalisation normalisation)
      : images_(std::move(images)), normalisation_(std::move(normalisation)) {}
  Next next(double seconds, Real* numbers, int& label) override;
  Index skip(Index frames) override;

 private:
  train::Images images_;
  train::Normalisation normalisation_;
  Index at_ = 0;
};

/// Frames of a file, a FIFO or standard input.
class StreamedFrames final : public FrameSource {
 public:
  /// @throws Error (this rank) where it cannot be read, and for --drop where it is an ordinary file
  StreamedFrames(const StreamConfig& config, Index numbers);
  Next next(double seconds, Real* numbers, int& label) override;
  Index skip(Index frames) override { return frames_.skip(frames); }
  std::string left_over() const override;
  bool is_live() const override { return frames_.is_live(); }

 private:
  io::RawFrames frames_;
  std::string source_;
  Index numbers_;
  Real mean_, deviation_;
};

}  // namespace deeppcr::app
