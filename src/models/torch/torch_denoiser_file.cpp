#include "models/torch/torch_denoiser_file.hpp"

#include <limits>
#include <map>
#include <tuple>
#include <utility>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/view.hpp"
#include "models/torch/denoiser_check.hpp"
#include "models/torch/torch_module.hpp"

namespace deeppcr::models {

namespace {

DeepPcrShape shape_of(const std::vector<Index>& sizes) {
  return {sizes.data(), static_cast<std::int32_t>(sizes.size())};
}

std::vector<Index> sizes_of(const DeepPcrShape& shape) {
  return {shape.sizes, shape.sizes + shape.count};
}

Condition condition_of(std::int32_t condition) {
  if (condition == kDeepPcrClass) return Condition::label;
  return condition == kDeepPcrEmbedding ? Condition::embedding : Condition::none;
}

}  // namespace

std::shared_ptr<const TorchDenoiserFile> TorchDenoiserFile::open(const DenoiserOptions& options) {
  using Key = std::tuple<std::string, std::string, int, std::vector<Index>, int, std::vector<Index>,
                         std::int64_t>;
  using Opened = std::map<Key, std::shared_ptr<const TorchDenoiserFile>>;
  static Opened& opened = *new Opened;  // never closed: at exit PyTorch may be gone before it
  std::shared_ptr<const TorchDenoiserFile>& file =
      opened[{options.option, options.file, options.precision, options.shape, options.classes,
              options.embedding_shape, options.times}];
  if (!file) {
    std::shared_ptr<const TorchDenoiserFile> made(new TorchDenoiserFile(torch_plugin(), options));
    check_torch_denoiser(*made, options.times);
    file = std::move(made);
  }
  return file;
}

TorchDenoiserFile::TorchDenoiserFile(const DeepPcrTorchTable& table, const DenoiserOptions& options)
    : table_(table), option_(options.option), file_(options.file) {
  const DeepPcrDenoiserGiven given{shape_of(options.shape), shape_of(options.embedding_shape),
                                   options.classes};
  require(table_.open_denoiser(file_.c_str(), options.precision, &given, &denoiser_));
  DeepPcrDenoiserFacts facts;
  table_.denoiser_facts(denoiser_, &facts);
  facts_ = {sizes_of(facts.shape),
            condition_of(facts.condition),
            static_cast<int>(facts.classes),
            static_cast<int>(facts.null_class),
            sizes_of(facts.embedding_shape),
            facts.single != 0 ? std::numeric_limits<float>::epsilon()
                              : std::numeric_limits<double>::epsilon()};
}

TorchDenoiserFile::~TorchDenoiserFile() {
  if (denoiser_ != nullptr) table_.close_denoiser(denoiser_);
}

Index TorchDenoiserFile::width() const { return numbers_in(facts_.shape); }

Index TorchDenoiserFile::embedding_width() const {
  return facts_.condition == Condition::embedding ? numbers_in(facts_.embedding_shape) : 0;
}

DeepPcrFault TorchDenoiserFile::predict(const DeepPcrRows& rows, const Real* x, Real* out) const {
  return table_.predict(denoiser_, &rows, x, out);
}

DeepPcrFault TorchDenoiserFile::product(const DeepPcrRows& rows, const Real* x, Direction direction,
                                        Index k, const Real* V, Real* W) const {
  const std::int32_t transposed = direction == Direction::backward ? 1 : 0;
  return table_.predict_product(denoiser_, &rows, x, transposed, k, V, W);
}

void TorchDenoiserFile::refuse(const std::string& sentence) const {
  throw local_input_error("--{} {}: {}", option_, file_, sentence);
}

void TorchDenoiserFile::require(DeepPcrFault fault) const {
  if (fault != nullptr) refuse(fault);
}

}  // namespace deeppcr::models
