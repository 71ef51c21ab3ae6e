#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "deeppcr/core/types.hpp"
#include "deeppcr/models/denoising_network.hpp"
#include "deeppcr/models/end.hpp"

namespace deeppcr::models {

/// What a denoising network takes beside a state and its time.
enum class Condition { none, label, embedding };

/// A TorchScript file of a denoising network: forward(x, t), forward(x, t, class) or forward(x, t,
/// embedding). What its deeppcr.json says need not be given, and must not be contradicted.
struct DenoiserOptions {
  std::string option = "denoiser";  ///< that names the file, for errors
  std::string file;
  int precision = 0;                   ///< of its evaluation: 0 as its parameters are, 32, 64
  std::vector<Index> shape;            ///< of a state: 1, 28, 28
  int classes = 0;                     ///< 0: not given. The null class is then the one behind them
  std::vector<Index> embedding_shape;  ///< of one of the embeddings, where there are any
  std::int64_t times = 1;              ///< T: it is tried at some of the times 0..T-1
};

/// What is known of a network from its file and its options.
struct DenoiserFacts {
  std::vector<Index> shape;
  Condition condition = Condition::none;
  int classes = 0;
  int null_class = -1;  ///< of no condition; -1: it has none, so guidance is not possible
  std::vector<Index> embedding_shape;
  double rounding = 0;  ///< relative rounding error of its values
};

/// What samples are conditioned on, and how much.
struct DenoiserConditions {
  std::vector<int> labels;           ///< [B], of a network that takes a class
  std::vector<Real> embeddings;      ///< [B, d], of a network that takes an embedding
  std::vector<Real> null_embedding;  ///< [d], of no condition; empty: zeros
  /// Classifier-free guidance (Ho and Salimans 2022), u + g (c - u) from the predictions c with and
  /// u without a condition; 1: c alone.
  double guidance = 1;
};

/// Opens and tries the file: shapes, values that do not depend on the call or on other rows,
/// derivatives that are theirs. Once for the same options, however many ask.
/// @throws Error (of this rank) with the first fault, in one sentence
DenoiserFacts look_at_denoiser(const DenoiserOptions& options);

/// The network for samples with these conditions; with guidance its batches are twice as large.
/// @throws as look_at_denoiser(), and where the conditions are not those of the network
std::unique_ptr<DenoisingNetwork> make_denoiser(const DenoiserOptions& options,
                                                const DenoiserConditions& conditions);

/// What makes samples of latent states.
struct Decoder {
  std::unique_ptr<End> end;
  std::vector<Index> shape;  ///< of a sample: 3, 64, 64
};

/// The decoder of a TorchScript file, forward(z), that takes states of this shape. option: that
/// names the file. precision: as of a denoiser. Without a deeppcr.json it tells its shape by a
/// trial.
/// @throws Error (of this rank) in one sentence, also where it takes other states
Decoder make_decoder(const std::string& option, const std::string& file, int precision,
                     const std::vector<Index>& taken);

}  // namespace deeppcr::models
