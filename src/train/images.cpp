#include "deeppcr/train/images.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "deeppcr/core/error.hpp"
#include "train/random_order.hpp"

namespace deeppcr::train {

namespace {

constexpr int kFewestClasses = 10;
constexpr std::uint64_t kPictureStream = 0x70696374;  // "pict"
constexpr std::uint64_t kNoiseStream = 0x6e6f6973;    // "nois"
constexpr std::uint64_t kChangeStream = 0x63686167;   // "chag"
constexpr std::uint64_t kPlaceStream = 0x706c6163;    // "plac"

int classes_of(const std::vector<unsigned char>& labels) {
  const int largest = labels.empty() ? 0 : *std::max_element(labels.begin(), labels.end());
  return std::max(kFewestClasses, largest + 1);
}

unsigned char to_pixel(double value) {
  return static_cast<unsigned char>(std::lround(std::clamp(value, 0.0, 255.0)));
}

}  // namespace

Images::Images(Index height, Index width, std::vector<unsigned char> pixels,
               std::vector<unsigned char> labels)
    : height_(height),
      width_(width),
      classes_(classes_of(labels)),
      pixels_(std::move(pixels)),
      labels_(std::move(labels)) {
  DEEPPCR_ASSERT(static_cast<Index>(pixels_.size()) == count() * features(),
                 "{} pixels for {} images of {}", pixels_.size(), count(), features());
}

Images Images::random(Index count, std::uint64_t seed, std::uint64_t stream) {
  constexpr Index kSide = 8, kPixels = kSide * kSide;
  constexpr double kDeviation = 60;
  const RandomStream pictures(seed, kPictureStream), noise(seed, (kNoiseStream << 8) + stream);
  std::vector<unsigned char> pixels, labels;
  pixels.reserve(static_cast<std::size_t>(count * kPixels));
  for (Index i = 0; i < count; ++i) {
    const Index label = i % kFewestClasses;
    labels.push_back(static_cast<unsigned char>(label));
    for (Index k = 0; k < kPixels; ++k) {
      pixels.push_back(to_pixel(255 * pictures.uniform(label * kPixels + k) +
                                kDeviation * noise.normal(i * kPixels + k)));
    }
  }
  return {kSide, kSide, std::move(pixels), std::move(labels)};
}

Normalisation Images::normalisation() const {
  // whole numbers: the same for any order
  Index sum = 0, squares = 0;
  for (const Index pixel : pixels_) {
    sum += pixel;
    squares += pixel * pixel;
  }
  const auto number = static_cast<double>(std::max<std::size_t>(pixels_.size(), 1));
  const double mean = static_cast<double>(sum) / number;
  const double variance = static_cast<double>(squares) / number - mean * mean;
  return {{mean / 255}, {variance > 0 ? std::sqrt(variance) / 255 : 1}};
}

void Images::permute(std::uint64_t seed) {
  places_.clear();
  if (seed == 0) return;
  places_ = random_order(features(), RandomStream(seed, kPlaceStream));
}

void Images::broadcast_labels(const parallel::Communicator& comm) {
  for (Index* size : {&height_, &width_}) comm.broadcast(*size, 0);
  comm.broadcast(labels_, 0);
  classes_ = classes_of(labels_);
}

void Images::broadcast_pixels(const parallel::Communicator& comm) {
  pixels_.resize(static_cast<std::size_t>(count() * features()));
  constexpr Index kAtOnce = Index{1} << 28;
  const auto size = static_cast<Index>(pixels_.size());
  for (Index first = 0; first < size; first += kAtOnce)
    comm.broadcast(pixels_.data() + first, std::min(kAtOnce, size - first), 0);
}

void Images::distribute(const parallel::ProcessGrid& grid) {
  if (grid.depth().rank() == 0) broadcast_pixels(grid.data());
}

void Images::fill(const Index* samples, Index epoch, const Normalisation& normalisation,
                  const Augmentation& augmentation, State out) const {
  // what a pixel becomes, for each of its 256 values
  std::array<Real, 256> feature{};
  for (std::size_t v = 0; v < feature.size(); ++v)
    feature[v] =
        (static_cast<Real>(v) / 255 - normalisation.mean.front()) / normalisation.deviation.front();
  const RandomStream random(augmentation.seed,
                            (kChangeStream << 32) + static_cast<std::uint64_t>(epoch));
  const Index reach = 2 * augmentation.shift + 1;
  for (Index b = 0; b < out.extent(0); ++b) {
    const Index sample = samples[b];
    const unsigned char* image = pixels_.data() + sample * features();
    const Index down = random.integer(3 * sample, reach) - augmentation.shift;
    const Index right = random.integer(3 * sample + 1, reach) - augmentation.shift;
    const bool flip = augmentation.flip && random.integer(3 * sample + 2, 2) == 1;
    for (Index y = 0; y < height_; ++y) {
      for (Index x = 0; x < width_; ++x) {
        const Index from_y = y - down, from_x = (flip ? width_ - 1 - x : x) - right;
        const bool inside = from_y >= 0 && from_y < height_ && from_x >= 0 && from_x < width_;
        const Index pixel = y * width_ + x;
        const Index place = places_.empty() ? pixel : places_[static_cast<std::size_t>(pixel)];
        out(b, place) = feature[inside ? image[from_y * width_ + from_x] : 0];
      }
    }
  }
}

}  // namespace deeppcr::train
