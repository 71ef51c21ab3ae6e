#pragma once

#include <array>
#include <string>

#include "deeppcr/core/types.hpp"

namespace deeppcr::plan {

/// What a tangent has shown in the first steps of a chunk.
struct ProbedChunk {
  double steps = 0;   ///< of the chunk
  double probed = 0;  ///< steps that the tangent has gone through
  double exit = 0;    ///< log of what it has grown by there
  double drift = 0;   ///< |M t - t| / |t| of the tangent t there
};

/// What the tangents of all chunks but the first, whose start is right, have shown together.
struct Probe {
  double forgetting_steps = 0;  ///< until a change of the start has shrunk to nothing, at most
  double drift_square = 0;      ///< sum over the chunks of |M_c - I|^2
  void add(const ProbedChunk& chunk);
};

/// What ranks wait for, in steps of one rank: a message of a state to the next one, a reduction, a
/// judgement of all (a scan and a reduction), scans of states and of maps [n x n].
struct Waits {
  double message = 0, reduction = 0, judgement = 0, states = 0, maps = 0;
};

/// The size of a problem as far as the choice of a method depends on it.
struct ChunkProblem {
  Index steps = 0;         ///< L
  Index chunks = 1;        ///< C
  Index longest_rank = 0;  ///< steps of the rank that has most
  Index chunks_per_rank = 1;
  Index batch = 1;
  int width = 1;
  double rtol = 1e-10;
  bool newton = false;         ///< whether Newton may be chosen
  bool linear = false;         ///< only carries: identity stands for GMRES, dense for hybrid
  double hybrid = 0;           ///< linear: what hybrid takes of this chain, in steps
  bool may_substitute = true;  ///< whether sequential execution may be chosen
  double wavefront = 0;        ///< steps in a row of one, which then stands for sequential; 0: none
  double tangent = 0;          ///< nonlinear: what a tangent adds to a step, in steps
  double ranks = 1;            ///< that have chunks
  double step_seconds = 1;     ///< of a step, which waits are counted in
  Waits waits;                 ///< linear: hybrid has its own in it
};

/// What the first steps of the chunks have shown, and the method that follows from it.
struct ChunkPlan {
  enum class Method { sequential, zero, identity, dense, newton };
  Method method = Method::sequential;
  double forgetting_steps = 0;  ///< steps until two starts agree; infinite where they do not
  double identity_sweeps = 0;   ///< corrections with M = I
  /// Predicted work and waits on the longest path, in steps, by method; L and its messages for
  /// sequential.
  std::array<double, 5> costs{};
  double& cost(Method one) { return costs[static_cast<std::size_t>(one)]; }
  double cost(Method one) const { return costs[static_cast<std::size_t>(one)]; }
};

/// Steps in which a carry is forgotten so many times leave nothing of it: it is below the smallest
/// number, with a margin.
constexpr double kUntilZero = 30;

/// Chooses by the tangents that were pushed through the first steps of the chunks: contraction
/// tells how soon a start is forgotten, drift how far M is from I.
ChunkPlan choose_for_chunks(const Probe& probe, const ChunkProblem& problem);

/// The same of a chain that would forget at once: where even that is left to sequential execution
/// there is nothing to look at.
ChunkPlan best_case(const ChunkProblem& problem);

/// What a flop in a product of n columns counts for, against one in an evaluation.
double product_weight(Index batch, int width);

/// Why, in a sentence.
std::string explain(const ChunkPlan& plan, const ChunkProblem& problem);

}  // namespace deeppcr::plan
