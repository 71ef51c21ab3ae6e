#include "models/torch/torch_denoiser.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "deeppcr/core/error.hpp"

namespace deeppcr::models {

namespace {

/// [count] numbers twice, one behind the other.
Buffer<Real> twice(const Real* from, Index count) {
  Buffer<Real> both(2 * count);
  std::copy_n(from, count, both.begin());
  std::copy_n(from, count, both.begin() + count);
  return both;
}

}  // namespace

TorchDenoiser::TorchDenoiser(std::shared_ptr<const TorchDenoiserFile> file,
                             const DenoiserConditions& conditions)
    : file_(std::move(file)), guidance_(conditions.guidance) {
  check(conditions);
  const Condition condition = file_->facts().condition;
  if (condition == Condition::label) take_labels(conditions);
  if (condition == Condition::embedding) take_embeddings(conditions);
}

void TorchDenoiser::check(const DenoiserConditions& conditions) const {
  const Condition condition = file_->facts().condition;
  if (!std::isfinite(guidance_))
    file_->refuse(fmt::format("guidance {} is no number; 1 is the condition alone", guidance_));
  if (guided() && condition == Condition::none)
    file_->refuse(fmt::format(
        "it is not conditioned on anything, so there is no guidance {}; leave it out", guidance_));
  if (!conditions.labels.empty() && condition != Condition::label)
    file_->refuse("it takes no class, but labels are given; leave them out");
  if (!conditions.embeddings.empty() && condition != Condition::embedding)
    file_->refuse("it takes no embeddings, but some are given; leave them out");
}

void TorchDenoiser::take_labels(const DenoiserConditions& conditions) {
  const DenoiserFacts& facts = file_->facts();
  if (conditions.labels.empty())
    file_->refuse(fmt::format("it makes samples of {} classes; give labels from 0 to {}",
                              facts.classes, facts.classes - 1));
  for (const int label : conditions.labels)
    if (label < 0 || label >= facts.classes)
      file_->refuse(fmt::format("label {} is none of its {} classes, 0 to {}", label, facts.classes,
                                facts.classes - 1));
  conditions_.assign(conditions.labels.begin(), conditions.labels.end());
  if (!guided()) return;
  if (facts.null_class < 0)
    file_->refuse(
        fmt::format("guidance {} needs a class that stands for no condition, but its deeppcr.json "
                    "has no null_class; leave guidance out, or train the network with one",
                    guidance_));
  null_condition_ = facts.null_class;
  const std::int64_t time = 0;
  const Buffer<Real> x(file_->width());
  Buffer<Real> out(file_->width());
  const DeepPcrFault fault =
      file_->predict({1, &time, &null_condition_, nullptr, 0}, x.data(), out.data());
  if (fault != nullptr)
    file_->refuse(fmt::format("guidance {} needs its class {} as that of no condition: {}",
                              guidance_, null_condition_, fault));
}

void TorchDenoiser::take_embeddings(const DenoiserConditions& conditions) {
  const Index d = file_->embedding_width();
  const auto size = static_cast<Index>(conditions.embeddings.size());
  const auto null_size = static_cast<Index>(conditions.null_embedding.size());
  if (size == 0 || size % d != 0)
    file_->refuse(fmt::format(
        "it takes an embedding of {} numbers for each sample, but {} numbers are given", d, size));
  if (null_size != 0 && null_size != d)
    file_->refuse(fmt::format(
        "the embedding that stands for no condition has {} numbers; {} are needed", null_size, d));
  conditions_.resize(static_cast<std::size_t>(size / d));
  std::iota(conditions_.begin(), conditions_.end(), 0);
  null_condition_ = size / d;
  embeddings_.reset(size + d);
  std::copy(conditions.embeddings.begin(), conditions.embeddings.end(), embeddings_.begin());
  std::copy(conditions.null_embedding.begin(), conditions.null_embedding.end(),
            embeddings_.begin() + size);
}

TorchDenoiser::Batch TorchDenoiser::batch_of(const DenoisingRows& rows) const {
  Batch batch;
  const auto R = static_cast<std::size_t>(rows.count), all = guided() ? 2 * R : R;
  batch.times.resize(all);
  for (std::size_t r = 0; r < all; ++r) batch.times[r] = rows.times[r % R];
  if (file_->facts().condition == Condition::none) return batch;
  batch.conditions.assign(all, null_condition_);
  for (std::size_t r = 0; r < R; ++r) {
    const auto sample = static_cast<std::size_t>(rows.samples[r]);
    DEEPPCR_ASSERT(sample < conditions_.size(), "sample {} of {}", sample, conditions_.size());
    batch.conditions[r] = conditions_[sample];
  }
  return batch;
}

DeepPcrRows TorchDenoiser::plugin_rows(const Batch& batch) const {
  const Index d = file_->embedding_width();
  return {static_cast<Index>(batch.times.size()), batch.times.data(),
          batch.conditions.empty() ? nullptr : batch.conditions.data(), embeddings_.data(),
          d == 0 ? 0 : embeddings_.size() / d};
}

void TorchDenoiser::guide(const Buffer<Real>& both, Index count, Real* out) const {
  const Real *c = both.data(), *u = c + count;
  for (Index i = 0; i < count; ++i) out[i] = u[i] + guidance_ * (c[i] - u[i]);
}

void TorchDenoiser::evaluate(const DenoisingRows& rows, const Real* x, Real* out) const {
  if (rows.count == 0) return;
  const Batch batch = batch_of(rows);
  if (!guided()) return file_->require(file_->predict(plugin_rows(batch), x, out));
  const Index count = rows.count * width();
  Buffer<Real> both(2 * count);
  file_->require(file_->predict(plugin_rows(batch), twice(x, count).data(), both.data()));
  guide(both, count, out);
}

void TorchDenoiser::product(const DenoisingRows& rows, const Real* x, Direction direction, Index k,
                            const Real* V, Real* W) const {
  if (rows.count == 0 || k == 0) return;
  const Batch batch = batch_of(rows);
  if (!guided()) return file_->require(file_->product(plugin_rows(batch), x, direction, k, V, W));
  const Index count = rows.count * width();
  Buffer<Real> both(2 * k * count);
  file_->require(file_->product(plugin_rows(batch), twice(x, count).data(), direction, k,
                                twice(V, k * count).data(), both.data()));
  guide(both, k * count, W);
}

}  // namespace deeppcr::models
