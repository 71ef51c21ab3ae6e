#include "app/binary_classes.hpp"

#include <charconv>
#include <utility>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/log.hpp"
#include "deeppcr/train/binary_examples.hpp"

namespace deeppcr::app {

void add_binary_options(cli::Options& options) {
  options.add("Two classes in place of many",
              {text_option("positives", "",
                           "these classes are positive (1), all others negative (0); left out: "
                           "classes stay as they are",
                           "K,K,.."),
               real_option("positive-fraction", "0", 0, 1,
                           "leave out positive training samples, chosen by --seed, until this part "
                           "is positive; 0: none")});
}

BinaryConfig read_binary(const OptionValues& options) {
  BinaryConfig binary;
  binary.fraction = options.real("positive-fraction");
  const std::string text = options.text("positives");
  const char *at = text.data(), *end = at + text.size();
  while (!text.empty()) {
    int one = 0;
    const auto [next, code] = std::from_chars(at, end, one);
    if (code != std::errc() || one < 0 || (next != end && *next != ','))
      throw input_error(
          "--positives '{}': classes separated by commas are needed, such as 5,6,7,8,9", text);
    binary.positives.push_back(one);
    if (next == end) break;
    at = next + 1;
  }
  if (binary.fraction > 0 && text.empty())
    throw input_error("--positive-fraction {} needs --positives K,K,..; leave it out",
                      binary.fraction);
  return binary;
}

void require_positives(const BinaryConfig& config, const models::LossOptions& loss) {
  if (models::find_loss(loss.name).labels == models::LabelUse::binary && config.positives.empty())
    throw input_error(
        "--loss {} compares positive samples with negative ones; say by --positives K,K,.. which "
        "classes are positive",
        loss.name);
}

namespace {

void require_one_label_each(const train::Examples& samples) {
  if (samples.classes() == 0 || samples.labels_each())
    throw input_error(
        "--positives needs samples of one label each, and these have {}; leave it out",
        samples.classes() == 0 ? "none" : "one a step");
}

}  // namespace

std::unique_ptr<train::Examples> binary_training_set(std::unique_ptr<train::Examples> samples,
                                                     const BinaryConfig& config,
                                                     std::uint64_t seed) {
  if (config.positives.empty()) return samples;
  require_one_label_each(*samples);
  for (const int one : config.positives) {
    if (one >= samples->classes())
      throw input_error("--positives {}: the classes of the training samples are 0 to {}", one,
                        samples->classes() - 1);
  }
  const Index all = samples->count();
  auto binary = std::make_unique<train::BinaryExamples>(std::move(samples), config.positives,
                                                        config.fraction, seed);
  const double share = binary->positive_share();
  if (share == 0 || share == 1)
    throw input_error(
        "--positives: {} of the {} training samples are positive; choose classes so that there are "
        "some of both kinds",
        share == 0 ? "none" : "all", all);
  log::info("{} of {} training samples are used, {:.4g} % of them positive", binary->count(), all,
            100 * share);
  return binary;
}

std::unique_ptr<train::Examples> binary_test_set(std::unique_ptr<train::Examples> samples,
                                                 const BinaryConfig& config,
                                                 const models::LossOptions& loss) {
  if (config.positives.empty() || samples->classes() == 0) return samples;
  require_one_label_each(*samples);
  auto binary = std::make_unique<train::BinaryExamples>(std::move(samples), config.positives);
  const double share = binary->positive_share();
  const bool compares = models::find_loss(loss.name).labels == models::LabelUse::binary;
  if (compares && (share == 0 || share == 1))
    throw input_error(
        "--positives: {} of the {} test samples are positive, and --loss {} compares both kinds; "
        "use more of them",
        share == 0 ? "none" : "all", binary->count(), loss.name);
  return binary;
}

}  // namespace deeppcr::app
