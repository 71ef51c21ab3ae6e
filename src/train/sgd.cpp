#include "deeppcr/core/error.hpp"
#include "deeppcr/train/update_rule.hpp"

namespace deeppcr::train {

namespace {

class Sgd final : public UpdateRule {
 public:
  explicit Sgd(const OptionValues& options)
      : momentum_(options.real("momentum")),
        decay_(options.real("weight-decay")),
        nesterov_(options.flag("nesterov")) {
    if (momentum_ >= 1)
      throw input_error("momentum {}: a number from 0 to below 1 is needed", momentum_);
    if (nesterov_ && momentum_ == 0)
      throw input_error("Nesterov's form needs sgd with a momentum above 0");
  }

  std::vector<Memory> memory() const override {
    if (momentum_ == 0) return {};
    return {{"momentum", "momentum"}};
  }

  void apply(const Update& u) const override {
    Real* p = u.parameters;
    Real* v = momentum_ == 0 ? nullptr : u.memory[0];
    const Real* gradient = u.gradient;
    const Real mu = momentum_, decay = decay_, scale = u.scale, rate = u.rate;
    const bool nesterov = nesterov_;
    for (Index i = 0, size = u.size; i < size; ++i) {
      const Real g = scale * gradient[i] + decay * p[i];
      if (v == nullptr) {
        p[i] -= rate * g;
        continue;
      }
      v[i] = mu * v[i] + g;
      p[i] -= rate * (nesterov ? g + mu * v[i] : v[i]);
    }
  }

 private:
  double momentum_, decay_;
  bool nesterov_;
};

}  // namespace

OptimiserEntry sgd_entry() {
  return {"sgd",
          "stochastic gradient descent with momentum",
          {real_option("momentum", "0.9", 0, 1, "from 0 to below 1"),
           flag_option("nesterov", "Nesterov's form of momentum"),
           real_option("weight-decay", "0.01", 0, 1e6, "weight decay")},
          [](const OptionValues& options) { return std::make_unique<Sgd>(options); }};
}

}  // namespace deeppcr::train
