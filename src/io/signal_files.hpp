#pragma once

#include <string>

#include "deeppcr/io/signals.hpp"

namespace deeppcr::io {

/// Readers of one kind of file each; see read_signals(). Lengths, labels and targets that a file
/// has not stay empty. @throws Error (this rank) that names the first entry that is wrong
Signals read_hdf5_signals(const std::string& path);
Signals read_wav_signals(const std::string& path, Index frame);
Signals read_csv_signals(const std::string& path);

}  // namespace deeppcr::io
