#pragma once

#include <algorithm>

#include "deeppcr/nonlinear/windowed.hpp"
#include "support/denoiser_problem.hpp"
#include "support/environment.hpp"
#include "support/random_chain.hpp"

namespace deeppcr::test {

/// A sampler's chain, from noise, with its sequential trajectory; all states from z_0.
struct SamplingProblem {
  static constexpr Index kBatch = 2, kWidth = 5;

  SamplingProblem(int steps, double eta, const parallel::Communicator& comm = world())
      : denoiser(tiny_denoiser()),
        chain(denoiser, options(steps, eta), kBatch),
        trajectory(comm, parallel::BlockLayout::replicated(steps, comm.size()), kBatch, kWidth),
        expected((steps + 1) * kBatch * kWidth) {
    chain.start(trajectory.input());
    std::copy(trajectory.input().begin(), trajectory.input().end(), expected.begin());
    const States z(expected.data(), {steps + 1, kBatch, kWidth});
    chain.propagate({0, steps}, z[0], z.slice(1, steps + 1));
    trajectory.fill_with_input();
  }
  static models::SamplerOptions options(int steps, double eta) {
    models::SamplerOptions made;
    made.steps = steps;
    made.eta = eta;
    return made;
  }
  double error() {
    return relative_difference(world(), trajectory.whole().data(), expected.data(),
                               expected.size());
  }

  models::Denoiser denoiser;
  models::DenoisingChain chain;
  sequence::Trajectory trajectory;
  Buffer<Real> expected;
};

/// Defaults of a sampler's solve.
inline nonlinear::WindowedOptions sampler_options() {
  nonlinear::WindowedOptions options;
  options.sampler = true;
  return options;
}

}  // namespace deeppcr::test
