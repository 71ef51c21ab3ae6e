#include <utility>

#include "deeppcr/core/error.hpp"
#include "deeppcr/linear/catalogue.hpp"
#include "nonlinear/linear_backward.hpp"
#include "nonlinear/pipeline_backward.hpp"
#include "nonlinear/wavefront_backward.hpp"
#include "nonlinear/wavefront_plan.hpp"

namespace deeppcr::nonlinear {

namespace {

constexpr const char *kPipeline = "pipeline", *kWavefront = "wavefront";
constexpr const char* kAutomatic = "auto";

/// A linear solver; or a pipeline behind a forward pass that has dealt blocks or samples to the
/// ranks, which no linear solver takes; or a wavefront for stacked cells, where at least half of
/// the ranks have a layer.
class AutomaticBackward final : public Backward {
 public:
  explicit AutomaticBackward(const BackwardSettings& settings)
      : pipeline_(settings.micro_batches),
        wavefront_(settings.chunk_steps),
        linear_(linear::make(kAutomatic, settings.linear)) {}

  void run(const BackwardTask& task, StageTimes& stages) override {
    const Problem problem = problem_of(task.at, static_cast<int>(task.chain.layers().size()));
    if (by_pipeline(task.at.layout())) {
      ran_ = &pipeline_;
    } else if (2 * problem.layers >= problem.ranks && promises_wavefront(problem)) {
      ran_ = &wavefront_;
    } else {
      ran_ = &linear_;
    }
    ran_->run(task, stages);
  }
  bool takes(const parallel::BlockLayout&) const override { return true; }
  linear::Cost cost(const linear::Problem& problem) const override {
    return by_pipeline(problem.layout) ? pipeline_.cost(problem) : linear_.cost(problem);
  }
  linear::SolveOutcome outcome(const parallel::BlockLayout& layout) const override {
    return ran_->outcome(layout);
  }
  std::optional<PipelineReport> pipeline() const override { return ran_->pipeline(); }
  parallel::TrafficByLevel levels() const override { return ran_->levels(); }
  parallel::Traffic neighbours() const override { return ran_->neighbours(); }

 private:
  static bool by_pipeline(const parallel::BlockLayout& layout) { return !layout.is_contiguous(); }

  PipelineBackward pipeline_;
  WavefrontBackward wavefront_;
  LinearBackward linear_;
  Backward* ran_ = &linear_;
};

}  // namespace

std::unique_ptr<Backward> make_backward(const std::string& name, const BackwardSettings& settings) {
  if (name == kPipeline) return std::make_unique<PipelineBackward>(settings.micro_batches);
  if (name == kWavefront) return std::make_unique<WavefrontBackward>(settings.chunk_steps);
  if (name == kAutomatic) return std::make_unique<AutomaticBackward>(settings);
  return std::make_unique<LinearBackward>(linear::make(name, settings.linear));
}

std::vector<std::string> backward_names() {
  std::vector<std::string> names = linear::names();
  names.insert(names.begin(), kAutomatic);
  names.emplace_back(kPipeline);
  names.emplace_back(kWavefront);
  return names;
}

void require_layout(const Backward& backward, const parallel::BlockLayout& layout) {
  if (backward.takes(layout)) return;
  throw input_error(
      "this backward pass needs one range of steps a rank, which the forward pass does not have; "
      "go "
      "back by a pipeline too, or use --pipeline-layout contiguous");
}

}  // namespace deeppcr::nonlinear
