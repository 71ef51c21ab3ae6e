#pragma once

#include <optional>
#include <string>

#include "app/train_config.hpp"

namespace deeppcr::app {

/// The options of `stream`.
struct StreamConfig {
  TrainConfig network;  ///< its chain, with --data and --weights
  std::string frames;   ///< a file, a FIFO or "-"; empty: --data
  bool test_set = false;
  bool labelled = false;
  Index frame_size = 0;  ///< numbers of a raw frame; 0: as --weights says
  Index classes = 0;     ///< 0: as --weights or the labels of --data say
  Real mean = 0, deviation = 1;
  Index first = 0;  ///< the first frame that counts
  Index most = 0;   ///< frames from there on; 0: all
  bool drop = false;
  std::string output;
  bool logits = false;
  bool prints = false;
  train::OptimiserOptions optimiser;
  train::Schedule schedule;  ///< of a peak 0: it learns nothing
  std::string trace;         ///< of learning
  Index frames_to_save = 0;  ///< between checkpoints; 0: at the end alone
  /// Of the run that this one goes on from, which look_at_restart() has found.
  std::optional<Index> frames_before;

  bool learns() const { return schedule.peak > 0; }
  /// "--frames FILE" or "--data NAME".
  std::string source() const;
};

/// @throws Error for options that contradict each other
StreamConfig read_stream_config(const OptionValues& options);

}  // namespace deeppcr::app
