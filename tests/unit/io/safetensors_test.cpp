#include "deeppcr/io/safetensors.hpp"

#include <cmath>
#include <cstdint>

#include "deeppcr/io/cell_weights.hpp"
#include "deeppcr/io/weights.hpp"
#include "io_support.hpp"

namespace deeppcr::test {
namespace {

using io::CellsShape;
using io::WeightsShape;
using parallel::BlockLayout;

const std::string kGolden = DEEPPCR_GOLDEN_DIR "/safetensors/";

/// The length of a header in eight bytes, and the header.
std::string with_length(const std::string& header, std::uint64_t length) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(length >> (8 * i));
  return bytes + header;
}
std::string with_length(const std::string& header) { return with_length(header, header.size()); }

/// A file of zeros in F32: "NAME 3,2 NAME 4 ..".
std::string zeros(const std::string& list, const std::string& metadata = "") {
  std::string header = metadata.empty() ? "" : "\"__metadata__\": {" + metadata + "}, ";
  std::istringstream words(list);
  Index end = 0;
  for (std::string name, shape; words >> name >> shape;) {
    Index bytes = 4;
    std::istringstream sizes(shape);
    for (std::string size; std::getline(sizes, size, ',');) bytes *= std::stoll(size);
    header += fmt::format(R"("{}": {{"dtype": "F32", "shape": [{}], "data_offsets": [{}, {}]}}, )",
                          name, shape, end, end + bytes);
    end += bytes;
  }
  header = "{" + header.substr(0, header.size() - 2) + "}";
  return with_length(header) + std::string(static_cast<std::size_t>(end), '\0');
}

/// A file in a folder of its own.
class Written {
 public:
  explicit Written(const std::string& bytes, const std::string& name = "w.safetensors")
      : name_(name) {
    add(name, bytes);
  }
  void add(const std::string& name, const std::string& bytes) const {
    on_root([&] { write_file(folder_ / name, bytes); });
  }
  std::string path() const { return folder_ / name_; }

 private:
  TemporaryFolder folder_;
  std::string name_;
};

/// (-1)^i (first + i) / 8, as make_safetensors.py has it.
Real number(Index first, Index i) {
  return (i % 2 == 0 ? 1 : -1) * static_cast<Real>(first + i) / 8;
}

TEST(Safetensors, AStateDictInAllTypesAndAtOddOffsets) {
  const std::string path = kGolden + "net.safetensors";
  EXPECT_FALSE(io::inspect_cells(world(), path));
  const WeightsShape shape = io::inspect_weights(world(), path);
  EXPECT_EQ(shape.num_steps, 3);
  EXPECT_EQ(shape.width, 2);
  EXPECT_EQ(shape.features, 3);
  EXPECT_EQ(shape.classes, 4);
  EXPECT_TRUE(shape.bias);
  EXPECT_FALSE(shape.nested);
  EXPECT_EQ(shape.settings,
            (std::map<std::string, std::string>{{"activation", "relu"}, {"model", "mlp"}}));
  const StepRange mine = BlockLayout::balanced(3, world().size()).range(world().rank());
  Buffer<Real> values(mine.size() * 6);
  const View<Real, 2> parameters(values.data(), {mine.size(), 6});
  io::read_weights(world(), path, shape, mine, parameters);
  for (Index l = mine.first; l < mine.last; ++l) {
    for (Index i = 0; i < 4; ++i)  // [out, in] in the file, columns in memory
      EXPECT_EQ(parameters(l - mine.first, i % 2 * 2 + i / 2), number(20 * (l + 1), i));
    for (Index i = 0; i < 2; ++i)
      EXPECT_EQ(parameters(l - mine.first, 4 + i), number(20 * (l + 1) + 100, i));
  }
  Buffer<Real> ends(12);
  io::read_dense_layer(world(), path, "/head", {ends.data(), {3, 4}});
  for (Index i = 0; i < 8; ++i) EXPECT_EQ(ends[i % 2 * 4 + i / 2], number(80, i));
  for (Index i = 0; i < 4; ++i) EXPECT_EQ(ends[8 + i], number(180, i));
  io::read_dense_layer(world(), path, "/embedding", {ends.data(), {4, 2}});
  for (Index i = 0; i < 6; ++i) EXPECT_EQ(ends[i % 3 * 2 + i / 3], number(0, i));
}

TEST(Safetensors, RecurrentCellsInSeveralFiles) {
  const std::string path = kGolden + "gru.safetensors.index.json";
  const std::optional<CellsShape> shape = io::inspect_cells(world(), path);
  ASSERT_TRUE(shape.has_value());
  EXPECT_EQ(shape->cell, "gru");
  EXPECT_EQ(shape->candidate, "tanh");
  EXPECT_FALSE(shape->reset_before);
  EXPECT_EQ(shape->layers, 2);
  EXPECT_EQ(shape->features, 3);
  EXPECT_EQ(shape->units, 2);
  for (Index layer = 0; layer < 2; ++layer) {
    const Index d = shape->inputs_of(layer), first = 100 * layer;
    std::vector<Real> row(static_cast<std::size_t>(6 * (d + 4))), expected;
    io::read_cells(world(), path, *shape, layer, {row.data(), {static_cast<Index>(row.size())}});
    for (Index j = 0; j < d; ++j)
      for (Index i = 0; i < 6; ++i) expected.push_back(number(first, i * d + j));
    for (Index j = 0; j < 2; ++j)
      for (Index i = 0; i < 6; ++i) expected.push_back(number(first + 20, i * 2 + j));
    for (const Index bias : {40, 60})
      for (Index i = 0; i < 6; ++i) expected.push_back(number(first + bias, i));
    EXPECT_EQ(row, expected);
  }
  EXPECT_EQ(io::weights_files(path),
            (std::vector<std::string>{kGolden + "gru-00001-of-00002.safetensors",
                                      kGolden + "gru-00002-of-00002.safetensors", path}));
}

/// What 16 bits mean, by the definition of the formats.
Real value_of(unsigned bits, int mantissa_bits) {
  const int exponent_bits = 15 - mantissa_bits, bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = static_cast<int>(bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
  const int mantissa = static_cast<int>(bits & ((1U << mantissa_bits) - 1));
  const Real sign = (bits & 0x8000U) != 0 ? -1 : 1;
  if (exponent == (1 << exponent_bits) - 1) return mantissa != 0 ? std::nan("") : sign * HUGE_VAL;
  const int hidden = exponent == 0 ? 0 : 1 << mantissa_bits;
  return sign * std::ldexp(mantissa + hidden, std::max(exponent, 1) - bias - mantissa_bits);
}

TEST(Safetensors, EachNumberOfSixteenBits) {
  for (const auto& [dtype, mantissa_bits] : {std::pair("F16", 10), std::pair("BF16", 7)}) {
    std::string bytes = with_length(fmt::format(
        R"({{"layers/weight": {{"dtype": "{}", "shape": [1, 256, 256], "data_offsets": [0, 131072]}}}})",
        dtype));
    for (unsigned bits = 0; bits < 65536; ++bits) {
      bytes += static_cast<char>(bits);
      bytes += static_cast<char>(bits >> 8);
    }
    const Written file(bytes);
    const WeightsShape shape = io::inspect_weights(world(), file.path());
    Buffer<Real> values(shape.parameters_per_step());
    io::read_weights(world(), file.path(), shape, StepRange{0, 1},
                     {values.data(), {1, shape.parameters_per_step()}});
    Index wrong = 0;
    for (unsigned bits = 0; bits < 65536; ++bits) {
      const Real found = values[bits % 256 * 256 + bits / 256];
      const Real wanted = value_of(bits, mantissa_bits);
      const bool same = found == wanted && std::signbit(found) == std::signbit(wanted);
      wrong += !(same || (std::isnan(found) && std::isnan(wanted)));
    }
    EXPECT_EQ(wrong, 0) << dtype;
  }
}

TEST(Safetensors, NamesThatAreUnderstood) {
  struct Case {
    const char* tensors;
    Index steps, block_layers, features, classes;
  };
  for (const Case& c : {
           Case{"layers/0/weight 2,2 layers/1/weight 2,2", 2, 1, 0, 0},
           Case{"layers.weight 5,2,2 layers.bias 5,2 head.weight 3,2", 5, 1, 0, 3},
           Case{"/layers/weight 5,3,2,2 /embedding/weight 2,2", 5, 3, 2, 0},
           Case{"0.weight 2,3 2.weight 2,2 4.weight 2,2 10.weight 2,2 6.weight 2,2 8.weight 2,2 "
                "12.weight 4,2",
                5, 1, 3, 4},
           Case{"net.3.fc.weight 2,2 net.1.fc.weight 2,2 net.2.fc.weight 2,2", 3, 1, 0, 0},
           Case{"blocks.0.fc1.weight 2,2 blocks.0.fc2.weight 2,2 blocks.1.fc1.weight 2,2 "
                "blocks.1.fc2.weight 2,2",
                2, 2, 0, 0},
           Case{"blocks.0.0.weight 2,2 blocks.1.0.weight 2,2", 2, 1, 0, 0},
           Case{"weight 2,2 bias 2", 1, 1, 0, 0},
           Case{"fc_in.weight 2,3 fc_in.bias 2 l.0.weight 2,2 l.0.bias 2 fc_out.weight 9,2 "
                "fc_out.bias 9",
                1, 1, 3, 9},
           Case{"embedding.weight 2,2 head.weight 2,2 body.7.weight 2,2", 1, 1, 2, 2},
       }) {
    SCOPED_TRACE(c.tensors);
    const Written file(zeros(c.tensors, R"("format": "pt")"));
    const WeightsShape shape = io::inspect_weights(world(), file.path());
    EXPECT_EQ(shape.num_steps, c.steps);
    EXPECT_EQ(shape.block_layers, c.block_layers);
    EXPECT_EQ(shape.features, c.features);
    EXPECT_EQ(shape.classes, c.classes);
    EXPECT_TRUE(shape.settings.empty());
  }
}

TEST(Safetensors, CellsThatAreUnderstood) {
  struct Case {
    const char* tensors;
    const char* metadata;
    const char* cell;
    Index layers, features, classes;
  };
  for (const Case& c : {
           Case{"weight_ih 8,3 weight_hh 8,2 bias_ih 8 bias_hh 8", R"("format": "pt")", "lstm", 1,
                3, 0},
           Case{"rnn.weight_ih_l0 2,3 rnn.weight_hh_l0 2,2 rnn.weight_ih_l1 2,2 rnn.weight_hh_l1 "
                "2,2 "
                "fc.weight 5,2 fc.bias 5",
                R"("activation": "relu")", "rnn", 2, 3, 5},
           Case{"cells.2.weight_ih 6,2 cells.2.weight_hh 6,2 cells.1.weight_ih 6,2 "
                "cells.1.weight_hh 6,2 head.weight 2,2",
                R"("reset": "before")", "gru", 2, 2, 2},
           Case{"/cell/0/weight_ih 6,3 /cell/0/weight_hh 6 /cell/0/peephole 4 /cell/0/bias 6",
                R"("cell": "para-lstm")", "para-lstm", 1, 3, 0},
       }) {
    SCOPED_TRACE(c.tensors);
    const Written file(zeros(c.tensors, c.metadata));
    const std::optional<CellsShape> shape = io::inspect_cells(world(), file.path());
    ASSERT_TRUE(shape.has_value());
    EXPECT_EQ(shape->cell, c.cell);
    EXPECT_EQ(shape->layers, c.layers);
    EXPECT_EQ(shape->features, c.features);
    EXPECT_EQ(shape->units, 2);
    EXPECT_EQ(shape->classes, c.classes);
  }
}

TEST(Safetensors, NamesThatLeaveSomethingOpenAreRefused) {
  struct Case {
    const char* tensors;
    const char* says;
  };
  for (const Case& c : {
           Case{"first.weight 2,2 second.weight 2,2", "order of 'first' and 'second'"},
           Case{"0.weight 2,2 1.weight 2,2 3.weight 2,2", "some are missing"},
           Case{"2.weight 2,2 3.weight 2,2", "start with 2"},
           Case{"l.0.0.weight 2,2 l.0.1.weight 2,2 l.1.0.weight 2,2", "no full table"},
           Case{"a.0.0.0.weight 2,2 a.1.1.1.weight 2,2 a.0.1.0.weight 2,2",
                "more than two numbers"},
           Case{"l.1.weight 2,2 l.01.weight 2,2", "the same number"},
           Case{"0.weight 2,3 1.weight 2,3 2.weight 2,2", "both '0' and '1'"},
           Case{"0.weight 2,2 1.weight 3,2 2.weight 2,2", "'1' in"},
           Case{"0.weight 2,2 1.weight 3,3", "2] and [3, 3]"},
           Case{"0.weight 2,3", "no layer [n, n]"},
           Case{"emb.weight 100,2 0.weight 2,2 0.bias 2", "'emb' in"},  // perhaps nn.Embedding
           Case{"0.weight 2,2 0.bias 3", "'0.bias' in"},
           Case{"0.bias 3", "no weight beside"},
           Case{"conv.weight 2,2,3,3", "'conv.weight' in"},
           Case{"0.weight 2,2 norm.running_mean 2", "'norm.running_mean' in"},
           Case{"0.weight 2,2 1.weight 2,2 1.bias 2", "bias"},
           Case{"embedding.weight 2,2", "no chain"},
           Case{"layers.weight 3,2,2 other.weight 2,2", "'other.weight' beside"},
           Case{"layers.weight 3,2,4", "[L, n, n]"},
           Case{"a..weight 2,2", "empty word"},
           Case{"a.weight 2,2 a/weight 2,2", "twice"},
       }) {
    const Written file(zeros(c.tensors));
    EXPECT_ERROR(io::inspect_weights(world(), file.path()), c.says);
  }
  for (const Case& c : {
           Case{"weight_ih_l0 2,3 weight_hh_l0 2,2 weight_ih_l0_reverse 2,3", "bidirectional"},
           Case{"weight_ih_l0 8,3 weight_hh_l0 8,2 weight_hr_l0 2,2", "projection"},
           Case{"a.weight_ih 2,3 a.weight_hh 2,2 b.weight_ih 2,2 b.weight_hh 2,2",
                "one recurrent network"},
           Case{"weight_ih_l0 2,3 weight_hh_l0 2,2 weight_ih_l2 2,2 weight_hh_l2 2,2 "
                "weight_ih_l3 2,2 weight_hh_l3 2,2",
                "some are missing"},
           Case{"r.weight_ih 2,3 r.weight_hh 2,2 fc.weight 3,2", "call it 'head'"},
           Case{"r.weight_ih 2,3 r.weight_hh 2,2 fc.weight 5,2 out.weight 4,5", "'fc' and 'out'"},
           Case{"r.weight_ih 2,3 r.weight_hh 2,2 fc.weight 5,9", "/head"},
           Case{"r.weight_ih 2,3 r.weight_hh 2,2 r.extra 5", "'r.extra'"},
           Case{"weight_ih 2,3", "no /weight_hh"},
       }) {
    const Written file(zeros(c.tensors));
    EXPECT_ERROR(io::inspect_cells(world(), file.path()), c.says);
  }
}

TEST(Safetensors, DamageIsOneSentence) {
  const auto entry = [](const std::string& dtype, const std::string& shape,
                        const std::string& offsets) {
    return fmt::format(R"("layers.weight": {{"dtype": {}, "shape": {}, "data_offsets": {}}})",
                       dtype, shape, offsets);
  };
  const std::string good = entry(R"("F32")", "[1, 2, 2]", "[0, 16]");
  const std::string data(16, '\0');
  const auto file = [&](const std::string& header, const std::string& bytes) {
    return with_length("{" + header + "}") + bytes;
  };
  const std::string other = R"("layers.bias": {"dtype": "F32", "shape": [1, 2], "data_offsets": )";
  struct Case {
    std::string bytes;
    const char* says;
  };
  for (const Case& c : std::vector<Case>{
           {"", "fewer than 8 bytes"},
           {"1234567", "fewer than 8 bytes"},
           {with_length("{}", 3), "header has 3 bytes, but 2 follow"},
           {with_length("{}", ~std::uint64_t{0}), "18446744073709551615 bytes"},
           {"\x89HDF\r\n\x1a\n", "no safetensors file"},
           {with_length("{}"), "holds no tensors"},
           {with_length("[]"), "no JSON object"},
           {with_length("{\"a"), "no JSON from its byte"},
           {with_length("{} {}"), "no JSON from its byte"},
           {with_length("{\"a\": 1e999}"), "a number that no computer holds"},
           {with_length(std::string(20000, '[')), "no JSON"},
           {with_length(R"({"a": 1})"), "'a' in"},
           {file(good, data.substr(1)), "truncated"},
           {file(good, data + "x"), "1 bytes behind its last tensor"},
           {file(other + "[16, 24]}, " + good + ", " + other + "[24, 32]}", data + data),
            "ends at 16"},
           {file(good + ", " + other + "[8, 16]}", data), "the header is damaged"},
           {file(good + ", " + other + "[20, 28]}", data + data), "ends at 16"},
           {file(good + ", " + other + "[16, 20]}", data + data), "does not need"},
           {file(good + ", " + other + "[16]}", data + data), "no shape and data_offsets"},
           {file(good + ", " + other + "[24, 16]}", data + data), "no shape and data_offsets"},
           {file(good + ", " + other + "[-8, 0]}", data + data), "no shape and data_offsets"},
           {file(entry(R"("F32")", "[1, 2, 2.0]", "[0, 16]"), data), "no shape and data_offsets"},
           {file(entry(R"("F32")", "[1, 2, 3]", "[0, 16]"), data), "does not need"},
           {file(entry(R"("F32")", "[4611686018427387904, 2, 2]", "[0, 16]"), data),
            "does not need"},
           {file(entry(R"("F32")", "[9223372036854775808]", "[0, 16]"), data), "no shape"},
           {file(entry(R"("F32")", "[1, 2, 2]", "[9223372036854775791, 9223372036854775807]"),
                 data),
            "truncated"},
           {file(entry(R"("I64")", "[1, 2, 1]", "[0, 16]"), data), "holds 'I64'"},
           {file(entry(R"("F8_E4M3")", "[1, 4, 4]", "[0, 16]"), data), "holds 'F8_E4M3'"},
           {file(entry("7", "[1, 2, 2]", "[0, 16]"), data), "no dtype"},
           {file(entry(R"("F32")", "[]", "[0, 4]"), data.substr(0, 4)), "sizes []"},
           {file(entry(R"("F32")", "[0, 2, 3]", "[0, 0]"), ""), "[L, n, n]"},
           {file(R"("": {}, )" + good, data), "name that is empty"},
           {file(R"("a\u0000b": {}, )" + good, data), "control characters"},
           {file(R"("__metadata__": {"a": 1}, )" + good, data), "no text"},
           {file(R"("__metadata__": 3, )" + good, data), "no object"},
           {file(R"("__metadata__": {"format": "deeppcr-trace"}, )" + good, data), "deeppcr-trace"},
       }) {
    const Written written(c.bytes);
    EXPECT_ERROR(io::inspect_weights(world(), written.path()), c.says);
  }
  const TemporaryFolder folder;
  EXPECT_ERROR(io::inspect_weights(world(), folder / "no.safetensors"), "No such file");
  on_root([&] { std::filesystem::create_directory(folder / "d.safetensors"); });
  EXPECT_ERROR(io::inspect_weights(world(), folder / "d.safetensors"), "a directory");
}

TEST(Safetensors, SeveralFilesMustFitTheirIndex) {
  const auto index = [](const std::string& map) { return "{\"weight_map\": {" + map + "}}"; };
  struct Case {
    std::string index;
    const char* says;
  };
  for (const Case& c : std::vector<Case>{
           {index(R"("0.weight": "a.safetensors", "1.weight": "b.safetensors")"), "No such file"},
           {index(R"("0.weight": "a.safetensors", "1.weight": "a.safetensors")"),
            "has no tensor '1.weight'"},
           {index(R"("1.weight": "a.safetensors")"), "does not place there"},
           {index(R"("0.weight": "../a.safetensors")"), "beside itself"},
           {index(R"("0.weight": "a.bin")"), "beside itself"},
           {index(R"("0.weight": 3)"), "but 3"},
           {index(""), "holds no tensors"},
           {"{}", "no weight_map"},
           {"[1]", "no JSON object"},
           {"", "no JSON"},
       }) {
    const Written written(c.index, "w.safetensors.index.json");
    written.add("a.safetensors", zeros("0.weight 2,2"));
    EXPECT_ERROR(io::inspect_weights(world(), written.path()), c.says);
  }
}

TEST(Safetensors, LongAndForeignMetadataAreNamed) {
  const std::string longest(100000, 'x');
  const Written file(zeros("0.weight 2,2", "\"note\": \"" + longest + "\", \"run\": \"" + longest +
                                               "\", \"model\": \"mlp\""));
  const WeightsShape shape = io::inspect_weights(world(), file.path());
  EXPECT_EQ(shape.settings.at("model"), "mlp");
  EXPECT_EQ(shape.settings.count("run"), 1U);
  EXPECT_EQ(shape.settings.count("note"), 0U);
}

}  // namespace
}  // namespace deeppcr::test
