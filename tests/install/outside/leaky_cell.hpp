#pragma once

#include <memory>
#include <vector>

#include "deeppcr/models/catalogue.hpp"

namespace outside {

/// A leaky recurrent cell. All steps share its weights, and each has an input x_l of its own:
///
///     z_{l+1} = (1 - c) z_l + c tanh(W z_l + U x_l + b)
///
/// W [n, n], U [n, d] and b [n], row-major, are one row of parameters. The program binds the
/// inputs: features of samples, or noise.
class LeakyCell final : public deeppcr::sequence::Sequence {
 public:
  struct Options {
    deeppcr::Index steps = 0;
    int width = 1, inputs = 1;
    double leak = 0.5;  ///< c
    std::uint64_t seed = 1;
  };
  /// local: the steps of this rank, which holds all weights.
  LeakyCell(const Options& options, const deeppcr::StepSet& local);

  deeppcr::Index num_steps() const override { return options_.steps; }
  int width() const override { return options_.width; }
  int input_width() const override { return options_.inputs; }
  deeppcr::StepSet local_steps() const override { return local_; }

  void value(deeppcr::StepRange range, deeppcr::ConstStates in, deeppcr::States out) const override;
  std::unique_ptr<deeppcr::blocks::Linearisation> linearise(deeppcr::StepRange range,
                                                            deeppcr::ConstStates in,
                                                            deeppcr::States out) const override;

  std::vector<deeppcr::sequence::ParameterGroup> parameters() override;
  void parameter_gradient(deeppcr::StepRange range, deeppcr::ConstStates in, deeppcr::ConstStates g,
                          const deeppcr::sequence::GroupRows& grads) const override;

  deeppcr::sequence::Inputs inputs() const override { return inputs_; }
  std::unique_ptr<Sequence> bound_to(const deeppcr::sequence::Inputs& inputs) const override;

 private:
  /// visit(i, b, z, x): step range.first + i of sample b, its state and its input.
  template <typename Visit>
  void each(deeppcr::StepRange range, deeppcr::ConstStates in, Visit&& visit) const;
  /// tanh(W z + U x + b), number k.
  double squashed(int k, const double* z, const double* x) const;

  Options options_;
  deeppcr::StepSet local_;
  std::shared_ptr<deeppcr::Buffer<double>> theta_;  ///< W, U, b; of all views of the cell
  deeppcr::sequence::Inputs inputs_;
};

/// For models::add_to_catalogue(): --model leaky-cell.
deeppcr::models::CatalogueEntry leaky_cell_entry();

}  // namespace outside
