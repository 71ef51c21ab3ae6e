#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/learning_curve.hpp"
#include "app/stream_config.hpp"
#include "app/stream_results.hpp"
#include "deeppcr/cli/command.hpp"
#include "deeppcr/nonlinear/report.hpp"

namespace deeppcr::app {

/// How it ended: by itself, by a stop, or with frames that have no class.
struct StreamEnding {
  nonlinear::Status status = nonlinear::Status::converged;
  std::string reason;
  Index first_frame = 0, next_frame = 0;  ///< those that were read: the latter is behind them
  std::string go_on;                      ///< options of the run that goes on
  std::string left_over;

  std::string words() const {
    return status == nonlinear::Status::converged ? "done" : to_string(status);
  }
};

/// What a stream has read.
struct FramesRead {
  Index first = 0, next = 0;  ///< from the first that counts to the one behind the last
  Index there = 0;            ///< those before the first that counts included
  bool is_live = false;       ///< whether another run finds others in their place
};

/// stopped_by: empty where nothing has.
StreamEnding ending_of(const StreamConfig& config, const std::string& stopped_by,
                       const StreamCounts& counts, const FramesRead& read);

/// Why a stream that nothing has stopped has predicted nothing.
std::string why_no_frame(const StreamConfig& config, const FramesRead& read);

/// What was learned, equal on all ranks.
struct Learning {
  std::vector<Index> updates;  ///< of each stage
  LearningMeans recent;
};

/// What a stream tells at its end. Returns the exit code. Collective.
int print(const cli::Context& context, const StreamConfig& config, const StreamEnding& ending,
          const StreamCounts& counts, const std::optional<Learning>& learning, double seconds);

}  // namespace deeppcr::app
