#include "models/recurrent_chain.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "deeppcr/core/random.hpp"
#include "deeppcr/models/catalogue.hpp"
#include "support/refusal.hpp"

namespace deeppcr::models {
namespace {

using test::refusal;

constexpr Index kSteps = 9, kBatch = 4;
constexpr int kUnits = 5, kFeatures = 3;

ModelOptions options_of(const std::string& model, int layers) {
  ModelOptions options;
  options.model = model;
  options.steps = kSteps;
  options.width = kUnits;
  options.set("layers", layers).set("features", kFeatures);
  return options;
}

/// Stacked cells with normal inputs, and samples that may end early.
class Fixture {
 public:
  Fixture(const ModelOptions& options, std::vector<Index> lengths = {})
      : lengths_(std::move(lengths)),
        cells_(make(options, {0, kSteps})),
        x_(kSteps * kBatch * kFeatures),
        states_((kSteps + 1) * kBatch * cells_->width()) {
    RandomStream(3, 1).normal(0, x_.size(), x_.data());
    RandomStream(3, 2).normal(0, kBatch * S(), states_.data());
    chain_ = cells_->bound_to({{0, kSteps},
                               {x_.data(), {kSteps, kBatch, kFeatures}},
                               0,
                               lengths_.empty() ? nullptr : lengths_.data()});
    chain_->propagate(all(), states()[0], states().slice(1, kSteps + 1));
  }
  static StepRange all() { return {0, kSteps}; }
  Index S() const { return cells_->width(); }
  sequence::Sequence& chain() { return *chain_; }
  /// Rows [kSteps, kBatch, size] behind the samples' ends become NaN.
  void spoil_ended(Index size, Real* rows) const {
    for (Index l = 0; l < kSteps; ++l)
      for (Index b = 0; b < kBatch; ++b)
        if (l >= lengths_[static_cast<std::size_t>(b)])
          std::fill_n(rows + (l * kBatch + b) * size, size, std::nan(""));
  }
  void spoil_ended_inputs() { spoil_ended(kFeatures, x_.data()); }
  States states() { return {states_.data(), {kSteps + 1, kBatch, S()}}; }

  struct Gradients {
    sequence::ParameterGradients parameters;
    Buffer<Real> states, first;
  };
  /// Of a random functional of all states; its rows of samples that have ended only at their last
  /// state where it says so.
  Gradients gradients(Index sample = -1) {
    Buffer<Real> loss(kSteps * kBatch * S());
    RandomStream(3, 3).normal(0, loss.size(), loss.data());
    for (Index i = 0; i < loss.size(); ++i)
      if (sample >= 0 && i / S() % kBatch != sample) loss[i] = 0;
    Gradients found{sequence::ParameterGradients(chain_->parameters()), Buffer<Real>(loss.size()),
                    Buffer<Real>(kBatch * S())};
    sequence::GroupRows rows;
    found.parameters.slice(0, kSteps, rows);
    const auto J = chain_->linearise_along(all(), states());
    const std::array<Index, 3> shape{kSteps, kBatch, S()};
    chain_->backpropagate(*J, all(),
                          {states().slice(0, kSteps),
                           {loss.data(), shape},
                           {found.states.data(), shape},
                           {found.first.data(), {kBatch, S()}},
                           rows});
    return found;
  }

 private:
  std::vector<Index> lengths_;
  std::unique_ptr<sequence::Sequence> cells_, chain_;
  Buffer<Real> x_, states_;
};

class RecurrentCells : public ::testing::TestWithParam<std::string> {
 protected:
  /// "gru reset before" for two layers.
  ModelOptions options() const {
    std::istringstream words(GetParam());
    std::string model, option, word;
    words >> model;
    ModelOptions made = options_of(model, 2);
    while (words >> option >> word) made.set(option, word);
    return made;
  }
};

TEST_P(RecurrentCells, HaveTheSameBitsForAnySplitOfTheRange) {
  Fixture whole(options());
  for (const Index at : {Index{1}, Index{4}, kSteps - 1}) {
    Buffer<Real> again(whole.states().size());
    std::copy_n(whole.states().data(), kBatch * whole.S(), again.data());
    const States states(again.data(), whole.states().shape());
    whole.chain().propagate({0, at}, states[0], states.slice(1, at + 1));
    whole.chain().linearise_along({at, kSteps}, states.slice(at, kSteps + 1));
    for (Index i = 0; i < again.size(); ++i) ASSERT_EQ(again[i], whole.states().data()[i]);
  }
  // From the states themselves, all at once.
  Buffer<Real> out(kSteps * kBatch * whole.S());
  whole.chain().value(Fixture::all(), whole.states().slice(0, kSteps),
                      {out.data(), {kSteps, kBatch, whole.S()}});
  for (Index i = 0; i < out.size(); ++i) ASSERT_EQ(out[i], whole.states()[1].data()[i]);
}

TEST_P(RecurrentCells, LeaveTheStatesOfSamplesThatHaveEnded) {
  const std::vector<Index> lengths{kSteps, 4, 0, 1};
  Fixture full(options()), ending(options(), lengths);
  for (Index l = 0; l <= kSteps; ++l)
    for (Index b = 0; b < kBatch; ++b)
      for (Index i = 0; i < full.S(); ++i)
        ASSERT_EQ(ending.states()(l, b, i),
                  full.states()(std::min(l, lengths[static_cast<std::size_t>(b)]), b, i))
            << "step " << l << ", sample " << b;
}

TEST_P(RecurrentCells, ConsistOfLayers) {
  const std::vector<Index> lengths{kSteps, 4, 7, 1};
  Fixture stack(options(), lengths);
  const Index S = stack.S();
  Buffer<Real> below;
  const auto groups = stack.chain().parameters();
  std::size_t group = 0;
  Index first = 0;
  for (auto& layer : stack.chain().layers()) {
    ASSERT_EQ(layer->parameters().size(), 1U);
    EXPECT_EQ(layer->parameters().front().name, groups[group].name);
    EXPECT_EQ(layer->parameters().front().values.data(), groups[group].values.data());
    ++group;
    const Index w = layer->width(), h = layer->output().count;
    const auto bound =
        below.empty() ? nullptr
                      : layer->bound_to(
                            {{0, kSteps}, {below.data(), {kSteps, kBatch, h}}, 0, lengths.data()});
    const sequence::Sequence& one = bound ? *bound : *layer;
    Buffer<Real> z(kBatch * w), out(kSteps * kBatch * w);
    for (Index i = 0; i < z.size(); ++i) z[i] = stack.states()(0, i / w, first + i % w);
    one.propagate(Fixture::all(), {z.data(), {kBatch, w}}, {out.data(), {kSteps, kBatch, w}});
    for (Index i = 0; i < out.size(); ++i)
      ASSERT_EQ(out[i], stack.states()(1 + i / w / kBatch, i / w % kBatch, first + i % w));
    below.reset(kSteps * kBatch * h);
    for (Index i = 0; i < below.size(); ++i)
      below[i] = out[i / h * w + layer->output().first + i % h];
    first += w;
  }
  EXPECT_EQ(first, S);
}

/// Micro-batches: inputs and lengths are those of their own samples.
TEST_P(RecurrentCells, TakeSamplesFromTheMiddleOfABatch) {
  constexpr Index kFirst = 1, kCount = 2;
  Fixture whole(options(), {kSteps, 4, 7, 1});
  const Index S = whole.S();
  const sequence::FromSample part(whole.chain(), kFirst);
  Buffer<Real> z(kCount * S), out(kSteps * kCount * S);
  std::copy_n(whole.states().data() + kFirst * S, kCount * S, z.data());
  const States states(out.data(), {kSteps, kCount, S});
  part->propagate(Fixture::all(), {z.data(), {kCount, S}}, states);
  for (Index l = 0; l < kSteps; ++l)
    for (Index b = 0; b < kCount; ++b)
      for (Index i = 0; i < S; ++i)
        ASSERT_EQ(states(l, b, i), whole.states()(l + 1, kFirst + b, i));
}

TEST_P(RecurrentCells, PassGradientsThroughStepsBehindAnEnd) {
  const std::vector<Index> lengths{kSteps, 4, 0, 1};
  Fixture ending(options(), lengths);
  // Sample 2 has no step: the sums of its explicit gradients arrive at its first state.
  const auto of_empty = ending.gradients(2);
  for (int g = 0; g < of_empty.parameters.groups(); ++g)
    for (const Real value : of_empty.parameters[g]) ASSERT_EQ(value, 0.0);
  Buffer<Real> loss(kSteps * kBatch * ending.S());
  RandomStream(3, 3).normal(0, loss.size(), loss.data());
  for (Index i = 0; i < ending.S(); ++i) {
    Real sum = 0;
    for (Index l = 0; l < kSteps; ++l) sum += loss[(l * kBatch + 2) * ending.S() + i];
    ASSERT_NEAR(of_empty.first[2 * ending.S() + i], sum, 1e-13);
  }
}

/// What is given behind an end, inputs as well as states of an iteration, is not read.
TEST_P(RecurrentCells, AreNotReachedByWhatLiesBehindAnEnd) {
  Fixture clean(options(), {kSteps, 4, 0, 1}), spoilt(options(), {kSteps, 4, 0, 1});
  spoilt.spoil_ended_inputs();
  const auto expected = clean.gradients(), found = spoilt.gradients();
  const auto expect_same = [](const auto& a, const auto& b) {
    ASSERT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end()));
  };
  for (int g = 0; g < found.parameters.groups(); ++g)
    expect_same(found.parameters[g], expected.parameters[g]);
  expect_same(found.states, expected.states);
  expect_same(found.first, expected.first);

  const std::array<Index, 3> shape{kSteps, kBatch, clean.S()};
  Buffer<Real> in(kSteps * kBatch * clean.S()), g(in.size());
  std::copy_n(clean.states().data(), in.size(), in.data());
  spoilt.spoil_ended(clean.S(), in.data());
  RandomStream(3, 6).normal(0, g.size(), g.data());
  const auto by_parameters = [&](sequence::Sequence& chain, const Real* states) {
    sequence::ParameterGradients sums(chain.parameters());
    sequence::GroupRows rows;
    sums.slice(0, kSteps, rows);
    chain.parameter_gradient(Fixture::all(), {states, shape}, {g.data(), shape}, rows);
    return sums;
  };
  const auto of_clean = by_parameters(clean.chain(), clean.states().data());
  const auto of_spoilt = by_parameters(spoilt.chain(), in.data());
  for (int group = 0; group < of_clean.groups(); ++group)
    expect_same(of_spoilt[group], of_clean[group]);
}

/// As micro-batches and short blocks of a pipeline go back: with two rows at least.
TEST_P(RecurrentCells, PassBackTheSameBitsForTwoRows) {
  constexpr Index kFirst = 1;
  Fixture whole(options());
  const Index S = whole.S();
  const auto expected = whole.gradients();
  Buffer<Real> all(kSteps * kBatch * S);
  RandomStream(3, 3).normal(0, all.size(), all.data());
  const sequence::FromSample part(whole.chain(), kFirst);
  const sequence::GroupRows no_parameters;
  for (const Index count : {1, 2}) {
    const Index steps = 2 / count, size = count * S;
    const std::array<Index, 3> shape{steps, count, S};
    Buffer<Real> z((steps + 1) * size), loss(steps * size), gradient(steps * size), carry(size);
    const States states(z.data(), {steps + 1, count, S});
    for (Index l = kSteps - steps; l >= 0; l -= steps) {
      const auto at = [&](Index i) { return ((l + i) * kBatch + kFirst) * S; };
      for (Index i = 0; i <= steps; ++i)
        std::copy_n(whole.states().data() + at(i), size, states[i].data());
      for (Index i = 0; i < steps; ++i)
        std::copy_n(all.data() + at(i), size, loss.data() + i * size);
      const auto J = part->linearise_along({l, l + steps}, states);
      part->backpropagate(*J, {l, l + steps},
                          {states.slice(0, steps),
                           {loss.data(), shape},
                           {gradient.data(), shape},
                           {carry.data(), {count, S}},
                           no_parameters});
      for (Index i = 0; i < steps * size; ++i)
        ASSERT_EQ(gradient[i], expected.states[at(i / size) + i % size])
            << count << " samples, step " << l + i / size << ", " << i % size;
    }
  }
}

/// The whole functional by differences, masks included: by parameters and first states.
TEST_P(RecurrentCells, GradientsMatchDifferences) {
  Fixture cells(options(), {kSteps, 4, 0, 1});
  const auto found = cells.gradients();
  Buffer<Real> loss(kSteps * kBatch * cells.S());
  RandomStream(3, 3).normal(0, loss.size(), loss.data());
  const auto functional = [&] {
    cells.chain().propagate(Fixture::all(), cells.states()[0], cells.states().slice(1, kSteps + 1));
    Real sum = 0;
    for (Index i = 0; i < loss.size(); ++i) sum += loss[i] * cells.states()[1].data()[i];
    return sum;
  };
  const auto expect = [&](Real& x, Real gradient) {
    constexpr double kStep = 1e-5;
    const Real kept = x;
    x = kept + kStep;
    const Real above = functional();
    x = kept - kStep;
    const Real below = functional();
    x = kept;
    ASSERT_NEAR(gradient, (above - below) / (2 * kStep), 1e-8 * (1 + std::abs(gradient)));
  };
  for (Index i = 0; i < kBatch * cells.S(); i += 3)
    expect(cells.states().data()[i], found.first[i]);
  auto groups = cells.chain().parameters();
  for (std::size_t g = 0; g < groups.size(); ++g)
    for (Index i = 0; i < groups[g].values.size(); i += 7)
      expect(groups[g].values.data()[i], found.parameters[static_cast<int>(g)].data()[i]);
}

TEST_P(RecurrentCells, JacobiansMatchDifferences) {
  constexpr double kStep = 1e-5;
  Fixture cells(options());
  const Index S = cells.S(), size = kSteps * kBatch * S;
  const std::array<Index, 3> shape{kSteps, kBatch, S};
  const auto J = cells.chain().linearise_along(Fixture::all(), cells.states());
  Buffer<Real> A(size * S), z(size), above(size), below(size);
  J->blocks(Fixture::all(), {A.data(), {kSteps, kBatch, S, S}});
  for (Index j = 0; j < S; ++j) {  // column j of all at once
    const auto value_at = [&](double h, Buffer<Real>& f) {
      std::copy_n(cells.states().data(), size, z.data());
      for (Index i = j; i < size; i += S) z[i] += h;
      cells.chain().value(Fixture::all(), {z.data(), shape}, {f.data(), shape});
    };
    value_at(kStep, above);
    value_at(-kStep, below);
    for (Index i = 0; i < size; ++i)
      ASSERT_NEAR(A[(i / S * S + j) * S + i % S], (above[i] - below[i]) / (2 * kStep), 1e-9);
  }
}

TEST_P(RecurrentCells, DiagonalsAreThoseOfTheBlocks) {
  Fixture cells(options(), {kSteps, 4, 0, 1});
  const Index S = cells.S();
  const auto J = cells.chain().linearise_along(Fixture::all(), cells.states());
  Buffer<Real> D(kSteps * kBatch * S), A(kSteps * kBatch * S * S);
  J->diagonals(Fixture::all(), {D.data(), {kSteps, kBatch, S}});
  J->blocks(Fixture::all(), {A.data(), {kSteps, kBatch, S, S}});
  for (Index row = 0; row < kSteps * kBatch; ++row)
    for (Index i = 0; i < S; ++i)
      ASSERT_NEAR(D[row * S + i], A[(row * S + i) * S + i], 1e-14) << row << ", " << i;
}

TEST(RecurrentChain, PairsAreThoseOfTheBlocks) {
  for (const char* model : {"lstm", "para-lstm"}) {
    Fixture cells(options_of(model, 1), {kSteps, 4, 0, 1});
    const Index S = cells.S(), half = S / 2;
    const auto J = cells.chain().linearise_along(Fixture::all(), cells.states());
    Buffer<Real> C(kSteps * kBatch * 2 * S), A(kSteps * kBatch * S * S);
    ASSERT_TRUE(J->paired_diagonals(Fixture::all(), {C.data(), {kSteps, kBatch, 2, S}}));
    J->blocks(Fixture::all(), {A.data(), {kSteps, kBatch, S, S}});
    for (Index row = 0; row < kSteps * kBatch; ++row)
      for (Index column = 0; column < 2; ++column)
        for (Index i = 0; i < S; ++i)
          ASSERT_NEAR(C[(row * 2 + column) * S + i],
                      A[(row * S + column * half + i % half) * S + i], 1e-14)
              << model << ", row " << row << ", column " << column << ", " << i;
  }
}

TEST_P(RecurrentCells, SubstitutesForwardByProducts) {
  Fixture cells(options(), {kSteps, 4, 0, 1});
  const Index S = cells.S(), state = kBatch * S;
  const auto J = cells.chain().linearise_along(Fixture::all(), cells.states());
  Buffer<Real> r(kSteps * state), d(r.size()), carry(state), before(state), after(state);
  RandomStream(3, 4).normal(0, r.size(), r.data());
  RandomStream(3, 5).normal(0, state, carry.data());
  std::copy(carry.begin(), carry.end(), before.begin());
  std::copy(r.begin(), r.end(), d.begin());
  const States in_place(d.data(), {kSteps, kBatch, S});
  J->substitute(Fixture::all(), Direction::forward, in_place, in_place,
                {carry.data(), {kBatch, S}});
  for (Index l = 0; l < kSteps; ++l) {
    J->product(l, Direction::forward, {before.data(), {kBatch, 1, S}},
               {after.data(), {kBatch, 1, S}});
    for (Index i = 0; i < state; ++i) {
      after[i] += r[l * state + i];
      ASSERT_NEAR(d[l * state + i], after[i], 1e-13);
    }
    before.swap(after);
  }
  for (Index i = 0; i < state; ++i) ASSERT_EQ(carry[i], d[(kSteps - 1) * state + i]);
}

TEST_P(RecurrentCells, StartByTheSeedAlone) {
  ModelOptions options = this->options();
  const auto one = make(options, {0, 2}), other = make(options, {5, kSteps});
  options.seed = 2;
  const auto seeded = make(options, {0, 2});
  EXPECT_EQ(one->parameters().size(), 2U);
  for (std::size_t g = 0; g < 2; ++g) {
    const View<Real, 2> here = one->parameters()[g].values, there = other->parameters()[g].values;
    EXPECT_EQ(one->parameters()[g].name, "cell/" + std::to_string(g));
    EXPECT_TRUE(std::equal(here.begin(), here.end(), there.begin()));
    EXPECT_NE(here(0, 0), seeded->parameters()[g].values(0, 0));
    for (const Real value : here) ASSERT_LE(std::abs(value), std::sqrt(3.0 / kFeatures));
  }
}

std::string case_name(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  for (char& letter : name)
    if (letter == ' ' || letter == '-') letter = '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, RecurrentCells,
                         ::testing::Values("rnn", "rnn activation relu", "gru",
                                           "gru reset before candidate silu", "lstm", "para-gru",
                                           "para-lstm"),
                         case_name);

/// A rank may have no sample.
TEST_P(RecurrentCells, DoNothingForNoSamples) {
  Fixture cells(options());
  const Index S = cells.S();
  const sequence::FromSample none(cells.chain(), kBatch);
  Buffer<Real> memory(S);
  const States states(memory.data(), {kSteps + 1, 0, S});
  none->propagate(Fixture::all(), states[0], states.slice(1, kSteps + 1));
  const auto J = none->linearise_along(Fixture::all(), states);
  sequence::ParameterGradients gradients(cells.chain().parameters());
  sequence::GroupRows rows;
  gradients.slice(0, kSteps, rows);
  const States steps = states.slice(0, kSteps);
  none->backpropagate(*J, Fixture::all(), {steps, steps, steps, {memory.data(), {0, S}}, rows});
  for (int g = 0; g < gradients.groups(); ++g)
    for (const Real value : gradients[g]) ASSERT_EQ(value, 0);
}

TEST(RecurrentChain, SaysWhatItsStatesAre) {
  const auto gru = make(options_of("gru", 3), {0, 1}), lstm = make(options_of("lstm", 3), {0, 1});
  EXPECT_EQ(gru->width(), 3 * kUnits);
  EXPECT_EQ(gru->output().first, 2 * kUnits);
  EXPECT_EQ(lstm->width(), 6 * kUnits);
  EXPECT_EQ(lstm->output().first, 4 * kUnits);
  EXPECT_EQ(lstm->output().count, kUnits);
  EXPECT_EQ(state_width(options_of("lstm", 3)), 6 * kUnits);
  EXPECT_EQ(make(options_of("lstm", 1).set("features", 0), {0, 1})->input_width(), kUnits);
}

TEST(RecurrentChain, DeclaresStructureOfOneLayer) {
  const auto structure = [](const char* model, int layers) {
    Fixture cells(options_of(model, layers));
    return cells.chain().linearise_along(Fixture::all(), cells.states())->structure();
  };
  EXPECT_EQ(structure("para-gru", 1), blocks::Structure::diagonal);
  EXPECT_EQ(structure("para-lstm", 1), blocks::Structure::paired_diagonals);
  EXPECT_EQ(structure("para-gru", 2), blocks::Structure::dense);
  EXPECT_EQ(structure("gru", 1), blocks::Structure::dense);
}

TEST(RecurrentChain, RefusesSizesWithoutSense) {
  ModelOptions options = options_of("lstm", 100);
  options.width = 1000;
  EXPECT_EQ(refusal([&] {
              make(options, {0, 1});
            }),
            "--width 1000 with --layers 100 makes 200000 numbers in a state, 32768 at most are "
            "possible; use a smaller one of the two");
}

/// With the reset gate shut a candidate is that of its inputs, however large what it is shut from.
TEST(RecurrentChain, TangentsPassAShutResetGateUnharmed) {
  constexpr int kGates = 3 * kUnits;
  const auto cells = make(options_of("gru", 2), {0, 1});
  const View<Real, 2> row = cells->parameters()[1].values;
  const Index W_hh = Index{kGates} * kUnits, b_ih = 2 * W_hh;
  for (int i = 0; i < kUnits; ++i) row(0, b_ih + i) = -800;  // r = 0
  const Index S = cells->width();
  Buffer<Real> x(kFeatures), z(S), out(S), V(S);
  RandomStream(3, 1).normal(0, x.size(), x.data());
  RandomStream(3, 2).normal(0, V.size(), V.data());
  const auto chain = cells->bound_to({{0, 1}, {x.data(), {1, 1, kFeatures}}});
  const auto image = [&](Real weight) {
    for (int j = 0; j < kUnits; ++j)
      for (int i = 2 * kUnits; i < kGates; ++i) row(0, W_hh + j * kGates + i) = weight;
    Buffer<Real> W(S);
    const auto J = chain->linearise({0, 1}, {z.data(), {1, 1, S}}, {out.data(), {1, 1, S}});
    J->product(0, Direction::forward, {V.data(), {1, 1, S}}, {W.data(), {1, 1, S}});
    return W;
  };
  const Buffer<Real> none = image(0), large = image(1e12);
  for (Index i = 0; i < S; ++i) ASSERT_EQ(large[i], none[i]);
}

/// A limit of the cells: with the update gate shut they keep their state.
TEST(RecurrentChain, KeepsAStateWhoseUpdateGateIsShut) {
  ModelOptions options = options_of("gru", 1);
  const auto cells = make(options, {0, kSteps});
  const View<Real, 2> row = cells->parameters().front().values;
  std::fill(row.begin(), row.end(), 0.0);
  const Index b_ih = 3 * kUnits * (kFeatures + kUnits);
  for (int i = 0; i < kUnits; ++i) row(0, b_ih + kUnits + i) = 800;  // z = 1
  Buffer<Real> x(kSteps * kFeatures), z(kUnits), out(kSteps * kUnits);
  RandomStream(3, 1).normal(0, x.size(), x.data());
  RandomStream(3, 2).normal(0, z.size(), z.data());
  const auto chain = cells->bound_to({{0, kSteps}, {x.data(), {kSteps, 1, kFeatures}}});
  chain->propagate({0, kSteps}, {z.data(), {1, kUnits}}, {out.data(), {kSteps, 1, kUnits}});
  for (Index i = 0; i < out.size(); ++i) ASSERT_EQ(out[i], z[i % kUnits]);
}

}  // namespace
}  // namespace deeppcr::models
