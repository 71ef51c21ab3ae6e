#include "models/layered_chain.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <tuple>
#include <vector>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/processor.hpp"
#include "deeppcr/core/random.hpp"
#include "deeppcr/models/catalogue.hpp"
#include "support/model_options.hpp"
#include "support/rows.hpp"

namespace deeppcr::models {
namespace {

constexpr double kEps = std::numeric_limits<double>::epsilon();

Buffer<Real> normal(Index count, std::uint64_t stream) {
  Buffer<Real> x(count);
  RandomStream(17, stream).normal(0, count, x.data());
  return x;
}

LayeredChain mlp_chain(Index steps, int width, const StepSet& local,
                       Initialisation kind = Initialisation::fan_in) {
  return {{width, 1, Activation::tanh}, steps, local, {kind}};
}

TEST(LayeredChain, ParametersDoNotDependOnTheSplit) {
  constexpr Index kSteps = 10;
  for (const char* name : {"mlp", "resnet", "affine"}) {
    for (const char* init : {"default", "he", "orthogonal"}) {
      ModelOptions options;
      options.model = name;
      test::set_where_known(options, "init", init);
      options.steps = kSteps;
      options.width = 3;
      const auto whole = make(options, {0, kSteps});
      for (const StepRange part : {StepRange{0, 4}, {4, 5}, {5, 10}, {10, 10}}) {
        const auto piece = make(options, part);
        const View<Real, 2> here = test::rows_of(*piece), all = test::rows_of(*whole);
        ASSERT_EQ(here.extent(0), part.size());
        for (Index l = part.first; l < part.last; ++l)
          for (Index i = 0; i < here.extent(1); ++i)
            EXPECT_EQ(here(l - part.first, i), all(l, i)) << name << " " << init;
      }
    }
  }
}

TEST(LayeredChain, MlpStepIsSigmaOfWzPlusB) {
  LayeredChain mlp = mlp_chain(1, 2, {0, 1}, Initialisation::zero);
  // W = [1 2; 3 4], column-major, b = [0.5, -0.5]
  const double theta[] = {1, 3, 2, 4, 0.5, -0.5};
  std::copy(std::begin(theta), std::end(theta), mlp.rows().begin());
  Buffer<Real> z(2), out(2);
  z[0] = 0.1;
  z[1] = -0.2;
  mlp.value({0, 1}, {z.data(), {1, 1, 2}}, {out.data(), {1, 1, 2}});
  EXPECT_NEAR(out[0], std::tanh(0.1 - 0.4 + 0.5), 4 * kEps);
  EXPECT_NEAR(out[1], std::tanh(0.3 - 0.8 - 0.5), 4 * kEps);
}

TEST(LayeredChain, ResNetScalesItsBranch) {
  constexpr Index kSteps = 16;
  for (const auto& [scale, h] :
       {std::pair{"none", 1.0}, std::pair{"1/sqrt(L)", 0.25}, std::pair{"1/L", 0.0625}}) {
    ModelOptions options;
    options.model = "resnet";
    options.steps = kSteps;
    options.set("residual-scale", scale).set("init", "zero");
    const auto net = make(options, {7, 8});
    const double theta[] = {2, 0.1, -3, 0.2};  // W1, b1, W2, b2
    std::copy(std::begin(theta), std::end(theta), test::rows_of(*net).begin());
    const double z = 0.3;
    double out = 0;
    net->value({7, 8}, {&z, {1, 1, 1}}, {&out, {1, 1, 1}});
    EXPECT_NEAR(out, z + h * std::tanh(-3 * std::tanh(2 * z + 0.1) + 0.2), 8 * kEps);
  }
}

TEST(LayeredChain, AffineContractsEverySingularValue) {
  ModelOptions options;
  options.model = "affine";
  options.steps = 2;
  options.width = 6;
  options.set("contraction", 0.7);
  const auto affine = make(options, {0, 2});
  const int n = options.width;
  for (Index l = 0; l < 2; ++l) {
    const Real* A = test::rows_of(*affine)[l].data();
    for (int j = 0; j < n; ++j)
      for (int k = 0; k < n; ++k) {
        double product = 0;
        for (int i = 0; i < n; ++i) product += A[j * n + i] * A[k * n + i];
        EXPECT_NEAR(product, j == k ? 0.49 : 0, 10 * n * kEps);
      }
  }
}

// Widths with kernels of their own, and panels of several tiles whose borders cut through samples.
TEST(LayeredChain, WideAndManyColumnsAgreeWithTheBlocks) {
  for (const int n : {8, 16, 32, 64, 65, 129}) {
    for (const int layers : {1, 2}) {
      const LayeredChain net({n, layers, Activation::tanh, true, true}, 1, {0, 1}, {});
      const Index batch = 3, k = n + 1;
      const Buffer<Real> z = normal(batch * n, 1), V = normal(batch * k * n, 2);
      Buffer<Real> out(batch * n), A(batch * n * n), W(V.size()), Wt(V.size());
      const auto J = net.linearise({0, 1}, {z.data(), {1, batch, n}}, {out.data(), {1, batch, n}});
      J->blocks({0, 1}, {A.data(), {1, batch, n, n}});
      J->product(0, Direction::forward, {V.data(), {batch, k, n}}, {W.data(), {batch, k, n}});
      J->product(0, Direction::backward, {V.data(), {batch, k, n}}, {Wt.data(), {batch, k, n}});
      for (Index b = 0; b < batch; ++b)
        for (Index c = 0; c < k; ++c)
          for (Index i = 0; i < n; ++i) {
            const Real* v = V.data() + (b * k + c) * n;
            double forward = 0, backward = 0, size = 1;
            for (Index j = 0; j < n; ++j) {
              forward += A[(b * n + j) * n + i] * v[j];
              backward += A[(b * n + i) * n + j] * v[j];
              size += std::fabs(v[j]);
            }
            ASSERT_NEAR(W[(b * k + c) * n + i], forward, 10 * n * size * kEps)
                << n << " " << layers;
            ASSERT_NEAR(Wt[(b * k + c) * n + i], backward, 10 * n * size * kEps);
          }
    }
  }
}

// Linearisations share kernels and give their memory back to one pool; neither may mix them up.
TEST(LayeredChain, LinearisationsAtDifferentStatesLiveSideBySide) {
  const LayeredChain mlp = mlp_chain(3, 4, {0, 3});
  const auto linearise_at = [&](const Buffer<Real>& z, Index batch) {
    Buffer<Real> out(z.size());
    return mlp.linearise({0, 3}, {z.data(), {3, batch, 4}}, {out.data(), {3, batch, 4}});
  };
  const auto column = [&](const blocks::Linearisation& J, Index batch) {
    const Buffer<Real> v = normal(batch * 4, 9);
    std::vector<double> w(static_cast<std::size_t>(batch) * 4);
    J.product(1, Direction::forward, {v.data(), {batch, 1, 4}}, {w.data(), {batch, 1, 4}});
    return w;
  };
  const Buffer<Real> z1 = normal(3 * 2 * 4, 1), z2 = normal(3 * 2 * 4, 2), z3 = normal(3 * 4, 3);
  const auto first = column(*linearise_at(z1, 2), 2);
  const auto second = column(*linearise_at(z2, 2), 2);
  const auto J1 = linearise_at(z1, 2), J2 = linearise_at(z2, 2), J3 = linearise_at(z3, 1);
  EXPECT_NE(first, second);
  EXPECT_EQ(column(*J1, 2), first);
  column(*J3, 1);
  EXPECT_EQ(column(*J2, 2), second);
  EXPECT_EQ(column(*J1, 2), first);
}

/// One sample's steps have kernels of their own for some widths; every width and every place that
/// weights come from must give the bits of single steps.
class OneSample : public ::testing::TestWithParam<std::tuple<const char*, const char*>> {
 protected:
  static std::unique_ptr<sequence::Sequence> chain(int width, Index steps) {
    ModelOptions options;
    options.model = std::get<0>(GetParam());
    test::set_where_known(options, "activation", std::get<1>(GetParam()));
    test::set_where_known(options, "residual-scale", "1/L");
    test::set_where_known(options, "block-layers", 1);
    options.steps = steps;
    options.width = width;
    return make(options, {0, steps});
  }

  /// So many that the weights do not fit the caches near the core.
  static Index steps_from_memory(int width) {
    return 3 * second_level_cache() / (width * width * Index{sizeof(Real)}) + 1;
  }

  static void expect_bits_of_single_steps(int width, Index steps) {
    const auto model = chain(width, steps);
    const StepRange all{0, steps};
    const Buffer<Real> z = normal(width, 5);
    Buffer<Real> one_by_one(steps * width), run(steps * width), with_tangent(steps * width);
    const ConstState start(z.data(), {1, width});
    const std::array<Index, 3> shape{steps, 1, width};
    ConstStates from(z.data(), {1, 1, width});
    for (Index l = 0; l < steps; ++l) {
      const States to(one_by_one.data() + l * width, {1, 1, width});
      model->value({l, l + 1}, from, to);
      from = to;
    }
    model->propagate(all, start, {run.data(), shape});
    Buffer<Real> tangent = normal(width, 6);
    model->propagate_with_tangent(all, start, {with_tangent.data(), shape}, 0,
                                  {tangent.data(), {width}});
    for (Index i = 0; i < run.size(); ++i) {
      ASSERT_EQ(run[i], one_by_one[i]) << "width " << width << " step " << i / width;
      ASSERT_EQ(with_tangent[i], one_by_one[i]) << "width " << width << " step " << i / width;
    }
  }

  /// Of the first steps.
  static constexpr Index kTangentSteps = 5;
  static void expect_products_with_the_jacobians(int width, Index steps) {
    const auto model = chain(width, steps);
    const Buffer<Real> z = normal(width, 5), t = normal(width, 6);
    Buffer<Real> states(kTangentSteps * width), tangent(width), expected(width), image(width);
    std::copy(t.begin(), t.end(), tangent.begin());
    std::copy(t.begin(), t.end(), expected.begin());
    model->propagate_with_tangent({0, kTangentSteps}, {z.data(), {1, width}},
                                  {states.data(), {kTangentSteps, 1, width}}, 0,
                                  {tangent.data(), {width}});
    for (Index l = 0; l < kTangentSteps; ++l) {
      const Real* from = l == 0 ? z.data() : states.data() + (l - 1) * width;
      Buffer<Real> out(width);
      model->linearise({l, l + 1}, {from, {1, 1, width}}, {out.data(), {1, 1, width}})
          ->product(l, Direction::forward, {expected.data(), {1, 1, width}},
                    {image.data(), {1, 1, width}});
      std::copy(image.begin(), image.end(), expected.begin());
    }
    for (int i = 0; i < width; ++i)
      EXPECT_NEAR(tangent[i], expected[i], 16 * kTangentSteps * width * kEps)
          << width << " of " << steps << " steps";
  }
};

TEST_P(OneSample, HasTheBitsOfSingleSteps) {
  for (const int width : {1, 2, 3, 4, 5, 8, 12, 16, 17, 24, 32, 48, 64, 65, 96})
    expect_bits_of_single_steps(width, 9);
}

TEST_P(OneSample, HasTheBitsOfSingleStepsWithWeightsFromMemory) {
  for (const int width : {8, 16, 32, 64, 96})
    expect_bits_of_single_steps(width, steps_from_memory(width));
}

TEST_P(OneSample, PushesTheTangentThroughEachJacobian) {
  for (const int width : {2, 4, 8, 16, 17, 32, 64, 96}) {
    expect_products_with_the_jacobians(width, kTangentSteps);
    expect_products_with_the_jacobians(width, steps_from_memory(width));
  }
}

INSTANTIATE_TEST_SUITE_P(Models, OneSample,
                         ::testing::Values(std::tuple{"mlp", "identity"}, std::tuple{"mlp", "tanh"},
                                           std::tuple{"mlp", "relu"}, std::tuple{"mlp", "silu"},
                                           std::tuple{"mlp", "gelu"}, std::tuple{"resnet", "tanh"},
                                           std::tuple{"resnet", "relu"},
                                           std::tuple{"resnet", "silu"},
                                           std::tuple{"resnet", "gelu"},
                                           std::tuple{"affine", "tanh"}));

TEST(LayeredChain, NaNInAWeightReachesStateAndTangent) {
  for (const int n : {4, 16, 17}) {
    LayeredChain mlp = mlp_chain(3, n, {0, 3});
    mlp.rows()(1, 5) = std::numeric_limits<double>::quiet_NaN();
    const Buffer<Real> z = normal(n, 1);
    Buffer<Real> out(3 * n), tangent = normal(n, 2);
    mlp.propagate({0, 3}, {z.data(), {1, n}}, {out.data(), {3, 1, n}});
    for (Index i = 0; i < n; ++i) EXPECT_TRUE(std::isfinite(out[i])) << n;
    EXPECT_TRUE(std::isnan(out[2 * n])) << n;
    mlp.propagate_with_tangent({0, 3}, {z.data(), {1, n}}, {out.data(), {3, 1, n}}, 0,
                               {tangent.data(), {n}});
    EXPECT_TRUE(std::isnan(out[2 * n]) && std::isnan(tangent[0])) << n;
  }
}

TEST(LayeredChain, RefusesSizesWithoutSense) {
  EXPECT_THROW(mlp_chain(1, 0, {0, 0}), Error);
  EXPECT_THROW(mlp_chain(1, -3, {0, 0}), Error);
  EXPECT_THROW(mlp_chain(1, 1000000000, {0, 1}), Error);
  EXPECT_THROW(mlp_chain(-1, 4, {0, 0}), Error);
  EXPECT_THROW(mlp_chain(Index{1} << 60, 4, {0, Index{1} << 60}), Error);
  EXPECT_THROW(LayeredChain({1, 0}, 0, {0, 0}, {}), Error);
}

TEST(LayeredChain, RefusesUnknownScales) {
  ModelOptions options;
  options.model = "resnet";
  EXPECT_THROW(options.set("residual-scale", "L"), Error);
}

}  // namespace
}  // namespace deeppcr::models
