#include "app/signals.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "app/over_time.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/train/sequences.hpp"

namespace deeppcr::app {
namespace {

using Content = train::Sequences::Content;

/// Rows of the first steps are the first numbers, as steps come first.
void keep_steps(Index steps, Content& content) {
  const auto rows = static_cast<std::size_t>(steps * content.samples);
  if (content.labels_each) content.labels.resize(rows);
  for (Index& length : content.lengths) length = std::min(length, steps);
  content.steps = steps;
}

/// The samples end where they have ended before.
void add_steps(Index steps, Content& content) {
  if (content.lengths.empty())
    content.lengths.assign(static_cast<std::size_t>(content.samples), content.steps);
  if (content.steps == steps) return;
  const auto grown = [&](const Buffer<Real>& old, Index width) {
    Buffer<Real> fresh(steps * content.samples * width);
    std::copy_n(old.begin(), content.steps * content.samples * width, fresh.begin());
    return fresh;
  };
  content.inputs = grown(content.inputs, content.features);
  content.targets = grown(content.targets, content.target_width);
  if (content.labels_each) content.labels.resize(static_cast<std::size_t>(steps * content.samples));
  content.steps = steps;
}

/// Targets are the inputs of the step after, so that each sample loses its last step.
void predict_next(const std::string& path, Content& content) {
  if (content.steps < 2)
    throw input_error("--target next: the samples of {} have one step, and none after it", path);
  const Index row = content.samples * content.features;
  --content.steps;
  for (Index& length : content.lengths) length = std::max<Index>(length - 1, 0);
  content.target_width = static_cast<int>(content.features);
  content.targets.reset(content.steps * row);
  std::copy_n(content.inputs.begin() + row, content.targets.size(), content.targets.begin());
  content.labels.clear();
  content.labels_each = false;
}

Content read(const parallel::Communicator& comm, const std::string& path,
             const SequenceConfig& config) {
  io::Signals signals = read_sequences(comm, path, {config.frame, config.refuse_frame});
  Content content{signals.samples,
                  signals.steps,
                  signals.features,
                  std::move(signals.inputs),
                  std::move(signals.lengths),
                  std::move(signals.labels),
                  signals.labels_each,
                  static_cast<int>(signals.target_width),
                  std::move(signals.targets)};
  if (config.predicts_next) predict_next(path, content);
  return content;
}

/// --steps smaller than the sequences takes the first ones.
void cut(const TrainConfig& config, Content& content) {
  const Index steps = config.chain.model.steps;
  if (config.sequences.steps_given && steps < content.steps) keep_steps(steps, content);
}

/// Both with the same number of steps, and with lengths if one of them has any.
void align(Content& a, Content& b) {
  const Index steps = std::max(a.steps, b.steps);
  const bool early = a.steps != b.steps || !a.lengths.empty() || !b.lengths.empty();
  if (!early) return;
  add_steps(steps, a);
  add_steps(steps, b);
}

/// Samples of the set: all, or the first ones.
Index limited(const char* option, const std::string& path, Index wanted, Index all) {
  if (wanted <= all) return wanted > 0 ? wanted : all;
  throw input_error("--{} {}: {} has {} for it; use fewer, or leave it out", option, wanted, path,
                    all);
}

ExampleSets sets_of(std::unique_ptr<train::Sequences> training,
                    std::unique_ptr<train::Sequences> test) {
  ExampleSets sets;
  sets.features = test->channels();
  sets.steps = test->steps();
  sets.training = std::move(training);
  sets.test = std::move(test);
  return sets;
}

/// So many first samples of some content.
std::unique_ptr<train::Sequences> first_of(Content content, Index count) {
  return std::make_unique<train::Sequences>(std::make_shared<const Content>(std::move(content)), 0,
                                            count);
}

/// Of one file, the last samples are the test set.
ExampleSets split(std::shared_ptr<const Content> all, const TrainConfig& config) {
  const SequenceConfig& wanted = config.sequences;
  const auto share = wanted.test_share * static_cast<double>(all->samples);
  const auto least = wanted.test_share > 0 ? 1 : 0;
  const Index tests = std::max<Index>(least, static_cast<Index>(std::llround(share)));
  const Index trained = all->samples - tests;
  if (trained < 1) {
    throw input_error(
        "--input {}: of {} sequences {} are for the test, which leaves none to train with; use "
        "--test-input FILE, a smaller --test-share, or --test-share 0 to score what was trained "
        "with",
        wanted.input, all->samples, tests);
  }
  const Index first = tests > 0 ? trained : 0;
  const Index count =
      limited("test-samples", wanted.input, config.test_samples, all->samples - first);
  const Index used = limited("samples", wanted.input, config.samples, trained);
  return sets_of(std::make_unique<train::Sequences>(all, 0, used),
                 std::make_unique<train::Sequences>(all, first, first + count));
}

}  // namespace

ExampleSets load_signals(const parallel::Communicator& comm, const TrainConfig& config,
                         bool with_training) {
  const SequenceConfig& wanted = config.sequences;
  const std::string& test = wanted.test_input;
  const auto read_file = [&](const std::string& path) {
    Content content = read(comm, path, wanted);
    cut(config, content);
    return content;
  };
  if (test.empty()) {
    ExampleSets sets = split(std::make_shared<const Content>(read_file(wanted.input)), config);
    if (!with_training) sets.training.reset();
    return sets;
  }
  Content other = read_file(test);
  const Index count = limited("test-samples", test, config.test_samples, other.samples);
  if (!with_training) return sets_of(nullptr, first_of(std::move(other), count));
  Content own = read_file(wanted.input);
  if (own.features != other.features) {
    throw input_error("--test-input {}: its steps have {} features, those of {} have {}", test,
                      other.features, wanted.input, own.features);
  }
  align(own, other);
  const Index used = limited("samples", wanted.input, config.samples, own.samples);
  return sets_of(first_of(std::move(own), used), first_of(std::move(other), count));
}

}  // namespace deeppcr::app
