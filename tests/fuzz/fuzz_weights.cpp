// What a file of weights or samples holds: an input is a list of its members, one a line.
//
//   d /layers/weight 3,2,2      a dataset: d float64, f float32, i whole numbers, u bytes
//   a /layers/weight scale x    an attribute, a text
//   l /layers /net              a soft link
//   g /head                     a group
#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "deeppcr/core/error.hpp"
#include "deeppcr/io/batch.hpp"
#include "deeppcr/io/hdf5_file.hpp"
#include "deeppcr/io/weights.hpp"
#include "fuzz_target.hpp"

namespace deeppcr::fuzz {

namespace {

using io::hdf5::File;
using io::hdf5::Shape;

constexpr Index kMostEntries = 4096;

/// MPI, started once.
const parallel::Communicator& self() {
  static const bool started = MPI_Init(nullptr, nullptr) == MPI_SUCCESS;
  static const parallel::Communicator comm(MPI_COMM_SELF);
  DEEPPCR_FUZZ_CHECK(started);
  return comm;
}

/// A name in memory where there is such a folder; HDF5 must be able to open it by name.
const std::string& scratch_path() {
  static const std::string path = [] {
    const bool in_memory = ::access("/dev/shm", W_OK) == 0;
    return fmt::format("{}/deeppcr-fuzz-{}.h5", in_memory ? "/dev/shm" : "/tmp", ::getpid());
  }();
  static const int at_end = std::atexit([] { ::unlink(scratch_path().c_str()); });
  (void)at_end;
  return path;
}

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
      "d /inputs 4,2\nu /labels 4\nd /targets 4,2\n"};
}

std::vector<std::string> words() {
  return {"d ",      "f ",       "i ",     "u ",      "g ",      "a ",    "l ",      "\n",
          "/layers", "/weight",  "/bias",  "/head",   "/inputs", "/0",    "/1",      "/2",
          "/10",     "/01",      "/norm",  "/labels", "/net",    ",2",    ",0",      " 2,2",
          "/biases", "/weights", " model", " mlp",    " /",      "3,2,2", "/lengths"};
}

}  // namespace deeppcr::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace deeppcr;
  const std::string& path = fuzz::scratch_path();
  fuzz::create(path, std::string(reinterpret_cast<const char*>(data), size));
  for (const auto& inspect : {fuzz::inspect_weights, fuzz::inspect_samples}) {
    try {
      inspect(path);
    } catch (const Error& error) {
      if (error.code() != ExitCode::bad_input) std::fprintf(stderr, "%s\n", error.what());
      DEEPPCR_FUZZ_CHECK(error.code() == ExitCode::bad_input);
    }
  }
  return 0;
}
