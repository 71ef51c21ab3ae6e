// What a file of weights, cells or samples holds: an input is a list of its members, one a line.
//
//   d /layers/weight 3,2,2      a dataset: d float64, f float32, i whole numbers, u bytes
//   a /layers/weight scale x    an attribute, a text
//   l /layers /net              a soft link
//   g /head                     a group
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "alone.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/io/batch.hpp"
#include "deeppcr/io/cell_weights.hpp"
#include "deeppcr/io/hdf5_file.hpp"
#include "deeppcr/io/signals.hpp"
#include "deeppcr/io/weights.hpp"

namespace deeppcr::fuzz {

namespace {

using io::hdf5::File;
using io::hdf5::Shape;

constexpr Index kMostEntries = 4096;

/// "3,2,2"; nothing for sizes that make too large a dataset.
Shape sizes_of(const std::string& text) {
  Shape shape;
  Index entries = 1;
  std::istringstream stream(text);
  for (std::string word; std::getline(stream, word, ',');) {
    const Index size = std::clamp<Index>(std::atoi(word.c_str()), 0, kMostEntries);
    entries *= std::max<Index>(size, 1);
    if (entries > kMostEntries) return {};
    shape.push_back(size);
  }
  return shape;
}

template <typename T>
void write(File& file, const std::string& name, const Shape& shape) {
  static const std::vector<T> values(kMostEntries, T{1});
  file.write<T>(name, shape, values.data(), {"", {}});
}

void add(File& file, const std::string& line) {
  std::istringstream words(line);
  std::string what, name, third, fourth;
  words >> what >> name >> third >> fourth;
  if (name.empty() || name[0] != '/' || name.size() > 64) return;
  if (what == "d") write<double>(file, name, sizes_of(third));
  if (what == "f") write<float>(file, name, sizes_of(third));
  if (what == "i") write<Index>(file, name, sizes_of(third));
  if (what == "u") write<unsigned char>(file, name, sizes_of(third));
  if (what == "g") file.create_group(name);
  if (what == "a" && !third.empty() && third.size() < 64) file.set(name, third, fourth);
  if (what == "l") H5Lcreate_soft(third.c_str(), file.id(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT);
}

void create(const std::string& path, const std::string& text) {
  File file = File::create(path);
  std::istringstream lines(text);
  int left = 40;
  for (std::string line; left-- > 0 && std::getline(lines, line);) {
    try {
      add(file, line);
    } catch (const Error&) {  // HDF5 knows no such name, or has it
    }
  }
  file.close();
}

void inspect_weights(const std::string& path) {
  const io::WeightsShape shape = io::inspect_weights(self(), path);
  DEEPPCR_FUZZ_CHECK(shape.num_steps >= 0 && shape.block_layers >= 0 && shape.width >= 0);
  const File file = File::open(path, File::Access::read);
  const std::vector<std::string> layers = file.children("/layers");
  DEEPPCR_FUZZ_CHECK(shape.stacked || static_cast<Index>(layers.size()) == shape.num_steps);
  for (const char* group : {"/embedding", "/head"}) {
    if (!file.has(group)) continue;
    const io::hdf5::Shape sizes = file.shape(std::string(group) + "/weight");
    DEEPPCR_FUZZ_CHECK(sizes.size() == 2);
    std::vector<Real> rows(static_cast<std::size_t>((sizes[1] + 1) * sizes[0]));
    io::read_dense_layer(self(), path, group, {rows.data(), {sizes[1] + 1, sizes[0]}});
  }
}

void inspect_samples(const std::string& path) {
  const io::Batch batch = io::read_batch(self(), path);
  DEEPPCR_FUZZ_CHECK(static_cast<Index>(batch.inputs.size()) == batch.samples * batch.features);
  DEEPPCR_FUZZ_CHECK(batch.labels.empty() ||
                     static_cast<Index>(batch.labels.size()) == batch.samples);
}

void inspect_cells(const std::string& path) {
  const std::optional<io::CellsShape> shape = io::inspect_cells(self(), path);
  if (!shape) return;
  DEEPPCR_FUZZ_CHECK(shape->layers > 0 && shape->units > 0 && shape->features > 0);
  for (Index layer = 0; layer < shape->layers; ++layer) {
    std::vector<Real> row(static_cast<std::size_t>(io::parameters_of_cell(*shape, layer)), -1);
    io::read_cells(self(), path, *shape, layer, {row.data(), {static_cast<Index>(row.size())}});
    // Datasets hold ones, and what is missing is zero.
    for (const Real value : row) DEEPPCR_FUZZ_CHECK(value == 0 || value == 1);
  }
}

void read_signals(const std::string& path) {
  const io::Signals signals = io::read_signals(self(), path);
  const Index entries = signals.steps * signals.samples;
  DEEPPCR_FUZZ_CHECK(signals.inputs.size() == entries * signals.features && entries > 0);
  DEEPPCR_FUZZ_CHECK(signals.targets.size() == entries * signals.target_width);
  DEEPPCR_FUZZ_CHECK(signals.lengths.empty() ||
                     static_cast<Index>(signals.lengths.size()) == signals.samples);
  const Index labels = signals.labels_each ? entries : signals.samples;
  DEEPPCR_FUZZ_CHECK(signals.labels.empty() || static_cast<Index>(signals.labels.size()) == labels);
}

}  // namespace

std::vector<std::string> seeds() {
  return {
      "d /layers/weight 3,2,2\nd /layers/bias 3,2\na / model mlp\nd /head/weight 4,2\n",
      "f /layers/weight 3,2,2,2\na /layers/weight scale 2\nd /embedding/weight 2,3\n"
      "d /embedding/bias 2\nd /inputs 5,3\ni /labels 5\n",
      "d /layers/0/weight 2,2\nd /layers/0/bias 2\nd /layers/1/weight 2,2\nd /layers/1/bias 2\n",
      "d /layers/0/0/weight 2,2\nd /layers/0/1/weight 2,2\nd /layers/1/0/weight 2,2\n"
      "d /layers/1/1/weight 2,2\n",
      "d /net/weight 2,3,3\nl /layers /net\n",
      "d /inputs 4,2\nu /labels 4\nd /targets 4,2\n",
      "f /inputs 3,4,2\ni /lengths 3\ni /labels 3,4\nd /targets 3,4,1\n",
      "f /weight_ih 6,3\nf /weight_hh 6,2\nf /bias 6\na / cell gru\na / gates z,r,c\n"
      "a / reset before\na / candidate relu\nd /inputs 9,3\n",
      "d /cell/0/weight_ih 8,3\nd /cell/0/weight_hh 8,2\nd /cell/1/weight_ih 8,2\n"
      "d /cell/1/weight_hh 8,2\nd /cell/1/bias_ih 8\na /cell/1 gates f,i,o,g\n",
      "d /weight_ih 6,3\nd /weight_hh 6\nd /peephole 4\na / cell para-lstm\nd /head/weight 4,2\n"};
}

std::vector<std::string> words() {
  return {"d ",        "f ",      "i ",       "u ",      "g ",         "a ",         "l ",
          "\n",        "/layers", "/weight",  "/bias",   "/head",      "/inputs",    "/0",
          "/1",        "/2",      "/10",      "/01",     "/norm",      "/labels",    "/net",
          ",2",        ",0",      " 2,2",     "/biases", "/weights",   " model",     " mlp",
          " /",        "3,2,2",   "/lengths", "/cell",   "/weight_ih", "/weight_hh", "/bias_hh",
          "/peephole", " gates",  " cell",    " gru",    " lstm",      " rnn",       " para-gru",
          "r,z,n",     "i,f,g,o", " reset",   " 6",      "/targets"};
}

}  // namespace deeppcr::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace deeppcr;
  const std::string& path = fuzz::scratch_path(".h5");
  fuzz::create(path, std::string(reinterpret_cast<const char*>(data), size));
  for (const auto& inspect :
       {fuzz::inspect_weights, fuzz::inspect_samples, fuzz::inspect_cells, fuzz::read_signals}) {
    try {
      inspect(path);
    } catch (const Error& error) {
      if (error.code() != ExitCode::bad_input) std::fprintf(stderr, "%s\n", error.what());
      DEEPPCR_FUZZ_CHECK(error.code() == ExitCode::bad_input);
    }
  }
  return 0;
}
