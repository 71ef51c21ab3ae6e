// Recurrent cells over time against PyTorch's, see tests/golden/make_cells.py.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "deeppcr/models/catalogue.hpp"
#include "models/recurrent_chain.hpp"

namespace deeppcr::models {
namespace {

using nlohmann::json;

/// An array of numbers of the file.
std::vector<Real> numbers(const json& from) { return from; }

std::vector<Real> joined(const json& rows) {
  std::vector<Real> all;
  for (const json& row : rows)
    for (const Real value : numbers(row)) all.push_back(value);
  return all;
}

void expect_near(const std::vector<Real>& expected, const Real* x, Index count,
                 const std::string& what) {
  ASSERT_EQ(static_cast<Index>(expected.size()), count) << what;
  double largest = 0;
  for (const Real value : expected) largest = std::fmax(largest, std::fabs(value));
  // Both sides round some hundred sums in a row; activations are right to a few units.
  const double bound = 1e3 * std::numeric_limits<double>::epsilon() * largest;
  for (Index i = 0; i < count; ++i)
    ASSERT_NEAR(x[i], expected[static_cast<std::size_t>(i)], bound) << what << " at " << i;
}

/// PyTorch's tensors of one layer, in the order of the chain's row.
std::vector<Real> row_of(const json& layer, const CellShape& shape, int k) {
  std::vector<Real> row;
  const auto add_matrix = [&](const char* name, Index in) {
    const std::vector<Real> W = numbers(layer[name]);  // row-major [out, in]
    for (Index j = 0; j < in; ++j)
      for (Index i = 0; i < shape.gate_reals(); ++i)
        row.push_back(W[static_cast<std::size_t>(i * in + j)]);
  };
  add_matrix("weight_ih", shape.inputs_of(k));
  if (layer.contains("weight_hh")) add_matrix("weight_hh", shape.units);
  for (const char* name : {"a", "peepholes", "bias", "bias_ih", "bias_hh"})
    if (layer.contains(name))
      for (const Real value : numbers(layer[name])) row.push_back(value);
  return row;
}

/// One case of the file: stacked cells over T steps.
class Cells {
 public:
  Cells(const json& golden, const json& one)
      : case_(one), T_(golden["steps"]), B_(one["batch"]), x_(joined(one["x"])) {
    ModelOptions options;
    options.model = one["model"];
    options.steps = T_;
    options.width = golden["units"];
    options.set("layers", one["layers"].get<int>()).set("features", golden["features"].get<int>());
    for (const auto& [name, word] : one["options"].items())
      options.set(name, word.get<std::string>());
    cells_ = make(options, {0, T_});
    shape_ = dynamic_cast<const RecurrentChain&>(*cells_).shape();
    for (int k = 0; k < shape_.layers; ++k) {
      const std::vector<Real> row = row_of(layer("cells", k), shape_, k);
      const View<Real, 2> values = cells_->parameters()[static_cast<std::size_t>(k)].values;
      EXPECT_EQ(values.size(), static_cast<Index>(row.size()));
      std::copy(row.begin(), row.end(), values.begin());
    }
    chain_ = cells_->bound_to({{0, T_}, {x_.data(), {T_, B_, shape_.features}}});
    S_ = chain_->width();
    states_ = Buffer<Real>((T_ + 1) * B_ * S_);
    const std::vector<Real> first = numbers(one["states"][0]);
    std::copy(first.begin(), first.end(), states_.begin());
  }

  void check_forward() {
    chain_->propagate({0, T_}, states()[0], states().slice(1, T_ + 1));
    for (Index l = 0; l <= T_; ++l)
      expect_near(numbers(case_["states"][static_cast<std::size_t>(l)]), states()[l].data(),
                  B_ * S_, "state " + std::to_string(l));
  }

  /// By the pass that does all at once, and by products and parameter gradients apart.
  void check_backward() {
    const auto J = chain_->linearise_along({0, T_}, states());
    Buffer<Real> loss = loss_gradient(), carry(B_ * S_), g(loss.size());
    const sequence::ParameterGradients grads(chain_->parameters());
    sequence::GroupRows rows;
    grads.slice(0, T_, rows);
    const std::array<Index, 3> shape{T_, B_, S_};
    const ConstStates in = states().slice(0, T_);
    chain_->backpropagate(
        *J, {0, T_}, {in, {loss.data(), shape}, {g.data(), shape}, {carry.data(), {B_, S_}}, rows});
    expect_near(numbers(case_["d_first"]), carry.data(), B_ * S_, "d first state");
    check_gradients(rows);
    grads.clear_shared();
    chain_->parameter_gradient({0, T_}, in, {g.data(), shape}, rows);
    check_gradients(rows);
  }

 private:
  States states() { return {states_.data(), {T_ + 1, B_, S_}}; }
  const json& layer(const char* what, int k) const {
    return case_[what][static_cast<std::size_t>(k)];
  }

  /// d loss / d states, whose h of the last layer the loss reads.
  Buffer<Real> loss_gradient() const {
    const sequence::Columns seen = chain_->output();
    const std::vector<Real> weights = joined(case_["weights"]);
    Buffer<Real> loss(T_ * B_ * S_);
    for (Index row = 0; row < T_ * B_; ++row)
      std::copy_n(weights.data() + row * seen.count, seen.count,
                  loss.data() + row * S_ + seen.first);
    return loss;
  }

  void check_gradients(const sequence::GroupRows& rows) const {
    for (int k = 0; k < shape_.layers; ++k) {
      const View<Real, 2> row = rows[static_cast<std::size_t>(k)];
      expect_near(row_of(layer("d_cells", k), shape_, k), row.data(), row.size(),
                  "gradient of layer " + std::to_string(k));
    }
  }

  const json& case_;
  Index T_, B_, S_ = 0;
  std::vector<Real> x_;
  std::unique_ptr<sequence::Sequence> cells_, chain_;
  CellShape shape_;
  Buffer<Real> states_;
};

TEST(RecurrentGolden, StatesAndGradientsAgreeWithPyTorch) {
  std::ifstream stream(DEEPPCR_GOLDEN_DIR "/cells.json");
  const json file = json::parse(stream);
  ASSERT_EQ(file["cases"].size(), 32U);
  for (const json& one : file["cases"]) {
    SCOPED_TRACE(fmt::format("{}, {} layers, B {}", one["name"].get<std::string>(),
                             one["layers"].get<int>(), one["batch"].get<int>()));
    Cells cells(file, one);
    cells.check_forward();
    cells.check_backward();
  }
}

}  // namespace
}  // namespace deeppcr::models
