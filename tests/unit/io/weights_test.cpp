#include "deeppcr/io/weights.hpp"

#include <cmath>

#include "deeppcr/io/hdf5_file.hpp"
#include "io_support.hpp"

namespace deeppcr::test {
namespace {

using io::WeightsShape;
using io::hdf5::File;
using io::hdf5::Shape;
using parallel::BlockLayout;

/// Weight (i, j) and bias i of fully connected layer k of step l; exact in single precision.
float weight_mark(Index l, Index k, Index i, Index j) {
  return static_cast<float>(((l * 4 + k) * 8 + i) * 8 + j);
}
float bias_mark(Index l, Index k, Index i) { return -weight_mark(l, k, i, 0) - 0.5F; }

enum class Layout { stacked, stacked_blocks, separate, separate_blocks };

struct Case {
  Layout layout;
  Index num_steps;
  Index block_layers;
  Index width;
};

bool nested(Layout layout) {
  return layout == Layout::stacked_blocks || layout == Layout::separate_blocks;
}

/// The file as a user's PyTorch script would write it: float32, row-major, on one rank.
void write_by_hand(const std::string& path, const Case& c) {
  File file = File::create(path);
  const Index n = c.width;
  std::vector<float> weight;
  std::vector<float> bias;
  for (Index l = 0; l < c.num_steps; ++l) {
    for (Index k = 0; k < c.block_layers; ++k) {
      for (Index i = 0; i < n; ++i) {
        for (Index j = 0; j < n; ++j) weight.push_back(weight_mark(l, k, i, j));
        bias.push_back(bias_mark(l, k, i));
      }
    }
  }
  if (c.layout == Layout::stacked || c.layout == Layout::stacked_blocks) {
    Shape sizes = nested(c.layout) ? Shape{c.num_steps, c.block_layers, n} : Shape{c.num_steps, n};
    file.write<float>("/layers/bias", sizes, bias.data(), {"", {}});
    sizes.push_back(n);
    file.write<float>("/layers/weight", sizes, weight.data(), {"", {}});
  } else {
    for (Index layer = 0; layer < c.num_steps * c.block_layers; ++layer) {
      std::string group = "/layers/" + std::to_string(layer / c.block_layers);
      if (nested(c.layout)) group += "/" + std::to_string(layer % c.block_layers);
      file.write<float>(group + "/weight", {n, n}, weight.data() + layer * n * n, {"", {}});
      file.write<float>(group + "/bias", {n}, bias.data() + layer * n, {"", {}});
    }
  }
  file.close();
}

Index wrong_parameters(View<const Real, 2> parameters, StepRange range, const WeightsShape& shape) {
  const Index n = shape.width;
  Index wrong = 0;
  for (Index l = range.first; l < range.last; ++l) {
    for (Index k = 0; k < shape.block_layers; ++k) {
      const Real* p = &parameters(l - range.first, k * (n * n + n));
      for (Index i = 0; i < n; ++i) {
        for (Index j = 0; j < n; ++j) wrong += p[j * n + i] != weight_mark(l, k, i, j);
        wrong += p[n * n + i] != bias_mark(l, k, i);
      }
    }
  }
  return wrong;
}

class WeightsLayouts : public testing::TestWithParam<Case> {};

TEST_P(WeightsLayouts, EachRankGetsItsLayers) {
  const Case& c = GetParam();
  const TemporaryFolder folder;
  const std::string path = folder / "w.h5";
  on_root([&] { write_by_hand(path, c); });
  const WeightsShape shape = io::inspect_weights(world(), path);
  EXPECT_EQ(shape.num_steps, c.num_steps);
  EXPECT_EQ(shape.width, c.width);
  EXPECT_EQ(shape.block_layers, c.block_layers);
  EXPECT_TRUE(shape.bias);
  EXPECT_EQ(shape.features, 0);
  EXPECT_EQ(shape.classes, 0);
  const StepRange mine = BlockLayout::balanced(c.num_steps, world().size()).range(world().rank());
  Buffer<Real> values(mine.size() * shape.parameters_per_step());
  const View<Real, 2> parameters(values.data(), {mine.size(), shape.parameters_per_step()});
  io::read_weights(world(), path, shape, mine, parameters);
  EXPECT_EQ(wrong_parameters(parameters, mine, shape), 0);
  // And once around: written by all, read by the first ranks.
  const std::string again = folder / "again.h5";
  io::write_weights(world(), again, example_provenance(world()), {shape, mine, parameters});
  for (int ranks = 1; ranks <= world().size(); ++ranks) {
    const parallel::Communicator comm = world().first_ranks(ranks);
    const WeightsShape stored = io::inspect_weights(comm, again);
    EXPECT_EQ(stored.nested, shape.nested);
    const StepRange part = BlockLayout::balanced(c.num_steps, comm.size()).range(comm.rank());
    Buffer<Real> back(part.size() * stored.parameters_per_step());
    const View<Real, 2> view(back.data(), {part.size(), stored.parameters_per_step()});
    io::read_weights(comm, again, stored, part, view);
    EXPECT_EQ(wrong_parameters(view, part, stored), 0);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cases, WeightsLayouts,
    testing::Values(Case{Layout::stacked, 7, 1, 3}, Case{Layout::stacked, 0, 1, 3},  // no step
                    Case{Layout::stacked_blocks, 2, 1, 2},  // a block of one
                    Case{Layout::stacked_blocks, 5, 3, 2}, Case{Layout::separate, 1, 1, 1},
                    Case{Layout::separate, 13, 1, 3},  // 10 comes before 2 by name
                    Case{Layout::separate_blocks, 4, 2, 3}));

TEST(Weights, OuterLayersAndNotANumbers) {
  const TemporaryFolder folder;
  const std::string path = folder / "w.h5";
  WeightsShape shape;
  shape.num_steps = 2;
  shape.width = 2;
  const StepRange mine = BlockLayout::balanced(2, world().size()).range(world().rank());
  Buffer<Real> values(mine.size() * 6);
  for (Real& v : values) v = std::nan("");
  const View<Real, 2> parameters(values.data(), {mine.size(), 6});
  const std::vector<Real> embedding{1, 4, 2, 5, 3, 6, 7, 8};         // [3 + 1, 2]
  const std::vector<Real> head{1, 3, 5, 7, 2, 4, 6, 8, 0, 0, 0, 1};  // [2 + 1, 4]
  io::write_weights(world(), path, example_provenance(world()),
                    {shape, mine, parameters, {embedding.data(), {4, 2}}, {head.data(), {3, 4}}});
  const WeightsShape stored = io::inspect_weights(world(), path);
  EXPECT_EQ(stored.features, 3);
  EXPECT_EQ(stored.classes, 4);
  const auto read = [&](const char* group, Index rows, Index row_size) {
    std::vector<Real> layer(static_cast<std::size_t>(rows * row_size), -1);
    io::read_dense_layer(world(), path, group, {layer.data(), {rows, row_size}});
    return layer;
  };
  EXPECT_EQ(read("/embedding", 4, 2), embedding);
  EXPECT_EQ(read("/head", 3, 4), head);
  EXPECT_ERROR(read("/head", 4, 4), "/head is [4, 2], but [4, 3] is needed");
  on_root([&] {
    const File file = File::open(path, File::Access::read);
    EXPECT_EQ(file.shape("/embedding/weight"), (io::hdf5::Shape{2, 3}));
    EXPECT_EQ(file.read<Real>("/embedding/weight"), (std::vector<Real>{1, 2, 3, 4, 5, 6}));
  });
  for (Real& v : values) v = 0;
  io::read_weights(world(), path, stored, mine, parameters);
  for (const Real v : values) EXPECT_TRUE(std::isnan(v)) << "taken as it is";
}

TEST(Weights, MismatchesAreOneSentence) {
  const TemporaryFolder folder;
  const std::string path = folder / "w.h5";
  const auto refused = [&](const std::function<void(File&)>& fill) {
    on_root([&] {
      File file = File::create(path);
      fill(file);
      file.close();
    });
    return error_of([&] {
      const WeightsShape shape = io::inspect_weights(world(), path);
      const StepRange mine =
          BlockLayout::balanced(shape.num_steps, world().size()).range(world().rank());
      Buffer<Real> values(mine.size() * shape.parameters_per_step());
      io::read_weights(world(), path, shape, mine,
                       {values.data(), {mine.size(), shape.parameters_per_step()}});
    });
  };
  const std::vector<double> x(100, 1.0);
  const std::vector<Index> k(100, 1);
  const io::hdf5::Description about{"", {}};
  const auto expect = [](const std::string& error, const std::string& text) {
    EXPECT_NE(error.find(text), std::string::npos) << "got: " << error;
  };
  expect(refused([](File&) {}), "has no group /layers");
  expect(refused([&](File& f) {
           f.write<double>("/layers/weight", {3, 2, 4}, x.data(), about);
         }),
         "[3, 2, 4]; it must be [L, n, n]");
  expect(refused([&](File& f) {
           f.write<Index>("/layers/weight", {3, 2, 2}, k.data(), about);
         }),
         "float32 or float64");
  expect(refused([&](File& f) {
           f.write<double>("/layers/weight", {3, 2, 2}, x.data(), about);
           f.write<double>("/layers/bias", {3, 3}, x.data(), about);
         }),
         "/layers/bias");
  expect(refused([&](File& f) {
           f.write<double>("/layers/0/weight", {2, 2}, x.data(), about);
           f.write<double>("/layers/2/weight", {2, 2}, x.data(), about);
         }),
         "must be named 0 to 1, without leading zeros; found '2'");
  expect(refused([&](File& f) {
           f.write<double>("/layers/0/weight", {2, 2}, x.data(), about);
           f.write<double>("/layers/1/weight", {3, 3}, x.data(), about);
         }),
         "/layers/1/weight in '" + path + "' has sizes [3, 3], but [2, 2]");
  expect(refused([&](File& f) {
           f.write<double>("/layers/weight", {3, 2, 2}, x.data(), about);
           f.write<double>("/embedding/weight", {5, 4}, x.data(), about);
         }),
         "/embedding/weight in '" + path + "' has width 5, but the chain has 2");
  EXPECT_ERROR(io::read_dense_layer(world(), path, "/head", {}), "has no /head/weight");
  const auto with = [&](const std::string& name) {
    return refused([&](File& f) {
      f.write<double>("/layers/weight", {3, 2, 2}, x.data(), about);
      f.write<double>(name, {3, 2}, x.data(), about);
    });
  };
  for (const char* name : {"/layers/biases", "/layers/norm", "/layers/0/weight", "/extra",
                           "/embedding/scale", "/model/layers"}) {
    const std::string error = with(name);
    expect(error, "which nothing here reads");
  }
  expect(with("/head/weights"), "/head/weights");
  expect(with("/head/bias"), "/head without a weight");
  EXPECT_EQ(with("/layers/bias"), "");
  for (const char* name : {"/inputs", "/labels", "/lengths", "/targets"})
    EXPECT_EQ(with(name), "") << name;
  for (const char* name : {"/layers", "/layers/0"}) {
    expect(refused([&](File& f) {
             f.write<double>(name, {3, 2}, x.data(), about);
           }),
           std::string(name) + " in '" + path + "' is no group");
  }
}

TEST(Weights, AllLayersAreAlike) {
  const TemporaryFolder folder;
  const std::string path = folder / "w.h5";
  const std::vector<double> x(100, 1.0);
  const std::vector<Index> k(100, 1);
  const io::hdf5::Description about{"", {}};
  const auto refused = [&](const std::function<void(File&)>& change) {
    on_root([&] {
      File file = File::create(path);
      for (const char* layer : {"0", "1", "2"}) {
        const std::string group = std::string("/layers/") + layer;
        file.write<double>(group + "/weight", {2, 2}, x.data(), about);
        file.write<double>(group + "/bias", {2}, x.data(), about);
      }
      change(file);
      file.close();
    });
    return error_of([&] { io::inspect_weights(world(), path); });
  };
  const auto expect = [](const std::string& error, const std::string& text) {
    EXPECT_NE(error.find(text), std::string::npos) << "got: " << error;
  };
  EXPECT_EQ(refused([](File&) {}), "");
  expect(refused([&](File& f) {
           f.write<double>("/layers/3/weight", {2, 2}, x.data(), about);
         }),
         "/layers/3 in '" + path + "' has no bias, but the first layer has one");
  expect(refused([&](File& f) { f.write<double>("/layers/1/norm", {2}, x.data(), about); }),
         "/layers/1/norm");
  expect(refused([&](File& f) {
           f.write<double>("/layers/03/weight", {2, 2}, x.data(), about);
         }),
         "found '03'");
  expect(refused([&](File& f) {
           f.write<double>("/layers/3/weight", {2, 2}, x.data(), about);
           f.write<double>("/layers/3/bias", {3}, x.data(), about);
         }),
         "/layers/3/bias");
  expect(refused([&](File& f) {
           f.write<Index>("/layers/3/weight", {2, 2}, k.data(), about);
         }),
         "/layers/3/weight in '" + path + "' must hold float32 or float64");
}

TEST(Weights, WhatTheFileSaysOfItsModel) {
  const TemporaryFolder folder;
  const std::string path = folder / "w.h5";
  const std::vector<double> x(8, 1.0);
  on_root([&] {
    File file = File::create(path);
    file.write<double>("/layers/weight", {2, 2, 2}, x.data(), {"", {}});
    file.set("/", "model", std::string("mlp"));
    file.set("/", "activation", std::string("relu"));
    file.set("/", "epochs", Index{7});
    file.set("/", "note", std::string("known as a remark"));
    file.set("/", "list", std::vector<std::string>{"a", "b"});
    file.set("/layers/weight", "scale", 2.0);
    file.close();
  });
  const WeightsShape shape = io::inspect_weights(world(), path);
  EXPECT_EQ(shape.settings, (std::map<std::string, std::string>{
                                {"activation", "relu"}, {"epochs", "7"}, {"model", "mlp"}}));
  EXPECT_EQ(shape.unknown_attributes,
            (std::vector<std::string>{"list", "scale of /layers/weight"}));
  const std::string again = folder / "again.h5";
  const StepRange mine = BlockLayout::balanced(2, world().size()).range(world().rank());
  const Buffer<Real> values(mine.size() * 6);
  WeightsShape saved = shape;
  saved.unknown_attributes.clear();
  io::write_weights(world(), again, example_provenance(world()),
                    {saved, mine, {values.data(), {mine.size(), 6}}});
  const WeightsShape back = io::inspect_weights(world(), again);
  EXPECT_EQ(back.settings, shape.settings);
  EXPECT_TRUE(back.unknown_attributes.empty()) << "what this program writes is known";
}

TEST(Weights, WithoutBiasItIsZero) {
  const TemporaryFolder folder;
  const std::string path = folder / "w.h5";
  const std::vector<double> x(8, 1.0);
  on_root([&] {
    File file = File::create(path);
    file.write<double>("/layers/weight", {2, 2, 2}, x.data(), {"", {}});
    file.close();
  });
  const WeightsShape shape = io::inspect_weights(world(), path);
  EXPECT_FALSE(shape.bias);
  const StepRange mine = BlockLayout::balanced(2, world().size()).range(world().rank());
  Buffer<Real> values(mine.size() * 6);
  for (Real& v : values) v = -1;
  io::read_weights(world(), path, shape, mine, {values.data(), {mine.size(), 6}});
  for (Index i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], i % 6 < 4 ? 1.0 : 0.0);
}

TEST(Results, OfAGradientRun) {
  const TemporaryFolder folder;
  const std::string path = folder / "out.h5";
  sequence::Trajectory trajectory(world(), BlockLayout::balanced(3, world().size()), 2, 2);
  fill_with_marks(trajectory);
  const std::vector<Real> logits{1, 2, 3, 4, 5, 6};
  const double loss = 0.75;
  WeightsShape shape;
  shape.num_steps = 3;
  shape.width = 2;
  const StepRange mine = trajectory.local_range();
  Buffer<Real> gradient(mine.size() * 6);
  for (Index i = 0; i < gradient.size(); ++i) gradient[i] = static_cast<Real>(i % 6);
  io::write_file(world(), path, file_format::kResults, example_provenance(world()),
                 [&](File& results) {
                   io::write_last_state(results, trajectory);
                   results.write<Real>("/logits", {2, 3}, logits.data(), {"", {}});
                   results.write<double>("/loss", {}, &loss, {"", {}});
                   io::write_layers(results, "/gradients", shape, mine,
                                    {gradient.data(), {mine.size(), 6}}, "gradient");
                   EXPECT_FALSE(std::filesystem::exists(path)) << "not before it is whole";
                 });
  const File file = File::open(path, File::Access::read);
  EXPECT_EQ(io::format_of(file), "deeppcr-results");
  EXPECT_EQ(file.read<double>("/z_last"),
            (std::vector<double>{mark(3, 0, 0), mark(3, 0, 1), mark(3, 1, 0), mark(3, 1, 1)}));
  EXPECT_EQ(file.read<double>("/logits"), logits);
  EXPECT_EQ(file.read<double>("/loss"), std::vector<double>{0.75});
  const auto weight = file.read<double>("/gradients/layers/weight");
  EXPECT_EQ(std::vector<double>(weight.begin() + 8, weight.end()),
            (std::vector<double>{0, 2, 1, 3}))
      << "row-major";
  EXPECT_EQ(file.read<double>("/gradients/layers/bias"), (std::vector<double>{4, 5, 4, 5, 4, 5}));
}

}  // namespace
}  // namespace deeppcr::test
