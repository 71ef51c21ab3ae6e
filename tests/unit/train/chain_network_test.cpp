// A whole network against PyTorch's, see tests/golden/make_training.py, on every grid and by every
// method.
#include "deeppcr/train/chain_network.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "deeppcr/linear/catalogue.hpp"
#include "deeppcr/models/catalogue.hpp"
#include "deeppcr/models/class_losses.hpp"
#include "deeppcr/train/images.hpp"
#include "deeppcr/train/trainer.hpp"
#include "support/environment.hpp"
#include "support/pass_options.hpp"

namespace deeppcr::train {
namespace {

using nlohmann::json;
using Numbers = std::vector<double>;

const json& golden() {
  static const json file = [] {
    std::ifstream stream(DEEPPCR_GOLDEN_DIR "/training.json");
    return json::parse(stream);
  }();
  return file;
}

/// W row-major [out, in] and b become the rows of a group: W column-major, then b.
Numbers to_rows(const json& layer, Index out, Index in) {
  const Numbers W = layer["W"], b = layer["b"];
  Numbers rows(W.size());
  for (Index i = 0; i < out; ++i) {
    for (Index j = 0; j < in; ++j)
      rows[static_cast<std::size_t>(j * out + i)] = W[static_cast<std::size_t>(i * in + j)];
  }
  rows.insert(rows.end(), b.begin(), b.end());
  return rows;
}

/// All numbers of a group as PyTorch has them.
Numbers numbers_of(const json& parts, const std::string& group) {
  const Index n = golden()["width"];
  if (group == "embedding") {
    return to_rows(parts["embedding"], n,
                   golden()["height"].get<Index>() * golden()["columns"].get<Index>());
  }
  if (group == "head") return to_rows(parts["head"], 10, n);
  Numbers all;
  for (const json& layer : parts["layers"]) {
    const Numbers rows = to_rows(layer, n, n);
    all.insert(all.end(), rows.begin(), rows.end());
  }
  return all;
}

Images golden_images() {
  return {golden()["height"], golden()["columns"], golden()["pixels"], golden()["labels"]};
}

struct Method {
  const char* forward;
  const char* backward;
};
const Method kMethods[] = {{"sequential", "sequential"},
                           {"hybrid", "hybrid"},
                           {"pcr", "pcr"},
                           {"sequential", "pcr"},
                           {"hybrid", "sequential"},
                           {"gpipe", "gpipe"},
                           {"1f1b", "1f1b"},
                           {"zero-bubble", "zero-bubble"}};

/// The network of one case on one grid.
struct Fixture {
  Fixture(const json& network, int depth_ranks, const Method& method)
      : grid(test::world(), depth_ranks, test::world().size() / depth_ranks),
        images(golden_images()),
        net(grid, parts_of(network, grid), options_of(method, grid), images) {
    for (ParameterGroup& group : net.parameters()) {
      const Numbers all = numbers_of(network["start"], group.array.name);
      std::copy_n(all.begin() + static_cast<std::ptrdiff_t>(offset(group)),
                  group.array.local_size(), group.array.values);
    }
  }

  static parallel::BlockLayout layout_of(const parallel::ProcessGrid& grid) {
    return parallel::BlockLayout::balanced(golden()["steps"], grid.depth().size());
  }
  static ChainNetwork::Parts parts_of(const json& network, const parallel::ProcessGrid& grid) {
    models::ModelOptions model;
    model.model = "resnet";
    model.set("activation", network["name"].get<std::string>());
    model.set("block-layers", golden()["block_layers"].get<int>());
    if (network["layer_norm"]) model.set("layer-norm", "true");
    model.steps = golden()["steps"];
    model.width = golden()["width"];
    const int features = golden()["height"].get<int>() * golden()["columns"].get<int>();
    return {
        models::make(model, layout_of(grid).range(grid.depth().rank())),
        std::make_unique<models::DenseLayer>(models::LayerRole::embedding, features, model.width,
                                             1),
        std::make_unique<models::CrossEntropy>(models::LossSizes{model.steps, model.width, 10, 1})};
  }
  static ChainNetwork::Options options_of(const Method& method, const parallel::ProcessGrid& grid) {
    ChainNetwork::Options options;
    options.layout = layout_of(grid);
    options.batch = static_cast<Index>(golden()["labels"].size());
    test::set_passes(options.methods, method.forward, method.backward);
    options.normalisation = {{golden()["mean"].get<double>()},
                             {golden()["deviation"].get<double>()}};
    return options;
  }
  static Index offset(const ParameterGroup& group) {
    return group.array.own.range().first * group.array.row_size;
  }

  /// Each number that this rank holds, relative to the largest of its group.
  void expect(const json& parts, bool gradients, const std::string& what) {
    for (const ParameterGroup& group : net.parameters()) {
      const Numbers all = numbers_of(parts, group.array.name);
      double largest = 0;
      for (const double value : all) largest = std::fmax(largest, std::fabs(value));
      const Real* values = gradients ? group.gradient : group.array.values;
      for (Index i = 0; i < group.array.local_size(); ++i) {
        ASSERT_NEAR(values[i], all[static_cast<std::size_t>(offset(group) + i)], 1e-12 * largest)
            << what << ", " << group.array.name << " " << i;
      }
    }
  }

  parallel::ProcessGrid grid;
  Images images;
  ChainNetwork net;
};

template <typename Body>
void for_each_grid_and_method(Body&& body) {
  const int P = test::world().size();
  for (int depth = 1; depth <= P; ++depth) {
    if (P % depth != 0) continue;
    for (const Method& method : kMethods) {
      SCOPED_TRACE(
          fmt::format("{} depth ranks, {} and {}", depth, method.forward, method.backward));
      body(depth, method);
    }
  }
}

TEST(ChainNetwork, GradientsAreThoseOfPyTorch) {
  for (const json& network : golden()["cases"]) {
    for_each_grid_and_method([&](int depth, const Method& method) {
      Fixture fixture(network, depth, method);
      const std::vector<Index> samples{0, 1, 2, 3, 4, 5};
      const StepOutcome outcome = fixture.net.differentiate({0, 0, samples.data(), 6});
      EXPECT_NEAR(outcome.loss, network["losses"][0].get<double>(), 1e-13);
      fixture.expect(network["gradient"], true, "gradient");
    });
  }
}

/// Those of each data rank's own samples, by how many those are, add up to the gradient.
TEST(ChainNetwork, OwnGradientsAreThoseOfOwnSamples) {
  const json& network = golden()["cases"][1];
  for_each_grid_and_method([&](int depth, const Method& method) {
    Fixture fixture(network, depth, method);
    const parallel::Communicator& data = fixture.grid.data();
    const std::vector<Index> samples{0, 1, 2, 3, 4, 5};
    const StepOutcome outcome = fixture.net.differentiate({0, 0, samples.data(), 6, true});
    EXPECT_NEAR(data.sum(outcome.loss), network["losses"][0].get<double>(), 1e-13);  // shares
    const Real share =
        parallel::BlockLayout::balanced(6, data.size()).range(data.rank()).size() / 6.0;
    for (const ParameterGroup& group : fixture.net.parameters()) {
      const Numbers all = numbers_of(network["gradient"], group.array.name);
      Buffer<Real> sum(group.array.local_size());
      for (Index i = 0; i < sum.size(); ++i) sum[i] = share * group.gradient[i];
      data.sum(sum.data(), sum.size());
      double largest = 0;
      for (const double value : all) largest = std::fmax(largest, std::fabs(value));
      for (Index i = 0; i < sum.size(); ++i)
        ASSERT_NEAR(sum[i], all[static_cast<std::size_t>(Fixture::offset(group) + i)],
                    1e-12 * largest)
            << group.array.name << " " << i;
    }
  });
}

TEST(ChainNetwork, TrainsAsPyTorchDoes) {
  for (const json& network : golden()["cases"]) {
    for_each_grid_and_method([&](int depth, const Method& method) {
      Fixture fixture(network, depth, method);
      Trainer::Options options;
      options.optimiser.own = OptionValues(find_optimiser(options.optimiser.rule).options);
      options.optimiser.own.set("weight-decay",
                                fmt::format("{}", golden()["weight_decay"].get<double>()));
      options.optimiser.clip_norm = golden()["clip_norm"];
      options.schedule.name = "constant";
      options.schedule.peak = golden()["learning_rate"];
      options.samples = options.batch = 6;
      Trainer trainer(fixture.grid, fixture.net, options);
      for (std::size_t u = 0; u < network["losses"].size(); ++u) {
        const StepRecord record = trainer.step();
        EXPECT_NEAR(record.outcome.loss, network["losses"][u].get<double>(), 1e-12);
        EXPECT_NEAR(record.gradient_norm, network["norms"][u].get<double>(), 1e-12);
      }
      // Adam divides by the size of the gradient: rounding counts for more where that is small
      fixture.expect(network["end"], false, "parameters");
    });
  }
}

TEST(ChainNetwork, EvaluatesEachSampleOnce) {
  const json& network = golden()["cases"][1];
  for_each_grid_and_method([&](int depth, const Method& method) {
    Fixture fixture(network, depth, method);
    // seven samples in batches of six
    std::vector<unsigned char> pixels = golden()["pixels"], labels = golden()["labels"];
    const std::size_t features = pixels.size() / labels.size();
    for (std::size_t i = 0; i < features; ++i) pixels.push_back(pixels[i]);
    labels.push_back(labels[0]);
    const Images images(golden()["height"], golden()["columns"], pixels, labels);
    const Evaluation evaluation = fixture.net.evaluate(images);
    const Evaluation six = fixture.net.evaluate(fixture.images);
    Index counted = 0;
    for (const Index number : evaluation.confusion) counted += number;
    EXPECT_EQ(counted, 7);
    EXPECT_NEAR(six.loss, network["losses"][0].get<double>(), 1e-13);
    EXPECT_GT(evaluation.loss, 0);
    EXPECT_NEAR(evaluation.loss * 7 - six.loss * 6,
                fixture.net
                    .evaluate(Images(
                        golden()["height"], golden()["columns"],
                        {pixels.begin(), pixels.begin() + static_cast<std::ptrdiff_t>(features)},
                        {labels[0]}))
                    .loss,
                1e-12);
  });
}

TEST(ChainNetwork, RefusesBatchesSmallerThanTheDataAxis) {
  const json& network = golden()["cases"][0];
  const parallel::ProcessGrid grid(test::world(), 1, test::world().size());
  const Images images = golden_images();
  ChainNetwork::Options options = Fixture::options_of(kMethods[0], grid);
  options.batch = test::world().size() - 1;
  EXPECT_THROW(ChainNetwork(grid, Fixture::parts_of(network, grid), options, images), Error);
}

}  // namespace
}  // namespace deeppcr::train
