// Streams of frames through all ranks, predicting and learning, against as many streams on one rank
// each, side by side on the same cores: each of those has the whole chain, and frames of its own.
#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>

#include "deeppcr/core/profile.hpp"
#include "deeppcr/core/random.hpp"
#include "deeppcr/models/catalogue.hpp"
#include "deeppcr/models/class_losses.hpp"
#include "deeppcr/models/dense_layer.hpp"
#include "deeppcr/parallel/runtime.hpp"
#include "deeppcr/train/frame_layout.hpp"
#include "deeppcr/train/online_pipeline.hpp"
#include "suites.hpp"

namespace deeppcr::bench {
namespace {

using train::Frame;
using Next = train::FramePipeline::Next;

/// Wanted: this share of the frames that independent streams have together.
constexpr double kShare = 0.85;
/// Images of Fashion-MNIST, and how many others come before the first one comes again.
constexpr int kFeatures = 784, kClasses = 10;
constexpr Index kImages = 16;
/// A run of an independent stream lasts about so long, and takes so many frames at least.
constexpr double kRunSeconds = 0.02;
constexpr Index kFewest = 32, kMost = 50000;

struct Sizes {
  Index steps;
  int width;
};

/// What is measured: a model with an optimiser, null where nothing is learned.
struct Group {
  const char* model;
  const char* optimiser;
  std::vector<Sizes> sizes;
};
const std::vector<Group> kGroups{{"resnet", nullptr, {{64, 16}, {64, 64}, {16, 256}, {64, 256}}},
                                 {"mlp", nullptr, {{64, 64}}},
                                 {"resnet", "sgd", {{64, 16}, {64, 64}, {16, 256}}},
                                 {"resnet", "adam", {{64, 16}, {64, 64}, {16, 256}}}};

struct Case {
  models::ModelOptions options;
  const char* optimiser;  ///< null: it learns nothing

  std::string name() const {
    return fmt::format(
        "{}, {}", options.model,
        optimiser == nullptr ? "predicting" : fmt::format("learning, {}", optimiser));
  }
};

train::OptimiserOptions optimiser_of(const Case& what) {
  train::OptimiserOptions rule;
  rule.rule = what.optimiser;
  return rule;
}

/// As `deeppcr stream` has it.
parallel::BlockLayout layout_of(const Case& what, int stages) {
  train::FrameNetwork network{what.options, kFeatures, kClasses};
  train::OptimiserOptions rule;
  if (what.optimiser != nullptr) {
    rule = optimiser_of(what);
    network.optimiser = &rule;
  }
  return train::frame_layout(what.options.steps, stages, train::frame_cost(network));
}

/// By a clock that all ranks of a node share, which the program's own is not.
double host_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// A network on the ranks of a communicator, and frames through it.
class Stream {
 public:
  Stream(const parallel::Communicator& comm, const Case& what)
      : comm_(comm),
        layout_(layout_of(what, comm.size())),
        chain_(models::make(what.options, layout_.steps(comm.rank()))),
        embedding_(models::LayerRole::embedding, kFeatures, what.options.width, 1),
        head_(std::make_shared<models::DenseLayer>(models::LayerRole::head, what.options.width,
                                                   kClasses, 1)),
        loss_({1, what.options.width, kClasses, 1, 0, head_}),
        images_(comm.rank() == 0 ? kImages * kFeatures : 0),
        sample_(kFeatures),
        logits_(kClasses) {
    RandomStream(1, 1).normal(0, images_.size(), images_.data());
    if (what.optimiser == nullptr) {
      predictor_.emplace(comm, *chain_, layout_);
    } else {
      learner_.emplace(comm, train::OnlinePipeline::Network{*chain_, embedding_, loss_}, layout_,
                       optimiser_of(what), train::Schedule{"constant", {}, 1e-5});
    }
  }

  /// Collective.
  void run(Index frames) {
    left_ = frames;
    if (learner_) {
      learner_->run({[this](Frame& frame, State sample) { return begin(frame, sample); },
                     [this](const Frame&, ConstState last) { end(last); },
                     [](const Frame&, const models::LossReport&) {}, [] { return false; }});
    } else {
      const State sample(sample_.data(), {1, kFeatures});
      predictor_->run({[this, sample](Frame& frame, State z0) {
                         const Next next = begin(frame, sample);
                         if (next == Next::frame) embedding_.forward(sample, z0);
                         return next;
                       },
                       [this](const Frame&, ConstState last) { end(last); }, [] { return false; }});
    }
  }

  /// Frames that are under way at a time, on average over another run: how long each takes from end
  /// to end, over the time between two. Unknown on several nodes, whose clocks differ. Collective.
  double latency(Index frames) {
    const std::vector<std::string> hosts = parallel::host_names(comm_);
    start_ = host_seconds();
    comm_.broadcast(&start_, 1, 0);
    began_ = ended_ = 0;
    run(frames);
    const double seconds = host_seconds() - start_;
    start_ = 0;
    comm_.broadcast(&began_, 1, 0);
    comm_.broadcast(&ended_, 1, comm_.size() - 1);
    if (std::count(hosts.begin(), hosts.end(), hosts.front()) < comm_.size()) return kUnknown;
    return (ended_ - began_) / seconds;
  }

 private:
  Next begin(Frame& frame, State sample) {
    if (left_ == 0) return Next::end;
    --left_;
    if (start_ > 0) began_ += host_seconds() - start_;
    const Index image = left_ % kImages;
    frame = {left_, static_cast<int>(image % kClasses)};
    std::copy_n(images_.data() + image * kFeatures, kFeatures, sample.data());
    return Next::frame;
  }

  void end(ConstState last) {
    head_->forward(last, {logits_.data(), {1, kClasses}});
    if (start_ > 0) ended_ += host_seconds() - start_;
  }

  const parallel::Communicator& comm_;
  parallel::BlockLayout layout_;
  std::unique_ptr<sequence::Sequence> chain_;
  models::DenseLayer embedding_;
  std::shared_ptr<models::DenseLayer> head_;
  models::CrossEntropy loss_;
  Buffer<Real> images_, sample_, logits_;
  std::optional<train::FramePipeline> predictor_;
  std::optional<train::OnlinePipeline> learner_;
  Index left_ = 0;
  double start_ = 0;              ///< of a run whose latency is asked for
  double began_ = 0, ended_ = 0;  ///< sums over its frames, from there on
};

/// Frames that a rank by itself takes in a run, equal on all ranks.
Index frames_alone(Harness& harness, Stream& alone) {
  if (harness.settings().quick) return kFewest;
  alone.run(1);
  const Stopwatch watch;
  alone.run(kFewest);
  const double frame = harness.team().max(watch.seconds()) / kFewest;
  return std::clamp(static_cast<Index>(kRunSeconds / frame), kFewest, kMost);
}

void run_case(Harness& harness, const Case& what) {
  const parallel::Communicator self = parallel::Communicator::self();
  const int P = harness.team().size();
  Stream alone(self, what), together(harness.team(), what);
  const Index own = frames_alone(harness, alone), all = own * P;
  const std::vector<Seconds> seconds = harness.race(
      {{"side by side", P, [&] { alone.run(own); }}, {"stream", P, [&] { together.run(all); }}});
  Row row{"streams", what.name(), "stream", P, what.options.steps, what.options.width};
  row.seconds = seconds[1];
  row.compare(fmt::format("{} streams on 1 rank each", P), seconds[0]);
  row.frames_per_second = static_cast<double>(all) / seconds[1].median;
  row.latency_ticks = together.latency(all);
  row.demand(kShare);
  harness.add(row);
}

/// These, or all sizes that follow from the steps or widths asked for.
std::vector<Sizes> sizes_or(const Harness& harness, std::vector<Sizes> otherwise) {
  const Settings& asked = harness.settings();
  if (asked.steps.empty() && asked.width.empty()) {
    if (asked.quick) otherwise.resize(1);
    return otherwise;
  }
  std::vector<Sizes> all;
  for (const Index L : harness.steps_or({16, 64}))
    for (const int n : harness.widths_or({16, 64, 256})) all.push_back({L, n});
  return all;
}

}  // namespace

void run_streams(Harness& harness) {
  if (harness.team().size() == 1) {
    harness.note("streams: needs two ranks or more, mpirun -n 2 deeppcr-bench");
    return;
  }
  for (const Group& group : kGroups) {
    for (const auto& [L, n] : sizes_or(harness, group.sizes)) {
      Case what{{}, group.optimiser};
      what.options.model = group.model;
      what.options.steps = L;
      what.options.width = n;
      run_case(harness, what);
    }
    harness.show();
  }
}

}  // namespace deeppcr::bench
