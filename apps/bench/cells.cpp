// Recurrent cells over time, step after step, on one rank. Against PyTorch:
// tests/bench/compare_cells.py.
#include <algorithm>

#include "deeppcr/blocks/kernels.hpp"
#include "deeppcr/core/random.hpp"
#include "deeppcr/models/catalogue.hpp"
#include "suites.hpp"

namespace deeppcr::bench {
namespace {

/// A cell with its inputs, as many as units, and all that its passes need; and its products alone.
class CellCase {
 public:
  CellCase(const std::string& model, Index steps, int width, Index batch)
      : steps_(steps), batch_(batch) {
    models::ModelOptions options;
    options.model = model;
    options.steps = steps;
    options.width = width;
    cells_ = models::make(options, {0, steps});
    const Index d = cells_->input_width();
    x_ = Buffer<Real>(steps * batch * d);
    RandomStream(1, 1).normal(0, x_.size(), x_.data());
    chain_ = cells_->bound_to({{0, steps}, {x_.data(), {steps, batch, d}}});
    state_ = batch * cells_->width();
    states_ = Buffer<Real>((steps + 1) * state_);
    g_ = Buffer<Real>(steps * state_);
    carry_ = Buffer<Real>(state_);
    last_ = Buffer<Real>(state_);
    const sequence::Columns seen = cells_->output();
    for (Index b = 0; b < batch; ++b)
      std::fill_n(last_.data() + b * cells_->width() + seen.first, seen.count, Real{1});
    const int gates = static_cast<int>(cells_->parameters().front().row_size() / (2 * d + 2));
    product_ = blocks::Product(gates, width);
    products_ = Buffer<Real>(kSteps * batch * gates);
    gradients_ = sequence::ParameterGradients(cells_->parameters());
    gradients_.slice(0, steps, rows_);
  }

  /// With the inputs of some steps at a time, then with a state for each.
  void products() {
    const Real *W_ih = cells_->parameters().front().values.data(),
               *W_hh = W_ih + Index{product_.rows()} * product_.columns();
    const Index size = batch_ * product_.columns();
    for (Index l = 0; l < steps_; l += kSteps) {
      const Index m = std::min(kSteps, steps_ - l);
      product_(W_ih, m * batch_, x_.data() + l * size, nullptr, products_.data());
      for (Index i = 0; i < m; ++i)
        product_(W_hh, batch_, x_.data() + (l + i) * size, nullptr, products_.data());
    }
  }
  void forward() { chain_->propagate(all(), states()[0], states().slice(1, steps_ + 1)); }
  void forward_with_derivative() {
    J_.reset();
    J_ = chain_->linearise_along(all(), states());
  }
  /// @pre forward_with_derivative()
  void backward() {
    gradients_.clear_shared();
    std::fill(carry_.begin(), carry_.end(), 0.0);
    chain_->backpropagate(*J_, all(),
                          {states().slice(0, steps_),
                           {last_.data(), {1, batch_, cells_->width()}},
                           {g_.data(), {steps_, batch_, cells_->width()}},
                           {carry_.data(), {batch_, cells_->width()}},
                           rows_});
  }

 private:
  static constexpr Index kSteps = 64;

  StepRange all() const { return {0, steps_}; }
  States states() { return {states_.data(), {steps_ + 1, batch_, cells_->width()}}; }

  Index steps_, batch_, state_;
  std::unique_ptr<sequence::Sequence> cells_, chain_;
  Buffer<Real> x_, states_, g_, carry_, last_, products_;
  blocks::Product product_;
  sequence::ParameterGradients gradients_;
  sequence::GroupRows rows_;
  std::unique_ptr<blocks::Linearisation> J_;
};

}  // namespace

void run_cells(Harness& harness) {
  for (const char* model : {"gru", "lstm"})
    for (const int n : harness.widths_or({64, 256}))
      for (const Index B : harness.batches_or({1, 32}))
        for (const Index T : harness.steps_or({2048})) {
          CellCase cells(model, T, n, B);
          cells.forward_with_derivative();
          const auto seconds =
              harness.race({{"products", 1, [&] { cells.products(); }},
                            {"sequential", 1, [&] { cells.forward(); }},
                            {"sequential", 1, [&] { cells.forward_with_derivative(); }},
                            {"sequential", 1, [&] { cells.backward(); }}});
          const char* passes[] = {"forward", "forward with derivative",
                                  "backward with parameter gradients"};
          for (std::size_t pass = 0; pass < 3; ++pass) {
            Row row{"cells", fmt::format("{}, {}", model, passes[pass]), "sequential", 1, T, n, B};
            row.seconds = seconds[pass + 1];
            row.compare("products of forward alone", seconds[0]);
            harness.add(row);
          }
        }
}

}  // namespace deeppcr::bench
