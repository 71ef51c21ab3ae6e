#include "deeppcr/models/catalogue.hpp"

#include <gtest/gtest.h>

#include <string>

#include "deeppcr/core/error.hpp"
#include "support/model_options.hpp"
#include "support/refusal.hpp"
#include "support/rows.hpp"

namespace deeppcr::models {
namespace {

using test::refusal;

ModelOptions options_for(const std::string& model) {
  ModelOptions options;
  options.model = model;
  options.steps = 2;
  options.width = 3;
  return options;
}

TEST(ModelCatalogue, MakesEveryEntry) {
  ASSERT_GE(catalogue().size(), 3U);
  for (const CatalogueEntry& entry : catalogue()) {
    if (entry.look_at_file) continue;  // there is no file
    const auto model = make(options_for(entry.name), {0, 2});
    EXPECT_EQ(model->num_steps(), 2) << entry.name;
    EXPECT_EQ(model->width(), state_width(options_for(entry.name))) << entry.name;
    EXPECT_EQ(model->input_width(), input_width(options_for(entry.name))) << entry.name;
    EXPECT_FALSE(entry.help.empty());
  }
}

TEST(ModelCatalogue, RefusesUnknownModelsAndWords) {
  EXPECT_THROW(step_cost(options_for("transformer")), Error);
  EXPECT_THROW(options_for("mlp").set("activation", "step"), Error);
}

TEST(ModelCatalogue, UsesTheOptions) {
  ModelOptions options = options_for("resnet");
  options.set("block-layers", 3);
  const auto row_size = [&] { return test::rows_of(*make(options, {0, 2})).extent(1); };
  EXPECT_EQ(row_size(), 3 * 12);
  options.set("no-bias", "true");
  EXPECT_EQ(row_size(), 3 * 9);
  EXPECT_EQ(test::rows_of(*make(options_for("mlp"), {0, 2})).extent(1), 12);
  options.seed = 2;
  const auto with_seed_2 = make(options, {0, 2});
  options.seed = 3;
  const auto with_seed_3 = make(options, {0, 2});
  EXPECT_NE(test::rows_of(*with_seed_3)(0, 0), test::rows_of(*with_seed_2)(0, 0));
}

TEST(ModelCatalogue, SaysWhatAStepTakes) {
  const StepCost resnet = step_cost(options_for("resnet").set("block-layers", 3));
  EXPECT_EQ(resnet.layers, 3);
  EXPECT_EQ(resnet.parameters, 3 * 12);
  EXPECT_EQ(resnet.flops, 3 * 2 * 9);
  EXPECT_EQ(step_cost(options_for("mlp").set("no-bias", "true")).parameters, 9);
  for (const CatalogueEntry& entry : catalogue()) {
    if (entry.look_at_file) continue;  // there is no file
    const ModelOptions options = options_for(entry.name);
    const StepCost cost = step_cost(options);
    EXPECT_EQ(cost.parameters + cost.shared_parameters,
              static_cast<double>(test::rows_of(*make(options, {0, 2})).extent(1)));
  }
}

TEST(ModelCatalogue, FollowsTheLayersOfAWeightsFile) {
  ModelOptions resnet = options_for("resnet").set("init", "he");
  adopt(resnet, {"w.h5", 5, true});
  EXPECT_EQ(stored_layers(resnet), 5);
  EXPECT_EQ(resnet.own.word("init"), "zero");
  EXPECT_EQ(stored_layers(options_for("resnet")), 2);
  EXPECT_EQ(stored_layers(options_for("mlp")), 1);
  const auto refused = [](ModelOptions options, const StoredLayers& stored) {
    return refusal([&] { adopt(options, stored); });
  };
  EXPECT_EQ(refused(options_for("resnet").set("block-layers", 3), {"w.h5", 2, true}),
            "--block-layers 3: w.h5 has 2; leave the option out");
  EXPECT_EQ(refused(options_for("resnet").set("block-layers", 2), {"w.h5", 2, true}), "");
  EXPECT_EQ(refused(options_for("mlp").set("no-bias", "true"), {"w.h5", 1, true}),
            "--no-bias: w.h5 has a bias; leave the option out");
  EXPECT_EQ(refused(options_for("mlp").set("no-bias", "true"), {"w.h5", 1, false}), "");
  EXPECT_NE(refused(options_for("mlp"), {"w.h5", 2, true}).find("--model resnet"),
            std::string::npos);
  EXPECT_EQ(refused(options_for("affine"), {"w.h5", 1, true}),
            "--weights w.h5: a weights file holds an mlp or resnet; give its --model");
}

TEST(ModelCatalogue, TakesModelsFromOutside) {
  CatalogueEntry entry;
  entry.name = "shrinking";
  entry.help = "affine steps by half";
  entry.options = {real_option("half", "0.5", 0, 1, "factor")};
  entry.make = [](const ModelOptions& options, const StepSet& local) {
    return make(ModelOptions{"affine", options.steps, options.width, options.seed, {}}.set(
                    "contraction", options.own.real("half")),
                local);
  };
  add_to_catalogue(entry);
  EXPECT_EQ(find("shrinking").help, entry.help);
  const auto shrinking = make(options_for("shrinking"), {0, 2});
  EXPECT_EQ(test::rows_of(*shrinking).extent(0), 2);
  const auto nothing = make(options_for("shrinking").set("half", 0), {0, 2});
  EXPECT_EQ(test::rows_of(*nothing)(0, 0), 0);
  EXPECT_EQ(step_cost(options_for("shrinking")).parameters, 12);
  EXPECT_EQ(refusal([&] { add_to_catalogue(entry); }),
            "model 'shrinking': the name is taken; choose another");
}

TEST(ModelCatalogue, RefusesUnknownWordsWithTheKnownOnes) {
  const std::string text = refusal([] { make(options_for("transformer"), {0, 2}); });
  for (const char* word : {"transformer", "mlp", "resnet", "affine"})
    EXPECT_NE(text.find(word), std::string::npos) << text;
  const auto refused = [](const char* model, const char* option, const char* value) {
    return refusal([&] { options_for(model).set(option, value); });
  };
  EXPECT_NE(refused("mlp", "activation", "sigmoid").find("gelu"), std::string::npos);
  EXPECT_NE(refused("mlp", "init", "glorot").find("xavier"), std::string::npos);
  EXPECT_NE(refused("resnet", "residual-scale", "sqrt").find("1/sqrt(L)"), std::string::npos);
  EXPECT_NE(refused("affine", "activation", "tanh").find("--activation"), std::string::npos);
  EXPECT_NE(refused("transformer", "gain", "1").find("resnet"), std::string::npos);
}

}  // namespace
}  // namespace deeppcr::models
