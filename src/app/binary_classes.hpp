#pragma once

#include <memory>
#include <vector>

#include "deeppcr/cli/options.hpp"
#include "deeppcr/models/loss.hpp"
#include "deeppcr/train/examples.hpp"

namespace deeppcr::app {

/// Classes as two: positive or not.
struct BinaryConfig {
  std::vector<int> positives;  ///< classes; empty: classes stay as they are
  double fraction = 0;         ///< of the training samples that is positive; 0: all of them stay
};

void add_binary_options(cli::Options& options);
/// @throws Error for words that are no classes
BinaryConfig read_binary(const OptionValues& options);

/// @throws Error where the loss needs them, and there are none
void require_positives(const BinaryConfig& config, const models::LossOptions& loss);

/// Samples of two classes, of which positive ones are left out by the seed; the same where the
/// configuration asks for none. @throws Error where there are none of one kind
std::unique_ptr<train::Examples> binary_training_set(std::unique_ptr<train::Examples> samples,
                                                     const BinaryConfig& config,
                                                     std::uint64_t seed);
/// All samples of a set to be scored, which may have no labels. @throws Error where the loss needs
/// some of both kinds
std::unique_ptr<train::Examples> binary_test_set(std::unique_ptr<train::Examples> samples,
                                                 const BinaryConfig& config,
                                                 const models::LossOptions& loss);

}  // namespace deeppcr::app
