#include <cmath>

#include "deeppcr/core/error.hpp"
#include "deeppcr/train/update_rule.hpp"

namespace deeppcr::train {

namespace {

constexpr double kEpsilon = 1e-8;

class Adam final : public UpdateRule {
 public:
  /// decoupled: weight decay shrinks the parameters themselves, else it is added to the gradient.
  Adam(const OptionValues& options, bool decoupled)
      : beta1_(options.real("beta1")),
        beta2_(options.real("beta2")),
        decay_(options.real("weight-decay")),
        decoupled_(decoupled) {
    for (const double beta : {beta1_, beta2_})
      if (beta >= 1) throw input_error("beta {}: a number from 0 to below 1 is needed", beta);
  }

  std::vector<Memory> memory() const override {
    return {{"mean", "running mean of the gradient"},
            {"mean_square", "running mean of its square"}};
  }

  void apply(const Update& u) const override {
    Real* p = u.parameters;
    Real *m = u.memory[0], *v = u.memory[1];
    const auto t = static_cast<double>(u.number);
    const Real b1 = beta1_, b2 = beta2_;
    const Real first = 1 / (1 - std::pow(b1, t)), second = 1 / (1 - std::pow(b2, t));
    const Real added = decoupled_ ? 0 : decay_;
    const Real kept = decoupled_ ? 1 - u.rate * decay_ : 1;
    const Real* gradient = u.gradient;
    const Real scale = u.scale, rate = u.rate;
    for (Index i = 0, size = u.size; i < size; ++i) {
      const Real g = scale * gradient[i] + added * p[i];
      m[i] = b1 * m[i] + (1 - b1) * g;
      v[i] = b2 * v[i] + (1 - b2) * g * g;
      p[i] = kept * p[i] - rate * first * m[i] / (std::sqrt(second * v[i]) + kEpsilon);
    }
  }

 private:
  double beta1_, beta2_, decay_;
  bool decoupled_;
};

std::vector<OptionSpec> adam_options() {
  return {real_option("beta1", "0.9", 0, 1, "memory of the gradient, from 0 to below 1"),
          real_option("beta2", "0.999", 0, 1, "memory of its square, from 0 to below 1"),
          real_option("weight-decay", "0.01", 0, 1e6, "weight decay")};
}

}  // namespace

OptimiserEntry adam_entry() {
  return {"adam", "steps of a size of their own for each parameter", adam_options(),
          [](const OptionValues& options) { return std::make_unique<Adam>(options, false); }};
}

OptimiserEntry adamw_entry() {
  return {"adamw", "adam, where weight decay shrinks the parameters themselves", adam_options(),
          [](const OptionValues& options) { return std::make_unique<Adam>(options, true); }};
}

}  // namespace deeppcr::train
