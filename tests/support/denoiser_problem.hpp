#pragma once

#include "deeppcr/core/random.hpp"
#include "deeppcr/models/denoising_chain.hpp"

namespace deeppcr::test {

/// A denoiser of small width whose output layer is not zero: what training would leave, without its
/// sense.
inline models::Denoiser tiny_denoiser(int classes = 0, int times = 200) {
  models::DenoiserShape shape;
  shape.latent = 5;
  shape.hidden = 24;
  shape.blocks = 2;
  shape.frequencies = 6;
  shape.classes = classes;
  models::Denoiser denoiser(shape, models::NoiseSchedule(models::ScheduleKind::linear, times), 11);
  const models::DenseShape& out = denoiser.output_layer();
  Real* W = denoiser.parameters().data() + out.offset;
  RandomStream(12, 1).normal(0, out.size(), W);
  for (Index i = 0; i < out.size(); ++i) W[i] *= 0.05;
  return denoiser;
}

}  // namespace deeppcr::test
