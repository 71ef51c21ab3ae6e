#pragma once

#include <map>
#include <string>
#include <vector>

#include "deeppcr/io/hdf5_types.hpp"

namespace deeppcr::io {

/// Tensors as the library safetensors stores them: NAME.safetensors is
///   the header's length (8 bytes, little-endian), the header (JSON), the numbers (row-major)
/// with a header {"NAME": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ..} whose
/// offsets count from its end, and texts in its "__metadata__". Of several files
/// NAME.safetensors.index.json says which tensor is where: {"weight_map": {"NAME": "FILE", ..}}.

struct Tensor {
  std::string name;
  hdf5::Numbers numbers;
};

struct TensorFile {
  std::vector<Tensor> tensors;                  ///< by name
  std::map<std::string, std::string> metadata;  ///< of several files that differ "one | other"
};

/// By its name, so that all ranks agree without a look.
bool is_safetensors(const std::string& path);

/// Looks at the headers alone; everything that they say is held against the files. This rank.
/// @throws Error (this rank) in one sentence for what is damaged, incomplete, or holds anything but
/// F64, F32, F16 and BF16
TensorFile read_tensor_file(const std::string& path);

/// The files that are read for `path`: itself, and those that an index names. Never throws for what
/// is wrong with them.
std::vector<std::string> weights_files(const std::string& path);

}  // namespace deeppcr::io
