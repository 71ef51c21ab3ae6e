#pragma once

#include <torch/script.h>

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "models/torch/plugin_table.hpp"

namespace deeppcr::torch_plugin {

/// The extra file in which a module says what it is.
constexpr const char* kDescription = "deeppcr.json";

/// @throws std::runtime_error with this sentence
[[noreturn]] void refuse(const std::string& sentence);

/// The module in evaluation mode, and the text of its description, which may be empty.
using LoadedFile = std::pair<torch::jit::Module, std::string>;
/// @throws std::runtime_error with what the user has most likely done where it is no TorchScript
LoadedFile load_file(const std::string& file);

/// @throws std::runtime_error, with advice how to write one, where the format is not 1
nlohmann::json parse_description(const std::string& text, const std::string& advice);
/// The sizes of a shape; empty where the key is missing. @throws std::runtime_error for others
std::vector<std::int64_t> sizes_of(const nlohmann::json& json, const char* key);

/// Converts all parameters and buffers to the type that is chosen, and freezes them. precision: 0
/// as stored, 32, 64. @throws std::runtime_error where the module has several types, or others
at::ScalarType convert(const torch::jit::Module& module, int precision);

/// What a forward gives: a tensor, a tuple of one, or {"sample": tensor}. Others: nothing.
std::optional<at::Tensor> tensor_of(const c10::IValue& result);

/// Sizes across the table.
std::vector<std::int64_t> sizes_of(DeepPcrShape shape);
DeepPcrShape shape_of(const std::vector<std::int64_t>& sizes);

/// Numbers in a tensor of such sizes.
std::int64_t numbers_in(at::IntArrayRef sizes);
/// "2 x 3"
std::string text_of(at::IntArrayRef sizes);
/// Sizes of a batch of such tensors.
std::vector<std::int64_t> batch_of(std::int64_t count, const std::vector<std::int64_t>& sizes);

}  // namespace deeppcr::torch_plugin
