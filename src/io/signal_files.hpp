#pragma once

#include <string>

#include "deeppcr/io/signals.hpp"

namespace deeppcr::io {

/// Readers of one kind of file each. They fill what the file has; lengths, labels and targets that
/// it has not stay empty. This rank alone.

/// @throws Error (this rank)
Signals read_hdf5_signals(const std::string& path);

}  // namespace deeppcr::io
