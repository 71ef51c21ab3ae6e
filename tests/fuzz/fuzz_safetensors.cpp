// Weights in safetensors: the header's JSON, the offsets in it, and the names of tensors.
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "alone.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/io/cell_weights.hpp"
#include "deeppcr/io/safetensors.hpp"
#include "deeppcr/io/weights.hpp"

namespace deeppcr::fuzz {

namespace {

constexpr std::size_t kMostBytes = 4096;

std::string file(const std::string& header, std::size_t data) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(header.size() >> (8 * i));
  return bytes + header + std::string(data, '\0');
}

std::string entry(const std::string& name, const std::string& shape, int first, int last) {
  return fmt::format(R"("{}": {{"dtype": "F32", "shape": [{}], "data_offsets": [{}, {}]}})", name,
                     shape, first, last);
}

/// Everything lies in the file.
void check_tensors(const std::string& path, std::size_t size) {
  for (const io::Tensor& tensor : io::read_tensor_file(path).tensors) {
    const io::hdf5::Numbers& held = tensor.numbers;
    DEEPPCR_FUZZ_CHECK(held.first_byte >= 8 && held.bytes >= 0);
    DEEPPCR_FUZZ_CHECK(held.first_byte + held.bytes <= static_cast<Index>(size));
  }
}

void read_all(const std::string& path) {
  if (const std::optional<io::CellsShape> cells = io::inspect_cells(self(), path)) {
    for (Index layer = 0; layer < cells->layers; ++layer) {
      std::vector<Real> row(static_cast<std::size_t>(io::parameters_of_cell(*cells, layer)));
      io::read_cells(self(), path, *cells, layer, {row.data(), {static_cast<Index>(row.size())}});
    }
    return;
  }
  const io::WeightsShape shape = io::inspect_weights(self(), path);
  if (shape.num_steps == 0) return;  // of any width: nothing stands in the file
  const Index entries = shape.num_steps * shape.block_layers * shape.width * shape.width;
  DEEPPCR_FUZZ_CHECK(entries <= static_cast<Index>(kMostBytes));
  std::vector<Real> values(static_cast<std::size_t>(shape.num_steps * shape.parameters_per_step()));
  io::read_weights(self(), path, shape, StepRange{0, shape.num_steps},
                   {values.data(), {shape.num_steps, shape.parameters_per_step()}});
}

}  // namespace

std::vector<std::string> seeds() {
  return {
      file("{" + entry("layers.weight", "3,2,2", 0, 48) + "}", 48),
      file("{" + entry("0.weight", "2,2", 0, 16) + "," + entry("2.weight", "2,2", 16, 32) + "," +
               entry("2.bias", "2", 32, 40) + R"(, "__metadata__": {"model": "mlp"}})",
           40),
      file("{" + entry("rnn.weight_ih_l0", "6,3", 0, 72) + "," +
               entry("rnn.weight_hh_l0", "6,2", 72, 120) + "," +
               entry("fc.weight", "5,2", 120, 160) + "}",
           160),
      file("{" + entry("a.0.fc1.weight", "1,1", 0, 4) + "," + entry("a.0.fc2.weight", "1,1", 4, 8) +
               "," + entry("a.1.fc1.weight", "1,1", 8, 12) + "," +
               entry("a.1.fc2.weight", "1,1", 12, 16) + "}",
           16)};
}

std::vector<std::string> words() {
  return {"\"F64\"",
          "\"BF16\"",
          "\"F16\"",
          "\"I64\"",
          "[",
          "]",
          "{",
          "}",
          "0",
          "16",
          "2,2",
          "-1",
          "1e9",
          "layers.",
          "head.",
          ".weight",
          ".bias",
          "/cell/0/",
          "_l1",
          "_reverse",
          "weight_hh",
          "weight_hr",
          "null",
          "4294967296,",
          "\\u0000",
          ".",
          "__metadata__",
          "\"cell\": \"gru\""};
}

}  // namespace deeppcr::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace deeppcr;
  const std::string& path = fuzz::scratch_path(".safetensors");
  std::string bytes(reinterpret_cast<const char*>(data), size);
  // Mostly the header's length is right, so that what comes behind it is reached.
  const std::size_t end = bytes.rfind('}');
  if (size > 8 && end != std::string::npos && end > 8 && bytes[1] == '\0')
    for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>((end - 7) >> (8 * i));
  std::ofstream(path, std::ios::binary) << bytes;
  const auto must_be_the_files = [&](const auto& call) {
    try {
      call();
    } catch (const Error& error) {
      if (error.code() != ExitCode::bad_input) std::fprintf(stderr, "%s\n", error.what());
      DEEPPCR_FUZZ_CHECK(error.code() == ExitCode::bad_input);
    }
  };
  must_be_the_files([&] { fuzz::check_tensors(path, size); });
  must_be_the_files([&] { fuzz::read_all(path); });
  return 0;
}
