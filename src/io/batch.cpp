#include "deeppcr/io/batch.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/log.hpp"
#include "deeppcr/io/hdf5_file.hpp"
#include "io/hdf5_detail.hpp"
#include "io/known_content.hpp"

namespace deeppcr::io {
namespace {

/// What stands there for others, or for nobody: said once.
void warn_of_unused(const hdf5::File& file) {
  static std::set<std::string> said;
  for (const char* name : {"/lengths", "/targets"})
    if (file.has(name) && said.insert(file.path() + name).second)
      log::warn("'{}': its {} are not used by this run", file.path(), name);
  const std::vector<std::string> unknown = unknown_attributes_of_samples(file);
  if (!unknown.empty() && said.insert(file.path()).second)
    log::warn("'{}': nothing here understands its attributes {}; they are passed over", file.path(),
              fmt::join(unknown, ", "));
}

void read_inputs(const hdf5::File& file, Batch& batch) {
  const std::string& path = file.path();
  const hdf5::Shape sizes = real_shape(file, "/inputs");
  if (sizes.size() < 2) {
    throw local_input_error(
        "/inputs in '{}' has sizes {}; it must be [B, features], or [B, ..] in the shape of a "
        "state",
        path, text_of(sizes));
  }
  const Index features = hdf5::row_entries(sizes);
  if (sizes[0] == 0 || features == 0) {
    throw local_input_error(
        "/inputs in '{}' has sizes {}; one sample with one feature is needed at least", path,
        text_of(sizes));
  }
  batch.samples = sizes[0];
  batch.features = features;
  batch.inputs = file.read<Real>("/inputs");
  const auto bad = std::find_if_not(batch.inputs.begin(), batch.inputs.end(),
                                    [](Real value) { return std::isfinite(value); });
  if (bad == batch.inputs.end()) return;
  const Index at = bad - batch.inputs.begin();
  throw local_input_error(
      "/inputs in '{}' has {} in row {}, column {}; every number must be finite", path, *bad,
      at / features, at % features);
}

void read_labels(const hdf5::File& file, Batch& batch) {
  const std::string& path = file.path();
  batch.labels = whole_numbers(file, "/labels", {{batch.samples}},
                               fmt::format("{} whole numbers, one a sample", batch.samples));
  const auto bad = std::find_if(batch.labels.begin(), batch.labels.end(),
                                [](Index label) { return label < 0 || label > kLargestLabel; });
  if (bad == batch.labels.end()) return;
  throw local_input_error("/labels in '{}' has {} in row {}; labels are classes, 0 to {} at most",
                          path, *bad, bad - batch.labels.begin(), kLargestLabel);
}

/// What `read` fills on rank 0, on all ranks. Collective.
template <typename Read>
Batch shared(const parallel::Communicator& comm, Read&& read) {
  Batch batch;
  parallel::agree(comm, [&] {
    if (comm.is_root()) read(batch);
  });
  comm.broadcast(batch.samples, 0);
  comm.broadcast(batch.features, 0);
  comm.broadcast(batch.inputs, 0);
  comm.broadcast(batch.labels, 0);
  return batch;
}

}  // namespace

Batch read_batch(const parallel::Communicator& comm, const std::string& path) {
  return shared(comm, [&](Batch& batch) {
    const auto file = hdf5::File::open(path, hdf5::File::Access::read);
    require_known_members(file, "/", sample_file_members(), kSamplesHold);
    warn_of_unused(file);
    read_inputs(file, batch);
    if (file.has("/labels")) read_labels(file, batch);
  });
}

Batch read_images(const parallel::Communicator& comm, const std::string& name,
                  const ImageSelection& selection) {
  return shared(comm, [&](Batch& batch) {
    const ImageSet set = read_image_set(name, selection);
    batch.samples = static_cast<Index>(set.labels.size());
    batch.features = set.height * set.width;
    for (const unsigned char pixel : set.pixels) batch.inputs.push_back(pixel / 255.0);
    batch.labels.assign(set.labels.begin(), set.labels.end());
  });
}

}  // namespace deeppcr::io
