#include "app/same_run.hpp"

#include <gtest/gtest.h>

#include "support/refusal.hpp"

namespace deeppcr::app {
namespace {

using Options = std::vector<std::string>;

const std::string kTrain =
    "[train]\nmodel = resnet\nactivation = tanh\nblock-layers = 2\nresidual-scale = 1/L\n"
    "layer-norm = false\nno-bias = false\ngain = 1\nloss = cross-entropy\nlabel-smoothing = "
    "0\nclass-weights = equal\ndata = random\noptimiser "
    "= sgd\n"
    "momentum = 0.9\nlearning-rate = 0.01\nschedule = cosine\nfloor = 0\nlinear = auto\n";

/// The configuration with another value of an option, or with one more.
std::string with(std::string configuration, const std::string& option, const std::string& value) {
  const std::string line = "\n" + option + " = ";
  const std::size_t start = configuration.find(line);
  if (start == std::string::npos) return configuration + line.substr(1) + value + "\n";
  const std::size_t end = configuration.find('\n', start + 1);
  return configuration.replace(start, end - start, line + value);
}

Options course(const std::string& stored, const std::string& running) {
  return differing_course("c.h5", stored, running);
}

/// The names that the sentences begin with.
Options said(const std::string& stored, const std::string& running) {
  Options names;
  for (const std::string& sentence : course(stored, running))
    names.push_back(
        sentence.substr(0, sentence.find_first_of(" :", sentence.rfind("no --", 0) == 0 ? 3 : 0)));
  return names;
}

/// What the refused option and its value are.
std::string refused(const std::string& stored, const std::string& running) {
  const std::string what = test::refusal([&] { course(stored, running); });
  return what.substr(0, what.find(": "));
}

TEST(SameRun, TheSameOptionsGoOn) { EXPECT_EQ(said(kTrain, kTrain), Options{}); }

class OfTheFunction : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(OfTheFunction, IsRefusedByNameBothWays) {
  const auto [option, value] = GetParam();
  const std::string other = with(kTrain, option, value);
  EXPECT_NE(refused(kTrain, other).find(std::string("--") + option), std::string::npos);
  EXPECT_NE(refused(other, kTrain).find(std::string("--") + option), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(
    Train, OfTheFunction,
    testing::Values(std::pair("activation", "relu"), std::pair("block-layers", "3"),
                    std::pair("residual-scale", "none"), std::pair("layer-norm", "true"),
                    std::pair("no-bias", "true"), std::pair("loss", "squared-error"),
                    std::pair("label-smoothing", "0.1"), std::pair("class-weights", "1,2"),
                    std::pair("embedding", "stem.pt"), std::pair("head", "head.pt")));

class OfTheCourse : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(OfTheCourse, IsSaidInOneSentence) {
  const auto [option, value] = GetParam();
  EXPECT_EQ(said(kTrain, with(kTrain, option, value)), Options{std::string("--") + option});
}

INSTANTIATE_TEST_SUITE_P(
    Train, OfTheCourse,
    testing::Values(std::pair("data", "fashion-mnist"), std::pair("optimiser", "adam"),
                    std::pair("momentum", "0.5"), std::pair("learning-rate", "0.1"),
                    std::pair("schedule", "step"), std::pair("flip", "true"),
                    std::pair("samples", "100"), std::pair("epochs", "9"), std::pair("gain", "2"),
                    std::pair("pipeline", "delayed"), std::pair("delay", "3"),
                    std::pair("old-weights", "exact")));

TEST(SameRun, RanksSolversAndFilesAreFree) {
  std::string other = with(kTrain, "linear", "hybrid");
  other = with(with(other, "depth-ranks", "4"), "checkpoint", "other.h5");
  EXPECT_EQ(said(kTrain, other), Options{});
  // Of pipelines only one gives other numbers.
  other = with(kTrain, "pipeline", "gpipe");
  EXPECT_EQ(said(kTrain, other), Options{});
  EXPECT_EQ(said(with(kTrain, "pipeline", "1f1b"), other), Options{});
  EXPECT_EQ(said(with(kTrain, "pipeline", "delayed"), other), Options{"--pipeline"});
}

TEST(SameRun, AnOptionThatAnOldFileDoesNotKnowHadItsDefault) {
  const std::string old = "[train]\nmodel = resnet\nactivation = tanh\n";
  EXPECT_EQ(said(old, "[train]\nmodel = resnet\nactivation = tanh\nblock-layers = 2\n"), Options{});
  EXPECT_EQ(refused(old, "[train]\nmodel = resnet\nactivation = tanh\nblock-layers = 3\n"),
            "--block-layers 3");
}

TEST(SameRun, WhatAWeightsFileDecidedIsNotCompared) {
  const std::string stored = "[train]\nmodel = resnet\nactivation = tanh\nweights = w.h5\n";
  EXPECT_EQ(said(stored,
                 "[train]\nmodel = resnet\nactivation = tanh\nweights = w.h5\n"
                 "block-layers = 5\n"),
            Options{});
}

TEST(SameRun, ASolveGoesOnWithItsChainAlone) {
  const std::string solve = "[solve]\nmodel = mlp\nactivation = tanh\ngain = 1\nrtol = 1e-10\n";
  EXPECT_EQ(refused(solve, with(solve, "gain", "2")), "--gain 2");
  EXPECT_EQ(said(solve, with(solve, "rtol", "1e-6")), Options{});
  EXPECT_EQ(said(with(solve, "weights", "a.h5"), with(solve, "weights", "b.h5")),
            Options{"--weights"});
}

TEST(SameRun, ASamplerIsItsEta) {
  const std::string ddpm = "[generate]\nsampler = ddpm\neta = -1\nclass = -1\n";
  EXPECT_EQ(refused(ddpm, with(ddpm, "sampler", "ddim")), "eta 0 (--sampler, --eta)");
  EXPECT_EQ(said(ddpm, with(ddpm, "eta", "1")), Options{});
  EXPECT_EQ(said(with(ddpm, "sampler", "ddim"), with(ddpm, "eta", "0")), Options{});
  EXPECT_EQ(refused(ddpm, with(ddpm, "class", "3")), "--class 3");
  EXPECT_EQ(refused(ddpm, with(ddpm, "denoiser", "other.h5")), "--denoiser other.h5");
  EXPECT_EQ(said(ddpm, with(ddpm, "method", "picard")), Options{});
}

TEST(SameRun, EvaluatingComparesNothing) {
  EXPECT_EQ(said(kTrain, "[evaluate]\ndata = other\n"), Options{});
}

}  // namespace
}  // namespace deeppcr::app
