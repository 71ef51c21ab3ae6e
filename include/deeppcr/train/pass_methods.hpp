#pragma once

#include <memory>
#include <optional>
#include <string>

#include "deeppcr/nonlinear/adjoint.hpp"
#include "deeppcr/nonlinear/catalogue.hpp"
#include "deeppcr/plan/pipeline_schedule.hpp"

namespace deeppcr::train {

/// Both passes at once: micro-batches follow each other through the depth ranks, by a schedule.
struct TrainingPipeline {
  plan::PipelineSchedule schedule = plan::PipelineSchedule::one_forward_one_backward;
  Index micro_batches = 0;  ///< of the samples of a data rank; 0: by formula
  bool recompute = false;   ///< computes states again before the backward pass, to hold fewer
};

/// What such a pipeline came to; equal on all ranks.
struct PipelineUse {
  Index micro_batches = 1;
  Index updates = 1;  ///< in a row, without a flush between them
  double idle = 0;    ///< share of all depth ranks' ticks without work; counted in the last row
  double idle_by_formula = 0;
  Index held = 0;         ///< micro-batches whose states a rank has held at once, at most
  double held_bytes = 0;  ///< of their states and gradients
};

/// How the two passes through a chain are done.
struct PassMethods {
  std::string forward = "sequential";                        ///< from nonlinear::catalogue()
  nonlinear::Settings settings = {{1e-8, 0}, -1, true, {}};  ///< of the forward solver
  std::string backward = "sequential";                       ///< from backward_names()
  std::optional<TrainingPipeline> pipeline = {};  ///< in place of the two; contiguous layouts

  std::unique_ptr<nonlinear::Backward> make_backward() const;
  /// Both passes by such a pipeline, in place of what they were.
  PassMethods piped(const TrainingPipeline& wanted) const;
};

}  // namespace deeppcr::train
