#include "deeppcr/models/loss.hpp"

#include "deeppcr/core/options.hpp"
#include "deeppcr/models/auc_loss.hpp"
#include "deeppcr/models/class_losses.hpp"
#include "deeppcr/models/losses.hpp"

namespace deeppcr::models {

Index Loss::rows(const StepSet& local) const {
  Index before = 0;
  while (before < local.size() && !reads(local.step(before))) ++before;
  return local.size() - before;
}

LossSizes sizes_for(const sequence::Sequence& chain, int outputs, std::uint64_t seed) {
  const sequence::Columns read = chain.output();
  return {std::max<Index>(chain.num_steps(), 1), read.count, outputs, seed, read.first};
}

namespace {

OptionSpec loss_at_option() {
  const auto& words = loss_places().words;
  return word_option("loss-at", "last", {words.begin(), words.end()},
                     "where outputs count: after the last step of each sample; after each step, as "
                     "a mean over its steps; rate: once, of its mean state (a classifier)");
}

/// Of the losses that classify.
std::vector<OptionSpec> class_options() {
  return {
      loss_at_option(),
      real_option("label-smoothing", "0", 0, 1,
                  "so much of a label is spread evenly over all classes"),
      text_option("class-weights", "equal",
                  "what each class counts: equal, or one number a class, as 1,2.5,1", "W,W,..")};
}

ClassTargets class_targets(const OptionValues& options) {
  return models::class_targets(options.real("label-smoothing"), options.word("class-weights"));
}

LossAt loss_at(const OptionValues& options) { return loss_places().find(options.word("loss-at")); }

Catalogue<LossEntry>& table() {
  static Catalogue<LossEntry> entries{
      "loss",
      {
          {"cross-entropy", "softmax cross-entropy of a linear classifier", class_options(),
           [](const OptionValues& options, const LossSizes& sizes) {
             return std::make_unique<CrossEntropy>(sizes, loss_at(options), class_targets(options));
           }},
          {"binary-cross-entropy",
           "each class by itself against the others, by the sigmoid of a linear classifier",
           class_options(),
           [](const OptionValues& options, const LossSizes& sizes) {
             return std::make_unique<BinaryCrossEntropy>(sizes, loss_at(options),
                                                         class_targets(options));
           }},
          {"auc",
           "area under the ROC curve of --positives, as a saddle point of a network and three "
           "numbers more (CODA)",
           {loss_at_option(),
            whole_option("stage-steps", 0, 0, 1'000'000'000'000,
                         "updates between two reference points that parameters are drawn to; 0: "
                         "the first ones stay"),
            real_option("stage-decay", "3", 1, 1e6,
                        "the learning rate is divided by it after each stage"),
            real_option("proximal", "500", 0, 1e300,
                        "gamma: gradients grow by (parameter - reference point) / gamma; 0: not")},
           [](const OptionValues& options, const LossSizes& sizes) {
             return std::make_unique<AucLoss>(sizes, loss_at(options));
           },
           LabelUse::binary},
          {"mean-square",
           "mean square of what a linear layer differs by from targets",
           {loss_at_option()},
           [](const OptionValues& options, const LossSizes& sizes) {
             return std::make_unique<MeanSquare>(sizes, loss_at(options));
           },
           LabelUse::targets},
          {"squared-error",
           "mean square of what states differ by from the unit vectors of their labels",
           {text_option("loss-rows", "last",
                        "states that count: last, every, or numbers from 1 on, as "
                        "10,20,30")},
           [](const OptionValues& options, const LossSizes& sizes) {
             return std::make_unique<SquaredError>(sizes, options.word("loss-rows"));
           },
           LabelUse::components},
      }};
  return entries;
}

}  // namespace

const std::deque<LossEntry>& losses() { return table().entries(); }

void add_to_catalogue(LossEntry entry) { table().add(std::move(entry)); }

const LossEntry& find_loss(const std::string& name) { return table().find(name); }

std::unique_ptr<Loss> make(const LossOptions& options, const LossSizes& sizes) {
  const LossEntry& entry = find_loss(options.name);
  return entry.make(OptionValues(entry.options, options.own), sizes);
}

}  // namespace deeppcr::models
