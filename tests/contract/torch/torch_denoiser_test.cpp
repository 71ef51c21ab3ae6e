// The cases of torch_denoiser_test.py: what a file makes of them, or with which sentence it is
// refused, on every rank alike.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "deeppcr/models/diffusion_files.hpp"
#include "support/environment.hpp"
#include "support/refusal.hpp"

namespace deeppcr::test {
namespace {

using nlohmann::json;
using Numbers = std::vector<Real>;

std::string folder() { return std::getenv("DEEPPCR_TEST_FOLDER"); }

const json& cases(const char* kind) {
  static const json all = json::parse(std::ifstream(folder() + "/cases.json"));
  return all.at(kind);
}

models::DenoiserOptions options_of(const json& given) {
  models::DenoiserOptions options;
  options.file = folder() + "/" + given.at("file").get<std::string>();
  options.precision = given.value("precision", 0);
  options.shape = given.value("shape", std::vector<Index>{});
  options.classes = given.value("classes", 0);
  options.embedding_shape = given.value("embedding_shape", std::vector<Index>{});
  options.times = given.value("times", 100);
  return options;
}

models::DenoiserConditions conditions_of(const json& given) {
  models::DenoiserConditions conditions;
  conditions.labels = given.value("labels", std::vector<int>{});
  conditions.embeddings = given.value("embeddings", Numbers{});
  conditions.null_embedding = given.value("null_embedding", Numbers{});
  conditions.guidance = given.value("guidance", 1.0);
  return conditions;
}

template <typename T>
std::vector<T> repeated(const std::vector<T>& values, int times) {
  std::vector<T> all;
  for (int i = 0; i < times; ++i) all.insert(all.end(), values.begin(), values.end());
  return all;
}

double largest_difference(const Numbers& found, const Numbers& expected) {
  double most = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double apart = std::abs(found[i] - expected[i % expected.size()]);
    most = std::isnan(apart) ? apart : std::max(most, apart);
  }
  return most;
}

/// The rows of a case, all of them so often.
void expect_values(const models::DenoisingNetwork& network, const json& wanted, int repeats) {
  const auto times = repeated(wanted.at("times").get<std::vector<std::int64_t>>(), repeats);
  const auto samples = repeated(wanted.at("samples").get<std::vector<Index>>(), repeats);
  const Numbers x = repeated(wanted.at("x").get<Numbers>(), repeats);
  const Numbers V = repeated(wanted.at("V").get<Numbers>(), repeats);
  const double tolerance = wanted.at("tolerance");
  const models::DenoisingRows rows{static_cast<Index>(times.size()), times.data(), samples.data()};
  ASSERT_EQ(rows.count * network.width(), static_cast<Index>(x.size()));
  Numbers out(x.size(), -7), W(V.size(), -7);
  network.evaluate(rows, x.data(), out.data());
  EXPECT_LE(largest_difference(out, wanted.at("out")), tolerance);
  const Index k = wanted.at("k");
  network.product(rows, x.data(), Direction::forward, k, V.data(), W.data());
  EXPECT_LE(largest_difference(W, wanted.at("forward")), tolerance);
  network.product(rows, x.data(), Direction::backward, k, V.data(), W.data());
  EXPECT_LE(largest_difference(W, wanted.at("backward")), tolerance);
}

TEST(TorchDenoiser, MakesWhatPyTorchMakes) {
  for (const json& wanted : cases("values")) {
    SCOPED_TRACE(wanted.at("name").get<std::string>());
    const models::DenoiserOptions options = options_of(wanted.at("options"));
    std::unique_ptr<models::DenoisingNetwork> network;
    parallel::agree(world(), [&] {
      network = models::make_denoiser(options, conditions_of(wanted.at("conditions")));
    });
    const models::DenoiserFacts facts = models::look_at_denoiser(options);
    EXPECT_EQ(facts.shape, wanted.at("facts").at("shape").get<std::vector<Index>>());
    EXPECT_EQ(facts.classes, wanted.at("facts").at("classes"));
    EXPECT_EQ(facts.null_class, wanted.at("facts").at("null_class"));
    expect_values(*network, wanted, 1);
    if (wanted.contains("repeats")) expect_values(*network, wanted, wanted.at("repeats"));
    const models::DenoisingRows none;
    network->evaluate(none, nullptr, nullptr);
    network->product(none, nullptr, Direction::forward, 1, nullptr, nullptr);
  }
}

bool contains(const std::string& text, const std::string& phrase) {
  return text.find(phrase) != std::string::npos;
}

/// The sentence of a call is the same on all ranks, one line, and has all phrases.
void expect_refused(const json& wanted, const std::function<void()>& call) {
  SCOPED_TRACE(wanted.at("name").get<std::string>());
  const std::string sentence = refusal([&] { parallel::agree(world(), call); });
  std::string first = sentence;
  world().broadcast(first, 0);
  EXPECT_EQ(sentence, first);
  EXPECT_FALSE(contains(sentence, "\n")) << sentence;
  for (const std::string phrase : wanted.at("phrases"))
    EXPECT_TRUE(contains(sentence, phrase)) << phrase << " is not in: " << sentence;
  const std::string file = wanted.at("options").at("file");
  EXPECT_TRUE(contains(sentence, "/" + file + ": ")) << sentence;
}

TEST(TorchDenoiser, RefusesInOneSentence) {
  for (const json& wanted : cases("refused"))
    expect_refused(wanted, [&] {
      models::make_denoiser(options_of(wanted.at("options")),
                            conditions_of(wanted.at("conditions")));
    });
}

models::Decoder decoder_of(const json& options) {
  return models::make_decoder("decoder", folder() + "/" + options.at("file").get<std::string>(),
                              options.value("precision", 0), options.at("taken"));
}

TEST(TorchDecoder, MakesWhatPyTorchMakes) {
  for (const json& wanted : cases("decoders")) {
    SCOPED_TRACE(wanted.at("name").get<std::string>());
    models::Decoder decoder;
    parallel::agree(world(), [&] { decoder = decoder_of(wanted.at("options")); });
    EXPECT_EQ(decoder.shape, wanted.at("shape").get<std::vector<Index>>());
    const Numbers z = wanted.at("z"), expected = wanted.at("out");
    const int inputs = decoder.end->inputs(), outputs = decoder.end->outputs();
    const Index B = static_cast<Index>(z.size()) / inputs;
    Numbers out(static_cast<std::size_t>(B * outputs));
    ASSERT_EQ(out.size(), expected.size());
    decoder.end->forward({z.data(), {B, inputs}}, {out.data(), {B, outputs}});
    EXPECT_LE(largest_difference(out, expected), wanted.at("tolerance").get<double>());
  }
}

TEST(TorchDecoder, RefusesInOneSentence) {
  for (const json& wanted : cases("refused decoders"))
    expect_refused(wanted, [&] { decoder_of(wanted.at("options")); });
}

}  // namespace
}  // namespace deeppcr::test
