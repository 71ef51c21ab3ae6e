#pragma once

#include <string>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/types.hpp"
#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::io {

/// B sequences of up to T steps, time first as chains bind them; equal on all ranks.
///
/// Behind a sample's end inputs, labels and targets are zero, whatever the file has there.
struct Signals {
  Index samples = 0;           ///< B
  Index steps = 0;             ///< T
  Index features = 0;          ///< d
  Buffer<Real> inputs;         ///< [T, B, d]
  std::vector<Index> lengths;  ///< [B], 0 to T; empty: all samples have T steps
  std::vector<Index> labels;   ///< [B], or with labels_each [T, B]; empty where there are none
  bool labels_each = false;    ///< a label at each step
  Index target_width = 0;      ///< k; 0 where there are none
  Buffer<Real> targets;        ///< [T, B, k]
  /// Attributes of an HDF5 file's samples that say nothing to this program; for a warning.
  std::vector<std::string> unknown_attributes;
};

struct SignalOptions {
  Index frame = 1;           ///< samples of a recording (WAV) in one step
  bool refuse_frame = true;  ///< a frame beside another kind of file is an error
};

/// The sequences of a file, whose kind is told by its content:
///   HDF5: /inputs [B, T, features], or [T, features] for one sequence, and where present /lengths
///         [B], /labels [B] or [B, T], /targets [B, T, k]; for one sequence also /labels [T] and
///         /targets [T, k]. Reals are float32 or float64. Weights may stand beside them.
///   WAV:  PCM of 8 to 32 bits, as numbers in [-1, 1), or floats: one sequence, a step of `frame`
///         samples of each channel, [frame, channels] as in the file; behind the end of the last
///         frame zeros. By libsndfile, where this build has it.
///   CSV:  a line with the names of the columns, then one line a step: one sequence, its columns
///         are its features.
/// Every number within a sample's length must be finite, every label a class from 0 on. Rank 0
/// reads, all get them. Collective.
/// Memory:  each rank all sequences. Beside them rank 0 64 MiB, or one sequence where that is more;
///          labels a second time; the numbers of a CSV up to three times
/// @throws Error (on all ranks) that names the first entry that is not so
Signals read_signals(const parallel::Communicator& comm, const std::string& path,
                     const SignalOptions& options = {});

}  // namespace deeppcr::io
