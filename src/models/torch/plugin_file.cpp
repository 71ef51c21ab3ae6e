#include "models/torch/plugin_file.hpp"

#include <ATen/ATen.h>

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace deeppcr::torch_plugin {

namespace {

/// What the user has most likely done where the file is no TorchScript, beside PyTorch's own words
/// for an archive. @throws always
[[noreturn]] void refuse_file(const std::string& file, const std::string& cause) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) refuse("no such file, or it cannot be read");
  char magic[2] = {};
  stream.read(magic, 2);
  const bool archive = magic[0] == 'P' && magic[1] == 'K';
  refuse(archive
             ? std::string(
                   "it is an archive but no TorchScript, perhaps written by torch.save(); write it "
                   "by torch.jit.script(module).save(FILE), or by deeppcr-export-pytorch (") +
                   cause.substr(0, cause.find('\n')) + ")"
             : "it is no TorchScript file, or is cut short; write it by "
               "torch.jit.script(module).save(FILE), or by deeppcr-export-pytorch");
}

}  // namespace

void refuse(const std::string& sentence) { throw std::runtime_error(sentence); }

LoadedFile load_file(const std::string& file) {
  torch::jit::ExtraFilesMap extra{{kDescription, ""}};
  try {
    torch::jit::Module module = torch::jit::load(file, at::kCPU, extra);
    module.eval();
    return {std::move(module), extra[kDescription]};
  } catch (const c10::Error& error) {
    refuse_file(file, error.what_without_backtrace());
  }
}

nlohmann::json parse_description(const std::string& text, const std::string& advice) {
  if (text.empty()) refuse(std::string("it has no ") + kDescription + advice);
  nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) refuse(std::string("its ") + kDescription + " is no JSON object" + advice);
  if (json.value("format", nlohmann::json()) != 1)
    refuse(std::string("its ") + kDescription + " has format " +
           (json.contains("format") ? json["format"].dump() : "none") + "; 1 is known here");
  return json;
}

std::vector<std::int64_t> sizes_of(const nlohmann::json& json, const char* key) {
  std::vector<std::int64_t> sizes;
  if (!json.contains(key)) return sizes;
  const nlohmann::json& list = json[key];
  bool fits = list.is_array() && !list.empty();
  double numbers = 1;
  for (const nlohmann::json& size : list) {
    fits = fits && size.is_number_integer() && size.get<std::int64_t>() >= 1;
    if (!fits) break;
    sizes.push_back(size.get<std::int64_t>());
    numbers *= static_cast<double>(sizes.back());
  }
  if (!fits || numbers > std::numeric_limits<std::int32_t>::max())
    refuse(std::string("its ") + kDescription + " has " + key + " " + list.dump() +
           "; a list of whole numbers from 1 is needed, such as [16] or [8, 28, 28]");
  return sizes;
}

at::ScalarType convert(const torch::jit::Module& module, int precision) {
  at::ScalarType type = at::kDouble;
  std::vector<at::Tensor> tensors;
  for (const at::Tensor& tensor : module.parameters()) tensors.push_back(tensor);
  for (const at::Tensor& tensor : module.buffers()) tensors.push_back(tensor);
  bool found = false;
  for (const at::Tensor& tensor : tensors) {
    if (at::isComplexType(tensor.scalar_type()))
      refuse("it has complex parameters; real ones in float32 or float64 are possible");
    if (!tensor.is_floating_point()) continue;
    if (found && tensor.scalar_type() != type && precision == 0)
      refuse(
          std::string("it has parameters of type ") + at::toString(type) + " and " +
          at::toString(tensor.scalar_type()) +
          "; give --precision double or single (generate: --network-precision), or convert it by "
          "module.double() or .float()");
    type = tensor.scalar_type();
    found = true;
  }
  if (precision != 0) type = precision == 32 ? at::kFloat : at::kDouble;
  if (type != at::kFloat && type != at::kDouble)
    refuse(std::string("its parameters are of type ") + at::toString(type) +
           "; give --precision double or single (generate: --network-precision), or convert it by "
           "module.double() or .float()");
  for (at::Tensor& tensor : tensors) {
    tensor.requires_grad_(false);
    if (tensor.is_floating_point()) tensor.set_data(tensor.to(type));
  }
  return type;
}

std::optional<at::Tensor> tensor_of(const c10::IValue& result) {
  if (result.isTensor()) return result.toTensor();
  if (result.isTuple()) {
    const auto& elements = result.toTupleRef().elements();
    if (elements.size() == 1 && elements[0].isTensor()) return elements[0].toTensor();
  } else if (result.isGenericDict()) {
    const auto dict = result.toGenericDict();
    const auto sample = dict.find("sample");
    if (sample != dict.end() && sample->value().isTensor()) return sample->value().toTensor();
  }
  return std::nullopt;
}

std::vector<std::int64_t> sizes_of(DeepPcrShape shape) {
  return {shape.sizes, shape.sizes + shape.count};
}

DeepPcrShape shape_of(const std::vector<std::int64_t>& sizes) {
  return {sizes.data(), static_cast<std::int32_t>(sizes.size())};
}

std::int64_t numbers_in(at::IntArrayRef sizes) {
  std::int64_t count = 1;
  for (const std::int64_t size : sizes) count *= size;
  return count;
}

std::string text_of(at::IntArrayRef sizes) {
  std::string text;
  for (const std::int64_t size : sizes) text += (text.empty() ? "" : " x ") + std::to_string(size);
  return text.empty() ? "one number" : text;
}

std::vector<std::int64_t> batch_of(std::int64_t count, const std::vector<std::int64_t>& sizes) {
  std::vector<std::int64_t> batch{count};
  batch.insert(batch.end(), sizes.begin(), sizes.end());
  return batch;
}

}  // namespace deeppcr::torch_plugin
