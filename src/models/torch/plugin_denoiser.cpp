// The file of a denoising network: layout in apps/DENOISERS.md.
#include "models/torch/plugin_denoiser.hpp"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>

#include "models/torch/plugin_file.hpp"

namespace deeppcr::torch_plugin {

namespace {

/// Of the states that are evaluated together. A U-Net of 3 x 32 x 32 numbers gains nothing from
/// more than 16 rows, and its backpropagation keeps 10 MB a row.
constexpr std::int64_t kMostStates = std::int64_t{1} << 17;

constexpr double kMost = std::numeric_limits<std::int32_t>::max();

/// A whole number from `least`; `missing` where the key is missing or null.
std::int64_t whole_number(const nlohmann::json& json, const char* key, std::int64_t least,
                          std::int64_t missing) {
  const nlohmann::json value = json.value(key, nlohmann::json());
  if (value.is_null()) return missing;
  if (!value.is_number_integer() || value.get<double>() < static_cast<double>(least) ||
      value.get<double>() > kMost)
    refuse(std::string("its ") + kDescription + " has " + key + " " + value.dump() +
           "; a whole number from " + std::to_string(least) + " is needed");
  return value.get<std::int64_t>();
}

/// "1,28,28", as the option takes it
std::string option_text(at::IntArrayRef sizes) {
  std::string text;
  for (const std::int64_t size : sizes) text += (text.empty() ? "" : ",") + std::to_string(size);
  return text;
}

}  // namespace

Denoiser::Denoiser(const std::string& file, int precision, const DeepPcrDenoiserGiven& given) {
  std::string description;
  std::tie(module_, description) = load_file(file);
  if (!module_.find_method("forward") && module_.hasattr("step") && module_.attr("step").isModule())
    module_ = module_.attr("step").toModule();  // as in files of chains
  if (description.empty()) {
    take(given);
  } else {
    read_description(description, given);
  }
  check_arguments();
  type_ = convert(module_, precision);
}

void Denoiser::take(const DeepPcrDenoiserGiven& given) {
  shape_ = sizes_of(given.shape);
  if (shape_.empty())
    refuse(std::string("it has no ") + kDescription +
           ", so the shape of one sample's state must be given, such as --shape 1,28,28");
  double numbers = 1;
  for (const std::int64_t size : shape_)
    numbers *= size < 1 ? kMost + 1 : static_cast<double>(size);
  if (numbers > kMost)
    refuse("--shape " + option_text(shape_) +
           " is no shape of a state; whole numbers from 1 are needed, such as 1,28,28");
  embedding_shape_ = sizes_of(given.embedding_shape);
  if (!embedding_shape_.empty() && given.classes > 0)
    refuse("--classes and embeddings are both given, but it takes one of them; leave one out");
  if (!embedding_shape_.empty()) {
    condition_ = kDeepPcrEmbedding;
  } else if (given.classes > 0) {
    condition_ = kDeepPcrClass;
    classes_ = given.classes;
    null_class_ = classes_;  // as usual: the one behind the others
  }
}

void Denoiser::read_description(const std::string& text, const DeepPcrDenoiserGiven& given) {
  const nlohmann::json json = parse_description(
      text, "; {\"format\": 1, \"denoiser\": true, \"shape\": [1, 28, 28]} is an example");
  if (json.value("denoiser", nlohmann::json(false)) != true)
    refuse(std::string("its ") + kDescription +
           " has no \"denoiser\": true: it is a chain or an end of one, not a denoising network");
  shape_ = sizes_of(json, "shape");
  if (shape_.empty())
    refuse(std::string("its ") + kDescription + " has no shape, that of one sample's state");
  read_condition(json);
  check_against(given);
}

void Denoiser::read_condition(const nlohmann::json& json) {
  const nlohmann::json word = json.value("condition", nlohmann::json("none"));
  if (word != "none" && word != "class" && word != "embedding")
    refuse(std::string("its ") + kDescription + " has condition " + word.dump() +
           "; \"none\", \"class\" and \"embedding\" are known");
  if (word == "class") {
    condition_ = kDeepPcrClass;
    classes_ = whole_number(json, "classes", 1, 0);
    null_class_ = whole_number(json, "null_class", 0, -1);
    if (classes_ == 0)
      refuse(std::string("its ") + kDescription +
             " has condition \"class\", but no classes, their number");
  }
  if (word == "embedding") {
    condition_ = kDeepPcrEmbedding;
    embedding_shape_ = sizes_of(json, "embedding_shape");
    if (embedding_shape_.empty())
      refuse(std::string("its ") + kDescription +
             " has condition \"embedding\", but no embedding_shape, that of one embedding");
  }
}

void Denoiser::check_against(const DeepPcrDenoiserGiven& given) const {
  const std::string says = std::string("its ") + kDescription + " says ";
  const std::vector<std::int64_t> shape = sizes_of(given.shape);
  const std::vector<std::int64_t> embedding = sizes_of(given.embedding_shape);
  if (!shape.empty() && shape != shape_)
    refuse(says + "shape " + text_of(shape_) + ", but --shape " + option_text(shape) +
           " is given; leave it out");
  if (given.classes > 0 && given.classes != classes_)
    refuse(says + (condition_ == kDeepPcrClass ? std::to_string(classes_) : "no") +
           " classes, but --classes " + std::to_string(given.classes) + " is given; leave it out");
  if (!embedding.empty() && condition_ != kDeepPcrEmbedding)
    refuse(says + "that it takes no embeddings, but some are given; leave them out");
  if (!embedding.empty() && embedding != embedding_shape_)
    refuse(says + "embedding_shape " + text_of(embedding_shape_) + ", but the given ones are " +
           text_of(embedding));
}

void Denoiser::check_arguments() const {
  const auto method = module_.find_method("forward");
  if (!method) refuse("it has no forward(x, t)");
  const auto& arguments = method->function().getSchema().arguments();  // the first is the module
  std::size_t needed = 0;
  for (const auto& argument : arguments) needed += argument.default_value() ? 0 : 1;
  if (arguments.size() < 3 || needed > 4)
    refuse("its forward takes " + std::to_string(needed - 1) +
           " arguments; forward(x, t), forward(x, t, class) or forward(x, t, embedding) is needed");
  const std::size_t used = condition_ == kDeepPcrNothing ? 3 : 4;
  if (used > arguments.size())
    refuse("its forward takes a state and a time alone, but it is said to take a " +
           std::string(condition_ == kDeepPcrClass ? "class" : "embedding") + " beside them");
  if (used < needed)
    refuse("its forward takes '" + arguments[3].name() +
           "' beside a state and a time; give --classes K where that is one of K classes, or the "
           "embeddings");
  for (std::size_t i = 1; i < used; ++i) {
    const std::string type = arguments[i].type()->str();
    if (type.find("Tensor") == std::string::npos)
      refuse("its forward takes '" + arguments[i].name() + "' as " + type +
             "; a Tensor, with a row for each sample, is needed");
  }
}

std::int64_t Denoiser::width() const { return numbers_in(shape_); }

std::int64_t Denoiser::most_rows() const {
  const std::int64_t numbers = std::max(width(), numbers_in(embedding_shape_));
  return std::max<std::int64_t>(1, kMostStates / numbers);
}

Denoiser::Piece Denoiser::piece(const DeepPcrRows& rows, const double* x, std::int64_t k,
                                std::int64_t first) const {
  Piece piece;
  piece.first = first;
  piece.count = std::min(most_rows(), rows.count * k - first);
  const at::Tensor row =
      at::arange(first, first + piece.count, at::kLong).div_(k, /*rounding_mode=*/"floor");
  const auto of_rows = [&](const std::int64_t* values) {
    return at::from_blob(const_cast<std::int64_t*>(values), {rows.count}, at::kLong)
        .index_select(0, row);
  };
  piece.x = borrow(x, {rows.count, width()}).index_select(0, row).to(type_);
  piece.times = of_rows(rows.times);
  if (condition_ == kDeepPcrNothing) return piece;
  piece.condition = of_rows(rows.conditions);
  if (condition_ == kDeepPcrEmbedding)
    piece.condition = borrow(rows.embeddings, {rows.embedding_count, numbers_in(embedding_shape_)})
                          .index_select(0, piece.condition)
                          .to(type_)
                          .view(batch_of(piece.count, embedding_shape_));
  return piece;
}

at::Tensor Denoiser::forward(const at::Tensor& x, const Piece& piece) const {
  const std::vector<std::int64_t> shape = batch_of(piece.count, shape_);
  std::vector<c10::IValue> arguments{x.view(shape), piece.times};
  if (condition_ != kDeepPcrNothing) arguments.emplace_back(piece.condition);
  torch::jit::Module module = module_;  // a handle: forward() is not const
  const c10::IValue result = module.forward(std::move(arguments));
  const std::optional<at::Tensor> y = tensor_of(result);
  if (!y)
    refuse("its forward gives a " + result.tagKind() +
           "; the prediction is needed as a tensor, as a tuple of it alone, or as {\"sample\": "
           "tensor}");
  check_prediction(*y, shape);
  return y->reshape({piece.count, width()});
}

void Denoiser::check_prediction(const at::Tensor& y, at::IntArrayRef expected) const {
  if (y.sizes() != expected) {
    std::vector<std::int64_t> doubled = expected.vec();
    doubled[1] *= 2;
    if (y.sizes() == at::IntArrayRef(doubled))
      refuse("it makes " + std::to_string(doubled[1]) + " channels of states of " +
             std::to_string(expected[1]) +
             ", so its variances are learned, which no sampler here uses; let its forward return "
             "the first half, y[:, :" +
             std::to_string(expected[1]) + "]");
    refuse("it makes predictions of " + text_of(y.sizes()) + " of states of " + text_of(expected) +
           " (the first number is that of rows); the shape must stay");
  }
  if (y.scalar_type() != type_)
    refuse(std::string("it makes ") + at::toString(y.scalar_type()) + " of " + at::toString(type_) +
           "; the type must stay");
}

void Denoiser::evaluate(const DeepPcrRows& rows, const double* x, double* out) const {
  const c10::InferenceMode inference;
  for (std::int64_t first = 0; first < rows.count;) {
    const Piece now = piece(rows, x, 1, first);
    borrow(out + first * width(), {now.count, width()}).copy_(forward(now.x, now));
    first += now.count;
  }
}

void Denoiser::product(const DeepPcrRows& rows, const double* x, bool transposed, std::int64_t k,
                       const double* V, double* W) {
  for (std::int64_t first = 0; first < rows.count * k;) {
    const Piece now = piece(rows, x, k, first);
    const at::Tensor v = borrow(V + first * width(), {now.count, width()}).to(type_);
    // A copy of the state: a network that works in place would write over a leaf of the graph.
    const Function network = [&](const at::Tensor& z) { return forward(z.clone(), now); };
    const at::Tensor w = derivatives_.product(network, now.x, transposed, v);
    borrow(W + first * width(), {now.count, width()}).copy_(w);
    first += now.count;
  }
}

}  // namespace deeppcr::torch_plugin
