#include "deeppcr/io/safetensors.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "deeppcr/core/error.hpp"

namespace deeppcr::io {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Type = hdf5::Numbers::Type;

constexpr const char* kSuffix = ".safetensors";
constexpr const char* kIndexSuffix = ".safetensors.index.json";
constexpr const char* kMetadata = "__metadata__";
constexpr Index kLengthBytes = 8;
/// As the library itself has it.
constexpr Index kMostHeaderBytes = 100'000'000;
/// As HDF5 has it, by which tensors are read.
constexpr std::size_t kMostAxes = 32;

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

std::ifstream open(const std::string& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored))
    throw local_input_error("cannot read '{}': it is a directory", path);
  std::ifstream file(path, std::ios::binary);
  if (!file.is_open()) throw local_input_error("cannot read '{}': {}", path, std::strerror(errno));
  return file;
}

/// A JSON object; of a name that stands twice the last is taken, and then tensors leave gaps.
/// `what`: "the header of 'w.safetensors'".
Json parse(const std::string& text, const std::string& what) {
  try {
    Json json = Json::parse(text);
    if (json.is_object()) return json;
  } catch (const Json::parse_error& error) {
    throw local_input_error("{} is no JSON from its byte {} on: the file is damaged", what,
                            error.byte);
  } catch (const Json::out_of_range&) {
    throw local_input_error("{} has a number that no computer holds: the file is damaged", what);
  }
  throw local_input_error("{} is no JSON object: the file is damaged", what);
}

void require_name(const std::string& name, const std::string& path) {
  const auto is_control = [](unsigned char c) { return c < ' ' || c == 0x7f; };
  if (name.empty() || std::any_of(name.begin(), name.end(), is_control))
    throw local_input_error("'{}' has a name that is empty or has control characters", path);
}

/// A list of whole numbers from 0; nothing for anything else.
std::optional<std::vector<Index>> wholes(const Json& entry, const char* key) {
  const auto found = entry.find(key);
  if (found == entry.end() || !found->is_array()) return std::nullopt;
  std::vector<Index> numbers;
  for (const Json& item : *found) {
    if (!item.is_number_unsigned() || item.get<std::uint64_t>() > INT64_MAX) return std::nullopt;
    numbers.push_back(item.get<Index>());
  }
  return numbers;
}

/// Bytes of all entries; nothing where they are more than an Index can hold.
std::optional<Index> bytes_of(const hdf5::Shape& shape, Index bytes) {
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  for (const Index size : shape)
    if (__builtin_mul_overflow(bytes, size, &bytes)) return std::nullopt;
  return bytes;
}

struct Dtype {
  const char* name;
  Type type;
  Index bytes;
};
constexpr Dtype kDtypes[] = {
    {"F64", Type::f64, 8}, {"F32", Type::f32, 4}, {"F16", Type::f16, 2}, {"BF16", Type::bf16, 2}};

const Dtype& dtype_of(const std::string& name, const Json& entry, const std::string& path) {
  const auto found = entry.find("dtype");
  const std::string held =
      found != entry.end() && found->is_string() ? found->get<std::string>() : "";
  for (const Dtype& dtype : kDtypes)
    if (held == dtype.name) return dtype;
  throw local_input_error("'{}' in '{}' holds {}; weights are F64, F32, F16 or BF16", name, path,
                          held.empty() ? "no dtype" : "'" + held + "'");
}

/// One entry of a header; its first byte still counts from the header's end.
Tensor tensor_of(const std::string& name, const Json& entry, const std::string& path) {
  require_name(name, path);
  const auto shape = wholes(entry, "shape");
  const auto offsets = wholes(entry, "data_offsets");
  if (!shape || !offsets || offsets->size() != 2 || (*offsets)[0] > (*offsets)[1]) {
    throw local_input_error(
        "'{}' in '{}' has no shape and data_offsets in whole numbers: the header is damaged", name,
        path);
  }
  const Dtype& dtype = dtype_of(name, entry, path);
  if (shape->size() > kMostAxes) {
    throw local_input_error("'{}' in '{}' has {} axes; at most {} can be read", name, path,
                            shape->size(), kMostAxes);
  }
  const Index bytes = (*offsets)[1] - (*offsets)[0];
  if (bytes_of(*shape, dtype.bytes) != bytes) {
    throw local_input_error(
        "'{}' in '{}' has {} bytes, which its shape [{}] of {} does not need: the header is "
        "damaged",
        name, path, bytes, fmt::join(*shape, ", "), dtype.name);
  }
  return {name, {dtype.type, *shape, fs::absolute(path).string(), (*offsets)[0], bytes}};
}

/// The tensors must fill the file's data, one after another.
void require_full(std::vector<const Tensor*> tensors, Index data_bytes, const std::string& path) {
  std::sort(tensors.begin(), tensors.end(), [](const Tensor* one, const Tensor* other) {
    return std::pair(one->numbers.first_byte, one->numbers.bytes) <
           std::pair(other->numbers.first_byte, other->numbers.bytes);
  });
  Index end = 0;
  for (const Tensor* tensor : tensors) {
    const auto& [first, bytes] = std::pair(tensor->numbers.first_byte, tensor->numbers.bytes);
    if (bytes > data_bytes - first) {
      throw local_input_error(
          "'{}' ends before its tensor '{}' does, {} bytes behind the header: it is truncated, or "
          "its header is damaged",
          path, tensor->name, data_bytes);
    }
    if (first != end) {
      throw local_input_error(
          "'{}' in '{}' starts at byte {} of the data, but the tensor before it ends at {}: the "
          "header is damaged",
          tensor->name, path, first, end);
    }
    end = first + bytes;
  }
  if (end == data_bytes) return;
  throw local_input_error("'{}' has {} bytes behind its last tensor: it is damaged", path,
                          data_bytes - end);
}

std::map<std::string, std::string> metadata_of(const Json& header, const std::string& path) {
  std::map<std::string, std::string> metadata;
  const auto found = header.find(kMetadata);
  if (found == header.end()) return metadata;
  if (!found->is_object()) throw local_input_error("{} in '{}' is no object", kMetadata, path);
  for (const auto& [name, value] : found->items()) {
    require_name(name, path);
    if (!value.is_string())
      throw local_input_error("'{}' of {} in '{}' is no text", name, kMetadata, path);
    metadata[name] = value.get<std::string>();
  }
  return metadata;
}

void require_size(const std::string& path, const std::error_code& failed) {
  if (failed) throw local_input_error("cannot read '{}': {}", path, failed.message());
}

TensorFile read_one(const std::string& path) {
  std::ifstream stream = open(path);
  std::error_code failed;
  const auto size = static_cast<Index>(fs::file_size(path, failed));
  std::array<unsigned char, kLengthBytes> head{};
  stream.read(reinterpret_cast<char*>(head.data()), kLengthBytes);
  require_size(path, failed);
  if (stream.gcount() != kLengthBytes)
    throw local_input_error("'{}' is no safetensors file: it has fewer than 8 bytes", path);
  std::uint64_t length = 0;
  for (std::size_t i = head.size(); i-- > 0;) length = length << 8 | head[i];
  const Index rest = size - kLengthBytes;
  if (length > static_cast<std::uint64_t>(std::min(rest, kMostHeaderBytes))) {
    throw local_input_error(
        "'{}' says that its header has {} bytes, but {}: it is truncated or no safetensors file",
        path, length,
        rest < kMostHeaderBytes ? fmt::format("{} follow", rest)
                                : fmt::format("{} are the most", kMostHeaderBytes));
  }
  std::string text(static_cast<std::size_t>(length), ' ');
  stream.read(text.data(), static_cast<std::streamsize>(length));
  if (stream.gcount() != static_cast<std::streamsize>(length))
    throw local_input_error("cannot read the header of '{}'", path);
  const Json header = parse(text, fmt::format("the header of '{}'", path));
  TensorFile file;
  for (const auto& [name, entry] : header.items())
    if (name != kMetadata) file.tensors.push_back(tensor_of(name, entry, path));
  std::vector<const Tensor*> all;
  for (const Tensor& tensor : file.tensors) all.push_back(&tensor);
  require_full(all, rest - static_cast<Index>(length), path);
  for (Tensor& tensor : file.tensors)
    tensor.numbers.first_byte += kLengthBytes + static_cast<Index>(length);
  file.metadata = metadata_of(header, path);
  return file;
}

/// Tensor -> the name of its file, which stands beside the index.
std::map<std::string, std::string> weight_map_of(const std::string& path) {
  std::ifstream stream = open(path);
  std::error_code failed;
  const auto size = static_cast<Index>(fs::file_size(path, failed));
  require_size(path, failed);
  if (size > kMostHeaderBytes)
    throw local_input_error("'{}' is longer than {} bytes", path, kMostHeaderBytes);
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  const Json index = parse(text, fmt::format("'{}'", path));
  const auto found = index.find("weight_map");
  if (found == index.end() || !found->is_object())
    throw local_input_error("'{}' has no weight_map, which says where each tensor is", path);
  std::map<std::string, std::string> files;
  for (const auto& [name, file] : found->items()) {
    const std::string shard = file.is_string() ? file.get<std::string>() : "";
    require_name(name, path);
    if (!ends_with(shard, kSuffix) || fs::path(shard).filename() != shard) {
      throw local_input_error(
          "'{}' gives no NAME.safetensors beside itself for the tensor '{}', but {}", path, name,
          file.dump());
    }
    require_name(shard, path);
    files[name] = shard;
  }
  return files;
}

void join(const std::map<std::string, std::string>& more,
          std::map<std::string, std::string>& metadata) {
  for (const auto& [name, value] : more) {
    const auto [at, is_new] = metadata.emplace(name, value);
    if (!is_new && at->second != value) at->second += " | " + value;
  }
}

std::string beside(const std::string& path, const std::string& name) {
  return (fs::path(path).parent_path() / name).string();
}

TensorFile read_shards(const std::string& path) {
  const std::map<std::string, std::string> where = weight_map_of(path);
  std::set<std::string> shards;
  for (const auto& [name, shard] : where) shards.insert(shard);
  TensorFile all;
  std::set<std::string> found;
  for (const std::string& shard : shards) {
    TensorFile part = read_one(beside(path, shard));
    join(part.metadata, all.metadata);
    for (Tensor& tensor : part.tensors) {
      const auto at = where.find(tensor.name);
      if (at == where.end() || at->second != shard) {
        throw local_input_error("'{}' has a tensor '{}', which '{}' does not place there",
                                beside(path, shard), tensor.name, path);
      }
      found.insert(tensor.name);
      all.tensors.push_back(std::move(tensor));
    }
  }
  for (const auto& [name, shard] : where) {
    if (found.count(name) > 0) continue;
    throw local_input_error("'{}' has no tensor '{}', which '{}' places there", beside(path, shard),
                            name, path);
  }
  return all;
}

}  // namespace

bool is_safetensors(const std::string& path) {
  return ends_with(path, kSuffix) || ends_with(path, kIndexSuffix);
}

TensorFile read_tensor_file(const std::string& path) {
  TensorFile file = ends_with(path, kIndexSuffix) ? read_shards(path) : read_one(path);
  if (file.tensors.empty()) throw local_input_error("'{}' holds no tensors", path);
  std::sort(file.tensors.begin(), file.tensors.end(),
            [](const Tensor& one, const Tensor& other) { return one.name < other.name; });
  return file;
}

std::vector<std::string> weights_files(const std::string& path) {
  std::set<std::string> files{path};
  try {
    if (ends_with(path, kIndexSuffix))
      for (const auto& [name, shard] : weight_map_of(path)) files.insert(beside(path, shard));
  } catch (const Error&) {  // whoever reads it says what is wrong
  }
  return {files.begin(), files.end()};
}

}  // namespace deeppcr::io
