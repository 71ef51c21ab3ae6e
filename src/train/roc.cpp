#include "deeppcr/train/roc.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "deeppcr/core/error.hpp"

namespace deeppcr::train {

RocCurve roc_curve(const std::vector<double>& scores, const std::vector<bool>& positive) {
  DEEPPCR_ASSERT(scores.size() == positive.size(), "{} scores of {} samples", scores.size(),
                 positive.size());
  const auto all = static_cast<Index>(scores.size());
  const Index positives = std::count(positive.begin(), positive.end(), true);
  const Index negatives = all - positives;
  const bool known =
      std::none_of(scores.begin(), scores.end(), [](double score) { return std::isnan(score); });
  if (positives == 0 || negatives == 0 || !known) return {};
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
  RocCurve curve{{std::numeric_limits<double>::infinity()}, {0}, {0}};
  Index taken_positives = 0, taken_negatives = 0, twice_pairs = 0;
  for (auto at = order.begin(); at != order.end();) {
    const double score = scores[*at];
    Index p = 0, n = 0;  // of this score
    for (; at != order.end() && scores[*at] == score; ++at) ++(positive[*at] ? p : n);
    taken_positives += p;
    taken_negatives += n;
    // these positives: above all negatives that are left, equal to n
    twice_pairs += p * (2 * (negatives - taken_negatives) + n);
    curve.thresholds.push_back(score);
    curve.true_positives.push_back(static_cast<double>(taken_positives) /
                                   static_cast<double>(positives));
    curve.false_positives.push_back(static_cast<double>(taken_negatives) /
                                    static_cast<double>(negatives));
  }
  curve.area = static_cast<double>(twice_pairs) / static_cast<double>(2 * positives * negatives);
  return curve;
}

}  // namespace deeppcr::train
