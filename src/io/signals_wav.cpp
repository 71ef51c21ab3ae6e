#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <memory>

#include "deeppcr/core/error.hpp"
#include "io/signal_files.hpp"
#ifdef DEEPPCR_SNDFILE
#include <sndfile.h>
#endif

namespace deeppcr::io {

#ifndef DEEPPCR_SNDFILE

Signals read_wav_signals(const std::string& path, Index) {
  throw local_input_error(
      "'{}' is a WAV recording, and this program was built without libsndfile; install it (Debian: "
      "libsndfile1-dev) and build again, or give HDF5 with /inputs [T, features]",
      path);
}

#else

namespace {

/// Samples of each channel that are read at once.
constexpr Index kReadSamples = Index{1} << 20;

using Recording = std::unique_ptr<SNDFILE, int (*)(SNDFILE*)>;

/// libsndfile takes a file that ends early for a shorter one; what its header promises is looked at
/// here. Programs that write into a pipe promise nothing: 0 or the largest number.
void require_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  unsigned char head[8] = {};
  file.read(reinterpret_cast<char*>(head), sizeof(head));
  if (head[3] != 'F') return;  // RIFX counts the other way round, RF64 elsewhere
  const Index promised =
      Index{head[4]} | Index{head[5]} << 8 | Index{head[6]} << 16 | Index{head[7]} << 24;
  const auto held = static_cast<Index>(std::filesystem::file_size(path));
  if (promised == 0 || promised >= 0xfffffff0 || promised + 8 <= held) return;
  throw local_input_error("'{}' is truncated: its header promises {} bytes, it has {}", path,
                          promised + 8, held);
}

/// @throws Error for what is compressed, whose numbers are not those that were recorded
void require_plain(const std::string& path, int format) {
  switch (format & SF_FORMAT_SUBMASK) {
    case SF_FORMAT_PCM_U8:
    case SF_FORMAT_PCM_16:
    case SF_FORMAT_PCM_24:
    case SF_FORMAT_PCM_32:
    case SF_FORMAT_FLOAT:
    case SF_FORMAT_DOUBLE:
      return;
    default:
      break;
  }
  SF_FORMAT_INFO info{};
  info.format = format & SF_FORMAT_SUBMASK;
  const bool known = sf_command(nullptr, SFC_GET_FORMAT_INFO, &info, sizeof(info)) == 0;
  throw local_input_error(
      "'{}' holds {}; recordings are PCM of 8 to 32 bits or floating point numbers, so convert it",
      path, known && info.name != nullptr ? info.name : "an unknown encoding");
}

/// All samples of all channels, in the order of the file.
void read_samples(const std::string& path, SNDFILE* recording, Index samples, Index channels,
                  Real* to) {
  for (Index first = 0; first < samples;) {
    const Index wanted = std::min(kReadSamples, samples - first);
    const Index got = sf_readf_double(recording, to + first * channels, wanted);
    if (got <= 0) {
      throw local_input_error("'{}' is truncated: of {} samples it has {}", path, samples, first);
    }
    first += got;
  }
  const Real* begin = to;
  const Real* end = begin + samples * channels;
  const Real* bad = std::find_if_not(begin, end, [](Real value) { return std::isfinite(value); });
  if (bad == end) return;
  const Index at = bad - begin;
  throw local_input_error("'{}' has {} in sample {}, channel {}; every number must be finite", path,
                          *bad, at / channels, at % channels);
}

}  // namespace

Signals read_wav_signals(const std::string& path, Index frame) {
  SF_INFO info{};
  const Recording recording(sf_open(path.c_str(), SFM_READ, &info), &sf_close);
  if (!recording)
    throw local_input_error("'{}' is no WAV that can be read: {}", path, sf_strerror(nullptr));
  require_plain(path, info.format);
  require_whole(path);
  const Index samples = info.frames, channels = info.channels;
  if (samples < 1) throw local_input_error("'{}' holds no sample; one is needed at least", path);
  if (frame > samples) {
    throw local_input_error("--frame {}: '{}' has {} samples; use a shorter frame", frame, path,
                            samples);
  }
  Signals signals;
  signals.samples = 1;
  signals.steps = (samples + frame - 1) / frame;
  signals.features = frame * channels;
  signals.inputs.reset(signals.steps * signals.features);
  read_samples(path, recording.get(), samples, channels, signals.inputs.data());
  return signals;
}

#endif

}  // namespace deeppcr::io
