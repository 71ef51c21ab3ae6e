#include <algorithm>
#include <cmath>
#include <optional>

#include "deeppcr/core/error.hpp"
#include "deeppcr/io/hdf5_file.hpp"
#include "deeppcr/parallel/runtime.hpp"
#include "io/known_content.hpp"
#include "io/signal_files.hpp"

namespace deeppcr::io {

namespace {

/// How much of a file rank 0 holds beside the sequences while it reads.
constexpr Index kReadBytes = Index{64} << 20;
/// More numbers than any memory holds.
constexpr Index kMostNumbers = Index{1} << 40;

/// /inputs [T, features] in place of [B, T, features].
bool is_single(const hdf5::File& file) { return file.shape("/inputs").size() == 2; }

/// "sample 2, step 5", or "step 5" where there is one sample.
std::string place(const Signals& signals, Index sample, Index step) {
  return signals.samples == 1 ? fmt::format("step {}", step)
                              : fmt::format("sample {}, step {}", sample, step);
}

Index length_of(const Signals& signals, Index sample) {
  return signals.lengths.empty() ? signals.steps
                                 : signals.lengths[static_cast<std::size_t>(sample)];
}

/// What a file says of its axes, which may be PyTorch's [T, B, features].
void require_samples_first(const hdf5::File& file, const std::string& name) {
  if (is_single(file) || !file.has_attribute(name, "dimensions")) return;
  const std::vector<std::string> axes = file.texts(name, "dimensions");
  if (axes.size() < 2 || !holds({"step", "steps", "time", "t", "T"}, axes[0])) return;
  throw local_input_error(
      "{} in '{}' says that its dimensions are [{}]; samples come first, then their steps ([B, T, "
      "..]), so swap the first two",
      name, file.path(), fmt::join(axes, ", "));
}

void read_sizes(const hdf5::File& file, Signals& signals) {
  const hdf5::Shape sizes = real_shape(file, "/inputs");
  if (sizes.size() != 2 && sizes.size() != 3) {
    throw local_input_error(
        "/inputs in '{}' has sizes {}; sequences are [B, T, features], one alone [T, features]",
        file.path(), text_of(sizes));
  }
  if (std::find(sizes.begin(), sizes.end(), 0) != sizes.end()) {
    throw local_input_error(
        "/inputs in '{}' has sizes {}; one sample with one step and one feature is needed at least",
        file.path(), text_of(sizes));
  }
  require_samples_first(file, "/inputs");
  signals.samples = sizes.size() == 3 ? sizes[0] : 1;
  signals.steps = sizes[sizes.size() - 2];
  signals.features = sizes.back();
}

void read_lengths(const hdf5::File& file, Signals& signals) {
  std::vector<Index> lengths =
      whole_numbers(file, "/lengths", {{signals.samples}},
                    fmt::format("{} whole numbers, one a sample", signals.samples));
  const Index most = signals.steps;
  const auto bad = std::find_if(lengths.begin(), lengths.end(),
                                [&](Index length) { return length < 0 || length > most; });
  if (bad != lengths.end()) {
    throw local_input_error(
        "/lengths in '{}' has {} in row {}; a sample has 0 to {} steps, as many as /inputs",
        file.path(), *bad, bad - lengths.begin(), most);
  }
  const bool whole =
      std::all_of(lengths.begin(), lengths.end(), [&](Index length) { return length == most; });
  if (!whole) signals.lengths = std::move(lengths);
}

/// The numbers of some samples: all of theirs within their lengths are finite.
void require_finite(const hdf5::File& file, const std::string& name, const Signals& signals,
                    Index sample, Index width, const Real* values) {
  const Real* end = values + length_of(signals, sample) * width;
  const Real* bad = std::find_if_not(values, end, [](Real value) { return std::isfinite(value); });
  if (bad == end) return;
  const Index at = bad - values;
  throw local_input_error(
      "{} in '{}' has {} in {}, column {}; every number within a sample's length must be finite",
      name, file.path(), *bad, place(signals, sample, at / width), at % width);
}

/// [B, T, width] of a file as [T, B, width], some samples at a time.
void read_steps(const hdf5::File& file, const std::string& name, const Signals& signals,
                Index width, Buffer<Real>& out) {
  const Index B = signals.samples, T = signals.steps;
  if (T > kMostNumbers / B || width > kMostNumbers / (T * B))
    throw local_input_error("{} in '{}' has sizes {}, too many numbers for any memory", name,
                            file.path(), text_of(file.shape(name)));
  const Index row = T * width;
  parallel::check_memory(parallel::Communicator::self(),
                         static_cast<double>(sizeof(Real)) * static_cast<double>(B * row),
                         fmt::format("{} in '{}': ", name, file.path()));
  out.reset(T * B * width);
  if (B == 1) {
    file.read_rows<Real>(name, {{0, file.shape(name)[0], out.data()}});
    require_finite(file, name, signals, 0, width, out.data());
    std::fill(out.data() + length_of(signals, 0) * width, out.data() + row, Real{0});
    return;
  }
  const Index at_once =
      std::clamp<Index>(kReadBytes / (row * static_cast<Index>(sizeof(Real))), 1, B);
  Buffer<Real> piece(at_once * row);
  for (Index first = 0; first < B; first += at_once) {
    const Index count = std::min(at_once, B - first);
    file.read_rows<Real>(name, {{first, count, piece.data()}});
    for (Index b = first; b < first + count; ++b) {
      const Real* from = piece.data() + (b - first) * row;
      require_finite(file, name, signals, b, width, from);
      for (Index t = 0; t < length_of(signals, b); ++t)
        std::copy_n(from + t * width, width, out.data() + (t * B + b) * width);
    }
  }
}

void read_labels(const hdf5::File& file, Signals& signals) {
  const Index B = signals.samples, T = signals.steps;
  require_samples_first(file, "/labels");
  const bool single = is_single(file);
  const hdf5::Shape each = single ? hdf5::Shape{T} : hdf5::Shape{B, T};
  const std::vector<Index> labels =
      whole_numbers(file, "/labels", {{B}, each},
                    fmt::format("whole numbers: {} (one a sample) or {} (one a step)", text_of({B}),
                                text_of(each)));
  signals.labels_each =
      single ? T > 1 && static_cast<Index>(labels.size()) == T : file.shape("/labels").size() == 2;
  const Index steps = signals.labels_each ? T : 1;
  signals.labels.assign(labels.size(), 0);
  for (Index i = 0; i < static_cast<Index>(labels.size()); ++i) {
    const Index b = i / steps, t = i % steps;
    if (signals.labels_each && t >= length_of(signals, b)) continue;
    const Index label = labels[static_cast<std::size_t>(i)];
    if (label < 0 || label > kLargestLabel) {
      throw local_input_error(
          "/labels in '{}' has {} in {}; labels are classes, 0 to {} at most", file.path(), label,
          signals.labels_each ? place(signals, b, t) : fmt::format("sample {}", b), kLargestLabel);
    }
    signals.labels[static_cast<std::size_t>(t * B + b)] = label;
  }
}

void read_targets(const hdf5::File& file, Signals& signals) {
  hdf5::Shape wanted = file.shape("/inputs");
  const hdf5::Shape sizes = real_shape(file, "/targets");
  if (sizes.size() == wanted.size() && sizes.back() > 0) wanted.back() = sizes.back();
  if (sizes != wanted) {
    wanted.pop_back();
    throw local_input_error(
        "/targets in '{}' has sizes {}; the inputs need [{}, k], with one number at least",
        file.path(), text_of(sizes), fmt::join(wanted, ", "));
  }
  require_samples_first(file, "/targets");
  signals.target_width = sizes.back();
  read_steps(file, "/targets", signals, signals.target_width, signals.targets);
}

}  // namespace

Signals read_hdf5_signals(const std::string& path) {
  const auto file = hdf5::File::open(path, hdf5::File::Access::read);
  require_known_members(file, "/", sample_file_members(), kSamplesHold);
  Signals signals;
  read_sizes(file, signals);
  if (file.has("/lengths")) read_lengths(file, signals);
  read_steps(file, "/inputs", signals, signals.features, signals.inputs);
  if (file.has("/labels")) read_labels(file, signals);
  if (file.has("/targets")) read_targets(file, signals);
  signals.unknown_attributes = unknown_attributes_of_samples(file);
  return signals;
}

}  // namespace deeppcr::io
