#include "deeppcr/train/images.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "deeppcr/core/buffer.hpp"
#include "support/environment.hpp"

namespace deeppcr::train {
namespace {

/// Two images of 2 x 3 pixels.
Images small() { return {2, 3, {0, 51, 102, 153, 204, 255, 1, 2, 3, 4, 5, 6}, {7, 12}}; }

std::vector<double> features(const Images& images, Index sample, Index epoch,
                             const Augmentation& augmentation) {
  Buffer<Real> out(images.features());
  images.fill(&sample, epoch, {{0}, {1.0 / 255}}, augmentation,
              {out.data(), {1, images.features()}});
  std::vector<double> pixels;
  for (const Real value : out) pixels.push_back(std::round(value));
  return pixels;
}

TEST(Images, AreNormalised) {
  const Images images = small();
  EXPECT_EQ(images.classes(), 13);
  const Normalisation normalisation = images.normalisation();
  Buffer<Real> out(12);
  const Index both[] = {0, 1};
  images.fill(both, 0, normalisation, {}, {out.data(), {2, 6}});
  double sum = 0, squares = 0;
  for (const Real value : out) {
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum, 0, 1e-13);
  EXPECT_NEAR(squares / 12, 1, 1e-13);
}

TEST(Images, OneGreyStaysFinite) {
  const Images images(1, 2, {9, 9}, {0});
  EXPECT_EQ(images.normalisation().deviation.front(), 1);
}

TEST(Images, AreShiftedAndFlipped) {
  const Images images = small();
  bool moved = false, mirrored = false, same = false;
  for (Index epoch = 0; epoch < 40; ++epoch) {
    const auto shifted = features(images, 0, epoch, {1, false, 5});
    EXPECT_EQ(shifted, features(images, 0, epoch, {1, false, 5}));  // by seed, epoch, sample
    // down 1, right 1: the first row and column are empty
    moved = moved || shifted == std::vector<double>{0, 0, 0, 0, 0, 51};
    const auto flipped = features(images, 0, epoch, {0, true, 5});
    mirrored = mirrored || flipped == std::vector<double>{102, 51, 0, 255, 204, 153};
    same = same || flipped == std::vector<double>{0, 51, 102, 153, 204, 255};
  }
  EXPECT_TRUE(moved);
  EXPECT_TRUE(mirrored);
  EXPECT_TRUE(same);
}

TEST(Images, ReachAllRanks) {
  Images images = test::world().is_root() ? small() : Images();
  images.broadcast_labels(test::world());
  images.broadcast_pixels(test::world());
  EXPECT_EQ(images.label(1), 12);
  EXPECT_EQ(features(images, 1, 0, {}), (std::vector<double>{1, 2, 3, 4, 5, 6}));
}

TEST(Images, RandomOnesHaveAClassToLearn) {
  const Images one = Images::random(20, 3, 0), other = Images::random(20, 3, 1);
  EXPECT_EQ(one.count(), 20);
  EXPECT_EQ(one.label(13), 3);
  EXPECT_NE(features(one, 0, 0, {}), features(other, 0, 0, {}));  // other noise
}

}  // namespace
}  // namespace deeppcr::train
