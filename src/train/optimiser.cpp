#include "deeppcr/train/optimiser.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <utility>

#include "deeppcr/core/error.hpp"

namespace deeppcr::train {

namespace {

// The rules that come with the library, with PyTorch's formulas (learning rate a, gradient g):
//
//     sgd     v <- momentum v + g;  p <- p - a v          (nesterov: p <- p - a (g + momentum v))
//     adam    m, v <- running means of g and g^2;  p <- p - a m^ / (sqrt(v^) + epsilon)
//     adamw   the same, but weight decay shrinks p itself: p <- (1 - a decay) p first
//
// sgd and adam add decay p to g. Sources: Sutskever et al., ICML 2013; Kingma and Ba, arXiv
// 1412.6980; Loshchilov and Hutter, arXiv 1711.05101.

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
    const Real mu = momentum_, decay = u.decays ? decay_ : 0, scale = u.scale, rate = u.rate;
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
    const Real decay = u.decays ? decay_ : 0;
    const Real added = decoupled_ ? 0 : decay;
    const Real kept = decoupled_ ? 1 - u.rate * decay : 1;
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

OptionSpec weight_decay() { return real_option("weight-decay", "0.01", 0, 1e6, "weight decay"); }

OptimiserEntry sgd() {
  return {"sgd",
          "stochastic gradient descent with momentum",
          {real_option("momentum", "0.9", 0, 1, "from 0 to below 1"),
           flag_option("nesterov", "Nesterov's form of momentum"), weight_decay()},
          [](const OptionValues& options) { return std::make_unique<Sgd>(options); }};
}

OptimiserEntry adam(const char* name, const char* help, bool decoupled) {
  return {name,
          help,
          {real_option("beta1", "0.9", 0, 1, "memory of the gradient, from 0 to below 1"),
           real_option("beta2", "0.999", 0, 1, "memory of its square, from 0 to below 1"),
           weight_decay()},
          [=](const OptionValues& options) { return std::make_unique<Adam>(options, decoupled); }};
}

/// By running sums of their own, so that no addition waits for the one before.
double sum_of_squares(const Real* x, Index count) {
  constexpr Index kSums = 32;
  std::array<Real, kSums> sums{};
  const Index whole = count - count % kSums;
  for (Index i = 0; i < whole; i += kSums)
    for (Index k = 0; k < kSums; ++k) sums[static_cast<std::size_t>(k)] += x[i + k] * x[i + k];
  for (Index i = whole; i < count; ++i) sums[0] += x[i] * x[i];
  return std::accumulate(sums.begin(), sums.end(), Real{0});
}

Catalogue<OptimiserEntry>& table() {
  static Catalogue<OptimiserEntry> entries{
      "optimiser",
      {sgd(), adam("adam", "steps of a size of their own for each parameter", false),
       adam("adamw", "adam, where weight decay shrinks the parameters themselves", true)}};
  return entries;
}

}  // namespace

const std::deque<OptimiserEntry>& optimisers() { return table().entries(); }

void add_to_catalogue(OptimiserEntry entry) { table().add(std::move(entry)); }

const OptimiserEntry& find_optimiser(const std::string& name) { return table().find(name); }

Optimiser::Optimiser(const parallel::Communicator& holders, const OptimiserOptions& options,
                     std::vector<ParameterGroup> groups)
    : holders_(holders), clip_norm_(options.clip_norm), groups_(std::move(groups)) {
  const OptimiserEntry& entry = find_optimiser(options.rule);
  rule_ = entry.make(OptionValues(entry.options, options.own));
  if (!(clip_norm_ >= 0 && std::isfinite(clip_norm_)))
    throw input_error("clipping norm {}: a finite number from 0 is needed", clip_norm_);
  for (const ParameterGroup& group : groups_) {
    memories_.emplace_back();
    for (std::size_t a = 0; a < rule_->memory().size(); ++a)
      memories_.back().emplace_back(group.array.local_size());
  }
}

double Optimiser::squares() const {
  double squares = 0;
  for (const ParameterGroup& group : groups_) {
    if (group.array.shared && holders_.rank() > 0) continue;  // counts once
    squares += sum_of_squares(group.gradient, group.array.local_size());
  }
  return squares;
}

double Optimiser::update(double learning_rate) {
  const double norm = std::sqrt(holders_.sum(squares()));
  if (!std::isfinite(norm)) return norm;
  apply(learning_rate, norm, false);
  return norm;
}

double Optimiser::hold() {
  held_.resize(groups_.size());
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    held_[g].reserve(groups_[g].array.local_size());
    std::copy_n(groups_[g].gradient, groups_[g].array.local_size(), held_[g].data());
  }
  return squares();
}

void Optimiser::update_held(double learning_rate, double norm) { apply(learning_rate, norm, true); }

double Optimiser::update_alone(double learning_rate) {
  const double sum = squares();
  apply(learning_rate, std::sqrt(sum), false);
  return sum;
}

void Optimiser::apply(double learning_rate, double norm, bool held) {
  const bool clips = clip_norm_ > 0 && norm > clip_norm_;
  ++updates_;
  Update update;
  const double scale = clips ? clip_norm_ / norm : 1;
  update.rate = learning_rate;
  update.number = updates_;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const models::ParameterKind kind = groups_[g].kind;
    update.scale = kind == models::ParameterKind::dual ? -scale : scale;
    update.decays = kind == models::ParameterKind::weight;
    update.size = groups_[g].array.local_size();
    update.parameters = groups_[g].array.values;
    update.gradient = held ? held_[g].data() : groups_[g].gradient;
    update.memory.clear();
    for (Buffer<Real>& memory : memories_[g]) update.memory.push_back(memory.data());
    rule_->apply(update);
  }
}

std::vector<StoredArray> Optimiser::state() {
  std::vector<StoredArray> arrays;
  const std::vector<UpdateRule::Memory> memory = rule_->memory();
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    for (std::size_t a = 0; a < memory.size(); ++a) {
      StoredArray array = groups_[g].array;
      array.name += std::string("/") + memory[a].name;
      array.values = memories_[g][a].data();
      array.long_name = std::string(memory[a].content) + ", " + groups_[g].array.name;
      arrays.push_back(std::move(array));
    }
  }
  return arrays;
}

}  // namespace deeppcr::train
