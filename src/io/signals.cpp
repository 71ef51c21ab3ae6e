#include "deeppcr/io/signals.hpp"

#include <hdf5.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "deeppcr/core/error.hpp"
#include "deeppcr/parallel/runtime.hpp"
#include "io/hdf5_detail.hpp"
#include "io/signal_files.hpp"
#include "io/weights_detail.hpp"

namespace deeppcr::io {

namespace {

constexpr std::size_t kHeadBytes = 4096;

/// The beginning of a regular file.
std::string read_head(const std::string& path) {
  std::error_code ignored;  // opening says more
  const auto status = std::filesystem::status(path, ignored);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    throw local_input_error("cannot read '{}': it is {}", path,
                            std::filesystem::is_directory(status)
                                ? "a directory"
                                : "a device, a pipe or a socket; give a file");
  }
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) throw local_input_error("cannot read '{}': {}", path, std::strerror(errno));
  std::string head(kHeadBytes, '\0');
  file.read(head.data(), kHeadBytes);
  head.resize(static_cast<std::size_t>(file.gcount()));
  if (head.empty()) throw local_input_error("'{}' is empty; an input has one step at least", path);
  return head;
}

bool is_hdf5(const std::string& path) {
  hdf5::silence_hdf5();
  const bool is = H5Fis_hdf5(path.c_str()) > 0;
  hdf5::clear_errors();
  return is;
}

bool is_wav(std::string_view head) {
  const std::string_view magic = head.substr(0, 4);
  const bool riff = magic == "RIFF" || magic == "RIFX" || magic == "RF64";
  return riff && head.size() >= 12 && head.substr(8, 4) == "WAVE";
}

bool is_text(std::string_view head) {
  for (const char c : head)
    if (static_cast<unsigned char>(c) < ' ' && std::strchr("\t\n\r\f", c) == nullptr) return false;
  return head.find('\0') == std::string_view::npos;
}

Signals read_file(const std::string& path, const SignalOptions& options) {
  const Index frame = options.frame;
  const std::string head = read_head(path);
  if (is_wav(head)) return read_wav_signals(path, frame);
  const bool hdf5 = is_hdf5(path);
  if (!hdf5 && !is_text(head)) {
    throw local_input_error(
        "'{}' is neither HDF5 nor WAV, and holds bytes that no CSV has{}", path,
        head.substr(0, 2) == "\x1f\x8b" ? " (it is compressed: gunzip it)" : "");
  }
  if (frame != 1 && options.refuse_frame) {
    throw local_input_error("--frame {} is for recordings, but '{}' is {}; leave it out", frame,
                            path, hdf5 ? "HDF5" : "text");
  }
  return hdf5 ? read_hdf5_signals(path) : read_csv_signals(path);
}

}  // namespace

Signals read_signals(const parallel::Communicator& comm, const std::string& path,
                     const SignalOptions& options) {
  if (options.frame < 1)
    throw input_error("--frame {}: a step has one sample at least", options.frame);
  Signals signals;
  parallel::agree(comm, [&] {
    if (comm.is_root()) signals = read_file(path, options);
  });
  Index each = signals.labels_each ? 1 : 0;
  for (Index* number :
       {&signals.samples, &signals.steps, &signals.features, &signals.target_width, &each})
    comm.broadcast(*number, 0);
  signals.labels_each = each != 0;
  comm.broadcast(signals.lengths, 0);
  comm.broadcast(signals.labels, 0);
  broadcast_texts(comm, signals.unknown_attributes);
  const Index entries = signals.steps * signals.samples;
  const auto bytes = static_cast<double>(sizeof(Real)) * static_cast<double>(entries) *
                     static_cast<double>(signals.features + signals.target_width);
  parallel::check_memory(comm, comm.is_root() ? 0 : bytes, fmt::format("--input {}: ", path));
  parallel::agree(comm, [&] {  // a rank may have no memory for them
    if (comm.is_root()) return;
    signals.inputs.reset(entries * signals.features);
    signals.targets.reset(entries * signals.target_width);
  });
  comm.broadcast(signals.inputs.data(), signals.inputs.size(), 0);
  comm.broadcast(signals.targets.data(), signals.targets.size(), 0);
  return signals;
}

}  // namespace deeppcr::io
