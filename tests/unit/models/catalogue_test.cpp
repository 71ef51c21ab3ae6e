#include "deeppcr/models/catalogue.hpp"

#include <gtest/gtest.h>

#include <string>

#include "deeppcr/core/error.hpp"
#include "support/rows.hpp"

namespace deeppcr::models {
namespace {

std::string refusal(const ModelOptions& options) {
  try {
    make(options, {0, options.steps});
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::bad_input);
    return error.what();
  }
  return "";
}

ModelOptions options_for(const std::string& model) {
  ModelOptions options;
  options.model = model;
  options.steps = 2;
  options.width = 3;
  return options;
}

TEST(ModelCatalogue, MakesEveryEntry) {
  ASSERT_EQ(catalogue().size(), 3U);
  for (const CatalogueEntry& entry : catalogue()) {
    const auto model = make(options_for(entry.name), {0, 2});
    EXPECT_EQ(model->num_steps(), 2) << entry.name;
    EXPECT_EQ(model->width(), 3) << entry.name;
    EXPECT_FALSE(std::string(entry.help).empty());
  }
}

TEST(ModelCatalogue, TangentsCostLeastWhereKernelsPushThem) {
  const auto share = [](const char* model, const char* activation, int width, int layers = 1) {
    ModelOptions options = options_for(model);
    options.activation = activation;
    options.width = width;
    options.block_layers = layers;
    return tangent_share(options);
  };
  EXPECT_LT(0, share("mlp", "tanh", 16));
  EXPECT_LT(share("mlp", "tanh", 16), share("mlp", "tanh", 17));
  EXPECT_LT(share("mlp", "tanh", 16), share("mlp", "gelu", 16));
  EXPECT_EQ(share("affine", "gelu", 16), share("affine", "tanh", 16));  // it has none
  EXPECT_EQ(share("resnet", "tanh", 16), share("mlp", "tanh", 16));
  EXPECT_LT(share("resnet", "tanh", 17), share("resnet", "tanh", 16, 2));
  EXPECT_THROW(share("transformer", "tanh", 16), Error);
  EXPECT_THROW(share("mlp", "step", 17), Error);
}

TEST(ModelCatalogue, UsesTheOptions) {
  ModelOptions options = options_for("resnet");
  options.block_layers = 3;
  const auto row_size = [&] { return test::rows_of(*make(options, {0, 2})).extent(1); };
  EXPECT_EQ(row_size(), 3 * 12);
  options.bias = false;
  EXPECT_EQ(row_size(), 3 * 9);
  EXPECT_EQ(test::rows_of(*make(options_for("mlp"), {0, 2})).extent(1), 12);
  options.seed = 2;
  const auto with_seed_2 = make(options, {0, 2});
  options.seed = 3;
  const auto with_seed_3 = make(options, {0, 2});
  EXPECT_NE(test::rows_of(*with_seed_3)(0, 0), test::rows_of(*with_seed_2)(0, 0));
}

TEST(ModelCatalogue, RefusesUnknownWordsWithTheKnownOnes) {
  const std::string text = refusal(options_for("transformer"));
  for (const char* word : {"transformer", "mlp", "resnet", "affine"})
    EXPECT_NE(text.find(word), std::string::npos) << text;
  ModelOptions options = options_for("mlp");
  options.activation = "sigmoid";
  EXPECT_NE(refusal(options).find("gelu"), std::string::npos);
  options = options_for("mlp");
  options.init = "glorot";
  EXPECT_NE(refusal(options).find("xavier"), std::string::npos);
  options = options_for("resnet");
  options.residual_scale = "sqrt";
  EXPECT_NE(refusal(options).find("1/sqrt(L)"), std::string::npos);
}

}  // namespace
}  // namespace deeppcr::models
