#pragma once

#include <vector>

#include "deeppcr/core/types.hpp"

namespace deeppcr::train {

/// What samples with a score of at least a threshold are of two classes, from none to all of them.
struct RocCurve {
  std::vector<double> thresholds;  ///< falling, the first infinite; then each score once
  std::vector<double> false_positives, true_positives;  ///< shares of the class, from 0 to 1
  /// Area under the curve: the share of pairs of a positive and a negative sample in which the
  /// positive one has the larger score, where equal scores count half.
  double area = 0;

  /// Nothing is known: one of the classes is missing, or a score is no number.
  bool empty() const { return thresholds.empty(); }
};

/// The counts behind the area are whole numbers, so it is exact but for one division.
/// Cost: one sort of the scores.
RocCurve roc_curve(const std::vector<double>& scores, const std::vector<bool>& positive);

}  // namespace deeppcr::train
