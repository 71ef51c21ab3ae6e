#pragma once

#include <string>
#include <vector>

#include "app/config.hpp"
#include "deeppcr/cli/command.hpp"
#include "deeppcr/models/denoising_chain.hpp"
#include "deeppcr/nonlinear/windowed.hpp"

namespace deeppcr::app {

/// Diffusion sampling.
void add_generate_options(cli::Options& options);
int run_generate(const OptionValues& options, const cli::Context& context);

/// One line a method of sampling: the only table that names them.
struct SamplingMethod {
  const char* name;
  const char* help;
  nonlinear::Jacobian jacobian;  ///< of the sweeps; where --diagonal decides, the exact diagonal
  bool by_diagonal = false;      ///< whether --diagonal decides
  bool sweeps = true;            ///< else one step after another, samples split over the ranks
  bool open = false;             ///< left to what is measured
  bool accelerated = false;      ///< by triangular Anderson acceleration, --history
};
/// Those on the command line, and what an open one ends in: with sweeps or without.
const std::vector<SamplingMethod>& sampling_methods();
const SamplingMethod& closed_method(bool sweeps);

/// Where the states start from; by default as if there were no drift.
struct Guess {
  bool copy = false;       ///< from z_0
  Index coarse_steps = 0;  ///< above 0: from so many sequential evaluations
};

/// A network that was trained elsewhere: a module of PyTorch and the sampler that belongs to it.
struct PublishedConfig {
  std::string sampler_config;               ///< scheduler_config.json; empty: no such network
  std::string decoder, moments, embedding;  ///< files
  std::vector<Index> shape;                 ///< of a state; empty: the module's file says it
  int classes = 0;                          ///< 0: the same
  int precision = 0;                        ///< 0: as the module's parameters are; 32, 64
  double guidance = 1;
  double eta = -1;  ///< below 0: the sampler's
  bool steps_given = false;
};

/// The options of `generate`.
struct GenerateConfig {
  RunConfig run;  ///< sizes, seed and files, as traces and checkpoints have them
  models::SamplerOptions sampler;
  std::string denoiser, autoencoder;  ///< files
  PublishedConfig published;
  SamplingMethod method;
  nonlinear::WindowedOptions solver;  ///< window 0: all steps
  bool window_open = false;           ///< left to the program
  Guess guess;
  bool verify = false;
  bool keep_trajectory = false;
  int label = -1;  ///< class of all samples; -1: one after another
  std::string image, against, held_out;
};
/// @throws Error for options that contradict each other
GenerateConfig read_generate_config(const OptionValues& options, int ranks);

/// The window that fills the cores of so many ranks: 24 rows of a batch each, at which the network
/// runs near its best, and 4 steps at least. 0, all steps, for Newton, whose linear solve has to be
/// worth its setting up.
Index default_window(nonlinear::Jacobian jacobian, int ranks, Index samples);

/// Fills states 1..L; returns the sequential evaluations that it took.
Index fill_guess(const models::SamplerChain& chain, sequence::Trajectory& trajectory,
                 const Guess& guess);

/// Sets the method where it is left to the program: sweeps or one step after another, whichever
/// promises to be faster by the time of a few steps and of a few sweeps; of published networks the
/// window too. Overwrites states 1..L;
/// returns a sentence with what was measured. Collective.
std::string choose_method(const models::SamplerChain& chain, sequence::Trajectory& trajectory,
                          GenerateConfig& config);

}  // namespace deeppcr::app
