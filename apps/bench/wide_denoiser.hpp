#pragma once

#include <atomic>
#include <thread>
#include <vector>

#include "deeppcr/blocks/packed_matrix.hpp"
#include "deeppcr/models/denoising_chain.hpp"

namespace deeppcr::bench {

/// The same denoiser with `hidden` numbers in a layer, those beyond its own all zero: the function
/// that was trained, at the cost of a wider network. @pre hidden is not below the denoiser's own
models::Denoiser widened(const models::Denoiser& denoiser, int hidden);

/// The sequential sampler on all cores: the rows of each layer are shared by threads, which wait
/// for each other spinning after each layer. One network of type T for all time steps, no dispatch.
template <typename T>
class ThreadedSampler {
 public:
  ThreadedSampler(const models::Denoiser& denoiser, const models::DenoisingChain& chain,
                  int threads);

  /// The states 1..L from states[0]. Shape: [L + 1, B, n].
  void run(States states);

 private:
  void work(int thread, States states);
  void meet();
  /// Y = product of a layer, this thread's panels.
  void share(int thread, const blocks::PackedMatrix<T>& layer, const T* X, Index stride,
             T* Y) const;

  const models::Denoiser& denoiser_;
  const models::DenoisingChain& chain_;
  int threads_;
  Index batch_, latent_, padded_;
  blocks::PackedMatrix<T> input_, output_;
  std::vector<blocks::PackedMatrix<T>> layers_;
  Buffer<T> time_offset_;  ///< [L, padded]
  Buffer<T> x_, hidden_, product_, correction_;
  std::atomic<int> waiting_{0}, phase_{0};
};

extern template class ThreadedSampler<float>;
extern template class ThreadedSampler<double>;

}  // namespace deeppcr::bench
