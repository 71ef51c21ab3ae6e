#include "wide_denoiser.hpp"

#include <pthread.h>
#include <sched.h>

#include <algorithm>

#include "deeppcr/blocks/activation.hpp"

namespace deeppcr::bench {
namespace {

using models::DenseShape;

/// Numbers that fill a register of any build: shares of threads are whole ones.
constexpr Index kRegister = 16;

/// Copies W [outputs x inputs] and b into a layer of at least these sizes.
void embed(const DenseShape& from, const Real* source, const DenseShape& to, Real* target) {
  for (int j = 0; j < from.inputs; ++j)
    std::copy_n(source + from.offset + Index{j} * from.outputs, from.outputs,
                target + to.offset + Index{j} * to.outputs);
  std::copy_n(source + from.bias_offset(), from.outputs, target + to.bias_offset());
}

template <typename T>
blocks::PackedMatrix<T> pack(const DenseShape& layer, const Real* theta, bool with_bias) {
  return {layer.outputs, layer.inputs, theta + layer.offset,
          with_bias ? theta + layer.bias_offset() : nullptr};
}

void pin_to_core(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

}  // namespace

models::Denoiser widened(const models::Denoiser& denoiser, int hidden) {
  models::DenoiserShape shape = denoiser.shape();
  shape.hidden = hidden;
  models::Denoiser wide(shape, denoiser.schedule(), 0);
  Real* target = wide.parameters().data();
  const Real* source = denoiser.parameters().data();
  std::fill(wide.parameters().begin(), wide.parameters().end(), Real{0});
  embed(denoiser.input_layer(), source, wide.input_layer(), target);
  embed(denoiser.time_layer(), source, wide.time_layer(), target);
  for (int k = 0; k < shape.blocks; ++k)
    embed(denoiser.block_layer(k), source, wide.block_layer(k), target);
  embed(denoiser.output_layer(), source, wide.output_layer(), target);
  return wide;
}

template <typename T>
ThreadedSampler<T>::ThreadedSampler(const models::Denoiser& denoiser,
                                    const models::DenoisingChain& chain, int threads)
    : denoiser_(denoiser),
      chain_(chain),
      threads_(threads),
      batch_(chain.batch()),
      latent_(chain.width()) {
  const Real* theta = denoiser.parameters().data();
  input_ = pack<T>(denoiser.input_layer(), theta, false);
  output_ = pack<T>(denoiser.output_layer(), theta, true);
  for (int k = 0; k < denoiser.shape().blocks; ++k)
    layers_.push_back(pack<T>(denoiser.block_layer(k), theta, true));
  padded_ = input_.padded_rows();
  Buffer<Real> offset(denoiser.shape().hidden);
  time_offset_.reset(chain.num_steps() * padded_);
  for (Index l = 0; l < chain.num_steps(); ++l) {
    denoiser.time_offset(chain.steps()[static_cast<std::size_t>(l)].time, offset.data());
    std::copy(offset.begin(), offset.end(), time_offset_.data() + l * padded_);
  }
  x_.reset(batch_ * latent_);
  for (Buffer<T>* buffer : {&hidden_, &product_}) buffer->reset(batch_ * padded_);
  correction_.reset(batch_ * output_.padded_rows());
}

template <typename T>
void ThreadedSampler<T>::run(States states) {
  std::vector<std::thread> others;
  for (int t = 1; t < threads_; ++t) others.emplace_back([this, t, states] { work(t, states); });
  work(0, states);
  for (std::thread& other : others) other.join();
}

template <typename T>
void ThreadedSampler<T>::meet() {
  const int phase = phase_.load(std::memory_order_acquire);
  if (waiting_.fetch_add(1) + 1 == threads_) {
    waiting_ = 0;
    phase_.store(phase + 1, std::memory_order_release);
    return;
  }
  while (phase_.load(std::memory_order_acquire) == phase) {
  }
}

template <typename T>
void ThreadedSampler<T>::share(int thread, const blocks::PackedMatrix<T>& layer, const T* X,
                               Index stride, T* Y) const {
  const int panels = layer.panels();
  layer.multiply_panels(thread * panels / threads_, (thread + 1) * panels / threads_, batch_, X,
                        stride, Y);
}

template <typename T>
void ThreadedSampler<T>::work(int thread, States states) {
  cpu_set_t before;
  pthread_getaffinity_np(pthread_self(), sizeof(before), &before);
  if (threads_ > 1) pin_to_core(thread);
  const Index share_of_h = padded_ / threads_ / kRegister * kRegister, first = thread * share_of_h;
  const Index last = thread + 1 == threads_ ? padded_ : first + share_of_h;
  Buffer<Real> drift(batch_ * latent_);
  for (Index l = 0; l < chain_.num_steps(); ++l) {
    const ConstState z = states[l];
    if (thread == 0)
      for (Index i = 0; i < z.size(); ++i) x_[i] = static_cast<T>(z.data()[i]);
    meet();
    share(thread, input_, x_.data(), latent_, hidden_.data());
    meet();
    for (Index b = 0; b < batch_; ++b)
      for (Index i = first; i < last; ++i)
        hidden_[b * padded_ + i] += time_offset_[l * padded_ + i];
    for (const auto& layer : layers_) {
      meet();
      share(thread, layer, hidden_.data(), padded_, product_.data());
      meet();
      for (Index b = 0; b < batch_; ++b)
        blocks::add_silu(last - first, product_.data() + b * padded_ + first,
                         hidden_.data() + b * padded_ + first, static_cast<T*>(nullptr));
    }
    meet();
    share(thread, output_, hidden_.data(), padded_, correction_.data());
    meet();
    if (thread != 0) continue;
    // the network's own part is the drift that the chain adds to its Gaussian step
    for (Index b = 0; b < batch_; ++b)
      for (Index i = 0; i < latent_; ++i)
        drift[b * latent_ + i] = correction_[b * output_.padded_rows() + i];
    chain_.extrapolate({l, l + 1}, z, {drift.data(), {batch_, latent_}},
                       states.slice(l + 1, l + 2));
  }
  pthread_setaffinity_np(pthread_self(), sizeof(before), &before);
}

template class ThreadedSampler<float>;
template class ThreadedSampler<double>;

}  // namespace deeppcr::bench
