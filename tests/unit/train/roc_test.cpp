// Area under the ROC curve against all pairs; samples as those of two classes.
#include "deeppcr/train/roc.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/random.hpp"
#include "deeppcr/train/binary_examples.hpp"
#include "deeppcr/train/images.hpp"

namespace deeppcr::train {
namespace {

/// Of all pairs of a positive and a negative sample.
double area_by_pairs(const std::vector<double>& scores, const std::vector<bool>& positive) {
  double won = 0, pairs = 0;
  for (std::size_t i = 0; i < scores.size(); ++i)
    for (std::size_t j = 0; j < scores.size(); ++j) {
      if (!positive[i] || positive[j]) continue;
      ++pairs;
      won += scores[i] > scores[j] ? 1 : scores[i] == scores[j] ? 0.5 : 0;
    }
  return won / pairs;
}

TEST(RocCurve, AreaIsThatOfAllPairsBitForBitWithTies) {
  const RandomStream random(3, 1);
  Index at = 0;
  for (const Index size : {2, 3, 10, 101, 400})
    for (const Index values : {1, 2, 5, 1000000}) {
      SCOPED_TRACE(fmt::format("{} scores of {} values", size, values));
      std::vector<double> scores;
      std::vector<bool> positive;
      for (Index i = 0; i < size; ++i) {
        positive.push_back(i == 0 || (i > 1 && random.integer(at++, 3) == 0));
        scores.push_back(0.25 * static_cast<double>(random.integer(at++, values)) - 3);
      }
      const RocCurve curve = roc_curve(scores, positive);
      EXPECT_EQ(curve.area, area_by_pairs(scores, positive));
      double trapezoids = 0;
      for (std::size_t k = 1; k < curve.thresholds.size(); ++k) {
        EXPECT_LT(curve.thresholds[k], curve.thresholds[k - 1]);
        trapezoids += (curve.false_positives[k] - curve.false_positives[k - 1]) *
                      (curve.true_positives[k] + curve.true_positives[k - 1]) / 2;
      }
      EXPECT_NEAR(curve.area, trapezoids, 1e-13);
      EXPECT_EQ(curve.false_positives.front() + curve.true_positives.front(), 0);
      EXPECT_EQ(curve.false_positives.back() + curve.true_positives.back(), 2);
    }
}

TEST(RocCurve, IsNotKnownOfOneClassOrOfNoNumbers) {
  EXPECT_TRUE(roc_curve({}, {}).empty());
  EXPECT_TRUE(roc_curve({1, 2}, {true, true}).empty());
  EXPECT_TRUE(roc_curve({1, 2}, {false, false}).empty());
  EXPECT_TRUE(roc_curve({1, std::nan("")}, {true, false}).empty());
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  EXPECT_EQ(roc_curve({kInfinite, -kInfinite}, {true, false}).area, 1);
}

std::unique_ptr<Examples> images() { return std::make_unique<Images>(Images::random(500, 1, 0)); }

TEST(BinaryExamples, AreTheSamplesOfTheirClasses) {
  const Images all = Images::random(500, 1, 0);
  const BinaryExamples binary(images(), {7, 2});
  ASSERT_EQ(binary.count(), 500);
  EXPECT_EQ(binary.positive_share(), 0.2);
  for (Index i = 0; i < 500; ++i)
    EXPECT_EQ(binary.label(i), all.label(i) == 2 || all.label(i) == 7 ? 1 : 0);
}

TEST(BinaryExamples, ThinsOutPositiveSamplesBySeed) {
  const Images all = Images::random(500, 1, 0);
  const BinaryExamples thin(images(), {5, 6, 7, 8, 9}, 0.1, 4),
      same(images(), {5, 6, 7, 8, 9}, 0.1, 4), other(images(), {5, 6, 7, 8, 9}, 0.1, 5);
  ASSERT_EQ(thin.count(), 278);  // 250 / 0.9
  EXPECT_DOUBLE_EQ(thin.positive_share(), 28.0 / 278);
  Buffer<Real> a(64), b(64), c(64);
  Index differ = 0, positives = 0;
  for (Index i = 0; i < thin.count(); ++i) {
    positives += thin.label(i);
    thin.fill(&i, 0, {}, {}, {a.data(), {1, 64}});
    same.fill(&i, 0, {}, {}, {b.data(), {1, 64}});
    other.fill(&i, 0, {}, {}, {c.data(), {1, 64}});
    EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin()));
    differ += std::equal(a.begin(), a.end(), c.begin()) ? 0 : 1;
  }
  EXPECT_EQ(positives, 28);
  EXPECT_GT(differ, 28);
  EXPECT_THROW(BinaryExamples(images(), {5}, 0.2, 1), Error);     // there are 50 of 500
  EXPECT_THROW(BinaryExamples(images(), {5}, 0.0001, 1), Error);  // less than one
  EXPECT_THROW(BinaryExamples(images(), {5}, 1, 1), Error);
}

}  // namespace
}  // namespace deeppcr::train
