// A sample's states have the same bits whatever other samples are evaluated with it, wherever it
// stands among them and whichever of a sequence's functions computes them. Pipelines and the
// splitting of samples over ranks rest on it.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/random.hpp"
#include "support/bound_model.hpp"
#include "support/model_variant.hpp"

namespace deeppcr {
namespace {

constexpr Index kSteps = 3;
constexpr Index kMostSamples = 33;

using Variant = test::ModelVariant;

constexpr Variant kVariants[] = {
    {"mlp", 1, true},
    {"mlp", 1, false},
    {"affine", 1, true},
    {"resnet", 1, true},
    {"resnet", 1, false},
    {"resnet", 2, true},
    {"resnet", 2, false},
    {"resnet", 3, true},
    {"resnet", 3, false},
    {"resnet", 1, true, /*layer_norm=*/true},
    {"resnet", 2, false, /*layer_norm=*/true},
};

/// Beside each cell's defaults.
constexpr Variant kCells[] = {
    {"rnn", 1, true, false, "layers 2"},
    {"gru", 1, true, false, "layers 2 features 3"},
    {"gru", 1, true, false, "reset before candidate relu"},
    {"lstm", 1, true, false, "layers 3 features 1"},
    {"para-lstm", 1, true, false, "layers 2"},
};

constexpr const char* kActivations[] = {"identity", "tanh", "relu", "silu", "gelu"};

using Case = std::tuple<Variant, int, int>;

/// Of the states after all steps of a range, [m, B, n], and of a sample's bits.
class BatchBits : public testing::TestWithParam<Case> {
 protected:
  BatchBits() {
    const auto& [variant, activation, width] = GetParam();
    const models::ModelOptions options =
        test::options_of(variant, kActivations[activation], width, kSteps);
    n_ = models::state_width(options);
    model_.emplace(options, all(), kMostSamples, /*alike=*/true);
    inputs_ = Buffer<Real>(kMostSamples * n_);
    RandomStream(11, 1).normal(0, inputs_.size(), inputs_.data());
    reference_ = Buffer<Real>(kMostSamples * (kSteps + 1) * n_);
  }

  static StepRange all() { return {0, kSteps}; }
  /// Input and states of one sample, [steps + 1, n].
  Real* reference(Index sample) { return reference_.data() + sample * (kSteps + 1) * n_; }

  /// Input and states of samples by propagate(), [steps + 1, B, n].
  Buffer<Real> propagated(const std::vector<Index>& samples) const {
    const auto batch = static_cast<Index>(samples.size());
    Buffer<Real> states((kSteps + 1) * batch * n_);
    for (Index b = 0; b < batch; ++b)
      std::copy_n(inputs_.data() + samples[static_cast<std::size_t>(b)] * n_, n_,
                  states.data() + b * n_);
    (*model_)->propagate(all(), ConstState(states.data(), {batch, n_}),
                         States(states.data() + batch * n_, {kSteps, batch, n_}));
    return states;
  }

  /// Whether the states [steps, B, n] of each of these samples have the bits of its reference.
  testing::AssertionResult have_the_bits(const Real* states, const std::vector<Index>& samples) {
    const auto batch = static_cast<Index>(samples.size());
    for (Index i = 0; i < kSteps; ++i) {
      for (Index b = 0; b < batch; ++b) {
        const Index sample = samples[static_cast<std::size_t>(b)];
        if (std::memcmp(states + (i * batch + b) * n_, reference(sample) + (i + 1) * n_,
                        static_cast<std::size_t>(n_) * sizeof(Real)) != 0)
          return testing::AssertionFailure() << "sample " << sample << ", at " << b << " of "
                                             << batch << ", differs after step " << i;
      }
    }
    return testing::AssertionSuccess();
  }

  /// Each way to the states of these samples.
  void expect_the_bits_of_the_references(const std::vector<Index>& samples) {
    const auto batch = static_cast<Index>(samples.size());
    const Buffer<Real> states = propagated(samples);
    EXPECT_TRUE(have_the_bits(states.data() + batch * n_, samples)) << "propagate()";
    const ConstStates in(states.data(), {kSteps, batch, n_});
    Buffer<Real> out(kSteps * batch * n_), tangent(n_);
    const States found(out.data(), {kSteps, batch, n_});
    (*model_)->value(all(), in, found);
    EXPECT_TRUE(have_the_bits(out.data(), samples)) << "value()";
    std::fill(out.begin(), out.end(), Real{0});
    (*model_)->linearise(all(), in, found);
    EXPECT_TRUE(have_the_bits(out.data(), samples)) << "linearise()";
    std::fill(out.begin(), out.end(), Real{0});
    RandomStream(11, 2).normal(0, n_, tangent.data());
    (*model_)->propagate_with_tangent(all(), in[0], found, batch / 2, {tangent.data(), {n_}});
    EXPECT_TRUE(have_the_bits(out.data(), samples)) << "propagate_with_tangent()";
  }

  Index n_ = 0;
  std::optional<test::BoundModel> model_;
  Buffer<Real> inputs_, reference_;
};

/// `count` samples from the first on, in order, starting again behind the last.
std::vector<Index> samples_from(Index first, Index count) {
  std::vector<Index> samples;
  for (Index i = 0; i < count; ++i) samples.push_back((first + i) % kMostSamples);
  return samples;
}

TEST_P(BatchBits, DoNotDependOnTheOtherSamples) {
  // The references: each sample with one other.
  for (Index sample = 0; sample < kMostSamples; ++sample) {
    const Buffer<Real> pair = propagated({(sample + 7) % kMostSamples, sample});
    for (Index i = 0; i <= kSteps; ++i)
      std::copy_n(pair.data() + (2 * i + 1) * n_, n_, reference(sample) + i * n_);
  }
  // One sample alone, pairs, all; of the others some, by turns, so that all are met.
  const auto [variant, activation, width] = GetParam();
  std::vector<Index> batches{1, 2, 3, kMostSamples};
  for (Index batch = 4 + (width + activation) % 5; batch < kMostSamples; batch += 5)
    batches.push_back(batch);
  for (const Index batch : batches)
    expect_the_bits_of_the_references(samples_from((5 * batch + width) % kMostSamples, batch));
}

/// The small widths with all activations; of the others, which are where kernels change and some
/// that are odd, each with one activation.
std::vector<Case> cases() {
  constexpr int kSmall = 20;
  constexpr int kLarger[] = {24,  31,  32,  33,  39,  40,  47,  48,  63,  64,  65,  72, 95,
                             100, 127, 128, 129, 130, 136, 160, 191, 200, 256, 257, 300};
  std::vector<Case> cases;
  for (const Variant& variant : kVariants) {
    for (int width = 1; width <= kSmall; ++width)
      for (int activation = 0; activation < 5; ++activation)
        cases.emplace_back(variant, activation, width);
    int activation = 0;
    for (const int width : kLarger) cases.emplace_back(variant, activation++ % 5, width);
  }
  for (const Variant& variant : test::added_variants(kVariants))
    for (const int width : {1, 2, 3, 4, 8, 17}) cases.emplace_back(variant, 1, width);
  for (const Variant& variant : kCells)
    for (const int width : {1, 5, 8, 33, 64, 72}) cases.emplace_back(variant, 1, width);
  return cases;
}

std::string case_name(const testing::TestParamInfo<Case>& info) {
  const auto& [variant, activation, width] = info.param;
  return test::name_of(variant, kActivations[activation], width);
}

INSTANTIATE_TEST_SUITE_P(Models, BatchBits, testing::ValuesIn(cases()), case_name);

}  // namespace
}  // namespace deeppcr
