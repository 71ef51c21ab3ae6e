#pragma once

#include "deeppcr/core/types.hpp"

namespace deeppcr {

/// Seconds that kernels take with all they read in the caches near a core, for simulated clusters
/// and for choices that weigh messages against steps: a product of a matrix with a vector takes
/// `call` and a `matrix_eight` for each eight numbers of a column; each further vector takes a
/// `multiply_add` for them. Measured beside the ratios below (November 2026): products of n = 4 to
/// 64 within 0.2, steps of an mlp with tanh within 0.15 from n = 16 on, at n = 8 half of what they
/// take.
struct KernelSeconds {
  double call = 4e-9, matrix_eight = 0.4e-9, multiply_add = 0.145e-9;
  double function = 1.1e-9;  ///< tanh, exp or erf of a number
  double element = 0.1e-9;   ///< other operations on a number
  double update = 0.25e-9;   ///< a parameter in an optimiser's step, and for each number it keeps
  double update_memory = 0.5e-9;
  double module = 5e-6;  ///< a call of a step that is a module

  /// A matrix with so many vectors.
  double product(Index rows, Index columns, Index vectors) const;
  /// A layer [n x n] with an activation, for so many samples.
  double layer(int width, Index batch) const;
};

/// Seconds that messages take between ranks, for predictions: nodes of `node_ranks` ranks at one
/// switch, assumed as the cluster `fast` of `job_scripts/simulate.sh`. The wire takes 1.5 us there,
/// and collectives 2 to 2.5 a level. Latencies in seconds, bandwidths in bytes a second.
struct Network {
  int node_ranks = 32;
  double latency = 2e-6, bandwidth = 12.5e9, node_latency = 0.4e-6, node_bandwidth = 20e9;

  /// To the next rank, where the slowest pair of neighbours is what others wait for.
  double message(double bytes, int ranks) const;
  /// All levels of a scan, within nodes and between them, and what enters a node to its ranks
  /// (parallel::ScanLines): values of `bytes`, and `entering` bytes.
  double scan(double bytes, int ranks, double entering) const;
  double scan(double bytes, int ranks) const { return scan(bytes, ranks, bytes); }
  /// A few numbers, known to all.
  double reduction(int ranks) const;
};

/// What choices and layouts take from measurements: one table. But for kernels and network all are
/// ratios, which differ less between machines than times do. Measured on 2 virtual AVX-512 cores
/// (Zen 5, 1 and 2 MiB of second-level cache), October and November 2026.
struct Machine {
  /// Time of a flop in a small matrix product over one in a matrix-vector product. Falls with the
  /// width: short columns fill vector registers badly in a matrix-vector product.
  double product_flop_ratio(int width) const;

  /// Steps that rank 0 does beyond its share by shooting: it pushes no tangents, which take 0.03 to
  /// 0.4 of a step, and where carries are forgotten, it has only zeros to write backward.
  double first_rank_forward = 0.1, first_rank_both_passes = 0.25;

  /// Backward: a walk of tangents over one of steps, which take slopes and parameter gradients too.
  double tangent_walk = 0.4;
  /// A tangent through a layer, with its weights in the cache, over the layer for one sample: 0.1
  /// (mlp) to 0.4 (resnet) by the kernels' counters.
  double tangent_of_layer = 0.2;
  /// The same of a recurrent cell, whose coefficients are written and read again: 1.2 to 2 with one
  /// sample, up to 3 with two, widths 16 to 64.
  double tangent_of_cell = 2;
  /// Corrections that multiple shooting takes with whole Jacobians, and iterations that Newton's
  /// method takes from a constant start on networks as they are initialised.
  double dense_corrections = 4, newton_iterations = 5;
  /// A method must promise at most this share of sequential execution's time to be preferred to it:
  /// other cores may be slower than the first.
  double worth_it = 0.85;
  /// Parameter gradients against a forward pass: the pre-activations again, then two products.
  double parameter_passes = 3;

  /// Of a pipeline: samples whose work the fixed part of a step takes, with its weights in the
  /// cache, and bytes of the weights that a block brings there.
  double step_overhead_samples = 2, block_bytes = 1024.0 * 1024;
  /// The same where a stage's weights are more than these bytes, so that each micro-batch brings
  /// them from memory anew: both passes of an update at 1024 layers of 16 and 64, on 2 stages.
  double streamed_overhead_samples = 12, streamed_bytes = 8.0 * 1024 * 1024;

  /// Of a wavefront: flops of a recurrent step in the time of a message and of what a chunk begins
  /// with.
  double chunk_flops = 1e5;

  KernelSeconds kernels;
  Network network;

  /// Evaluations of a denoising step until it is at the tolerance, in windows of 4 to 48 steps: a
  /// fit to tolerances from 1e-2 to 2.5e-7 and both samplers, right to 0.2.
  double evaluations_of_denoising(double tolerance, double eta, double window) const;
};

/// The table in force.
const Machine& machine();

}  // namespace deeppcr
