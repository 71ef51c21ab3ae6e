#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "deeppcr/sequence/sequence.hpp"

namespace deeppcr::models {

/// A model in words, as the command line gives it. A model ignores what it has no use for.
struct ModelOptions {
  std::string model = "mlp";
  Index steps = 0;
  int width = 1;
  std::string activation = "tanh";  ///< identity, tanh, relu, silu, gelu
  std::string init = "default";     ///< default, xavier, he, orthogonal, zero
  double gain = 1;
  bool bias = true;
  int block_layers = 2;                      ///< resnet
  std::string residual_scale = "1/sqrt(L)";  ///< resnet: none, 1/sqrt(L), 1/L
  bool layer_norm = false;                   ///< resnet
  double contraction = 0.9;                  ///< affine
  std::uint64_t seed = 1;
};

/// One line a model: the only table that names them.
struct CatalogueEntry {
  const char* name;
  const char* help;
  std::unique_ptr<sequence::Sequence> (*make)(const ModelOptions&, const StepSet& local);
};

const std::vector<CatalogueEntry>& catalogue();

/// Makes a model with the parameters of the `local` steps. They depend on seed and global step
/// only, not on the split.
/// @throws Error for an unknown word (with the known ones) or a size without sense
std::unique_ptr<sequence::Sequence> make(const ModelOptions& options,
                                                   const StepSet& local);

/// What pushing one tangent along takes of a step of one sample, as a share of that step. Measured.
/// @throws as make()
double tangent_share(const ModelOptions& options);

}  // namespace deeppcr::models
