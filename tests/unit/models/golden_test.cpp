// States, losses and gradients against PyTorch's, see tests/golden/make_golden.py.
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
#include "deeppcr/models/class_losses.hpp"
#include "models/layered_chain.hpp"
#include "support/model_options.hpp"
#include "support/rows.hpp"

namespace deeppcr::models {
namespace {

using nlohmann::json;

json golden() {
  std::ifstream file(DEEPPCR_GOLDEN_DIR "/models.json");
  return json::parse(file);
}

/// PyTorch's row-major [out, in] to column-major [out x in].
void load(const json& weights, Index out, Index in, Real* W) {
  for (Index i = 0; i < out; ++i)
    for (Index j = 0; j < in; ++j) W[j * out + i] = weights[static_cast<std::size_t>(i * in + j)];
}

void expect_near(const json& expected, const Real* x, Index count, const std::string& what) {
  const std::vector<Real> values = expected;
  ASSERT_EQ(static_cast<Index>(values.size()), count) << what;
  double largest = 0;
  for (const Real value : values) largest = std::fmax(largest, std::fabs(value));
  // Both sides round some hundred sums in a row.
  const double bound = 1e3 * std::numeric_limits<double>::epsilon() * largest;
  for (Index i = 0; i < count; ++i)
    EXPECT_NEAR(x[i], values[static_cast<std::size_t>(i)], bound) << what << " at " << i;
}

void expect_weights_near(const json& expected, const Real* W, Index out, Index in,
                         const std::string& what) {
  std::vector<Real> sorted(static_cast<std::size_t>(out * in));
  for (Index i = 0; i < out; ++i)
    for (Index j = 0; j < in; ++j) sorted[static_cast<std::size_t>(i * in + j)] = W[j * out + i];
  expect_near(expected, sorted.data(), out * in, what);
}

/// One network of the file, run forward and backward step by step.
class Network {
 public:
  Network(const json& golden, const json& network)
      : case_(network),
        L_(golden["steps"]),
        B_(golden["batch"]),
        n_(golden["width"]),
        embedding_(LayerRole::embedding, golden["features"], n_, 1),
        head_(LayerRole::head, n_, golden["classes"], 1),
        states_((L_ + 1) * B_ * n_),
        gradients_((L_ + 1) * B_ * n_) {
    ModelOptions options;
    options.model = network["model"];
    options.set("activation", network["activation"].get<std::string>()).set("init", "zero");
    if (!network["bias"]) options.set("no-bias", "true");
    test::set_where_known(options, "block-layers", network["layers"].get<int>());
    test::set_where_known(options, "residual-scale", network["scale"].get<std::string>());
    options.steps = L_;
    options.width = n_;
    chain_ = make(options, {0, L_});
    shape_ = dynamic_cast<const LayeredChain&>(*chain_).shape();
    load_parameters();
  }

  void check_forward() {
    const std::vector<Real> x = case_["x"];
    embedding_.forward({x.data(), {B_, embedding_.inputs()}}, states()[0]);
    chain_->propagate({0, L_}, states()[0], states().slice(1, L_ + 1));
    for (Index l = 0; l <= L_; ++l)
      expect_near(case_["states"][static_cast<std::size_t>(l)], states()[l].data(), B_ * n_,
                  "state " + std::to_string(l));
  }

  void check_head() {
    const std::vector<int> labels = case_["labels"];
    const Index classes = head_.outputs();
    Buffer<Real> logits(B_ * classes), dtheta(head_.parameters().size());
    const State logit_view{logits.data(), {B_, classes}};
    head_.forward(states()[L_], logit_view);
    const LossReport report = softmax_cross_entropy(logit_view, labels, true);
    head_.gradient(states()[L_], logit_view, {dtheta.data(), {dtheta.size()}}, gradients()[L_]);
    const double loss = case_["loss"];
    EXPECT_NEAR(report.loss, loss, 100 * std::numeric_limits<double>::epsilon());
    EXPECT_EQ(report.correct, case_["correct"].get<Index>());
    expect_weights_near(case_["head"]["dW"], dtheta.data(), classes, n_, "head dW");
    expect_near(case_["head"]["db"], dtheta.data() + classes * n_, classes, "head db");
  }

  void check_backward() {
    Buffer<Real> out(L_ * B_ * n_);
    const States starts = states().slice(0, L_);
    const auto J = chain_->linearise({0, L_}, starts, {out.data(), {L_, B_, n_}});
    for (Index l = L_ - 1; l >= 0; --l) {
      const States g = gradients();
      J->product(l, Direction::backward, {g[l + 1].data(), {B_, 1, n_}},
                 {g[l].data(), {B_, 1, n_}});
      expect_near(case_["state_gradients"][static_cast<std::size_t>(l)], g[l].data(), B_ * n_,
                  "gradient of state " + std::to_string(l));
    }
    const sequence::ParameterGradients grads(chain_->parameters());
    chain_->parameter_gradient({0, L_}, starts, gradients().slice(1, L_ + 1), {grads[0]});
    for (Index l = 0; l < L_; ++l) check_step_gradient(l, grads[0][l].data());
  }

  void check_embedding_gradient() {
    const Index features = embedding_.inputs();
    const std::vector<Real> x = case_["x"];
    Buffer<Real> dtheta(embedding_.parameters().size()), dx(B_ * features);
    embedding_.gradient({x.data(), {B_, features}}, gradients()[0],
                        {dtheta.data(), {dtheta.size()}}, {dx.data(), {B_, features}});
    expect_weights_near(case_["embedding"]["dW"], dtheta.data(), n_, features, "embedding dW");
    expect_near(case_["embedding"]["db"], dtheta.data() + n_ * features, n_, "embedding db");
    expect_near(case_["dx"], dx.data(), dx.size(), "dx");
  }

 private:
  States states() { return {states_.data(), {L_ + 1, B_, n_}}; }
  States gradients() { return {gradients_.data(), {L_ + 1, B_, n_}}; }

  void load_layer(const json& layer, DenseLayer& to) const {
    load(layer["W"], to.outputs(), to.inputs(), to.parameters().data());
    const std::vector<Real> b = layer["b"];
    std::copy(b.begin(), b.end(), to.rows()[to.inputs()].data());
  }

  void load_parameters() {
    load_layer(case_["embedding"], embedding_);
    load_layer(case_["head"], head_);
    for (Index l = 0; l < L_; ++l) {
      Real* theta = test::rows_of(*chain_)[l].data();
      for (int j = 0; j < shape_.layers; ++j) {
        const json& layer = layer_of(l, j);
        load(layer["W"], n_, n_, theta + shape_.weight_offset(j));
        if (!shape_.bias) continue;
        const std::vector<Real> b = layer["b"];
        std::copy(b.begin(), b.end(), theta + shape_.bias_offset(j));
      }
    }
  }

  void check_step_gradient(Index l, const Real* grad) const {
    for (int j = 0; j < shape_.layers; ++j) {
      const std::string where = " of step " + std::to_string(l) + " layer " + std::to_string(j);
      const json& layer = layer_of(l, j);
      expect_weights_near(layer["dW"], grad + shape_.weight_offset(j), n_, n_, "dW" + where);
      if (shape_.bias) expect_near(layer["db"], grad + shape_.bias_offset(j), n_, "db" + where);
    }
  }

  const json& layer_of(Index l, int j) const {
    return case_["chain"][static_cast<std::size_t>(l)][static_cast<std::size_t>(j)];
  }

  const json& case_;
  Index L_;
  Index B_;
  int n_;
  DenseLayer embedding_;
  DenseLayer head_;
  std::unique_ptr<sequence::Sequence> chain_;
  StepShape shape_;
  Buffer<Real> states_;
  Buffer<Real> gradients_;
};

TEST(Golden, NetworksAgreeWithPyTorch) {
  const json file = golden();
  ASSERT_EQ(file["cases"].size(), 7U);
  for (const json& network : file["cases"]) {
    SCOPED_TRACE(network["name"].get<std::string>());
    Network net(file, network);
    net.check_forward();
    net.check_head();
    net.check_backward();
    net.check_embedding_gradient();
  }
}

}  // namespace
}  // namespace deeppcr::models
