#pragma once

#include <memory>
#include <string>

#include "deeppcr/models/diffusion_files.hpp"
#include "models/torch/plugin_table.hpp"

namespace deeppcr::models {

/// A denoising network in the plug-in.
class TorchDenoiserFile {
 public:
  /// Opened once for each options. @throws as look_at_denoiser()
  static std::shared_ptr<const TorchDenoiserFile> open(const DenoiserOptions& options);
  ~TorchDenoiserFile();
  TorchDenoiserFile(const TorchDenoiserFile&) = delete;
  TorchDenoiserFile& operator=(const TorchDenoiserFile&) = delete;

  const DenoiserFacts& facts() const { return facts_; }
  Index width() const;
  /// Numbers d in an embedding; 0: it takes none.
  Index embedding_width() const;

  /// out[r] = prediction for x[r]; null or the fault. Shapes: x, out [R, n].
  DeepPcrFault predict(const DeepPcrRows& rows, const Real* x, Real* out) const;
  /// W = (d out / d x) V, or transposed. Shapes: V, W [R, k, n].
  DeepPcrFault product(const DeepPcrRows& rows, const Real* x, Direction direction, Index k,
                       const Real* V, Real* W) const;

  /// @throws Error (of this rank) that names the file
  [[noreturn]] void refuse(const std::string& sentence) const;
  /// The same where there is a fault.
  void require(DeepPcrFault fault) const;

 private:
  TorchDenoiserFile(const DeepPcrTorchTable& table, const DenoiserOptions& options);

  const DeepPcrTorchTable& table_;
  std::string option_, file_;
  DeepPcrDenoiser* denoiser_ = nullptr;
  DenoiserFacts facts_;
};

}  // namespace deeppcr::models
