#include <fstream>

#include "app/storage.hpp"
#include "app/training_files.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/files.hpp"

// Builds without HDF5: options that need a file are refused long before these are called.
namespace deeppcr::app::storage {
namespace {

[[noreturn]] void refuse() { throw input_error("{}", unavailable()); }

}  // namespace

std::string unavailable() {
  return "this build has no HDF5 files; configure it with -DDEEPPCR_IO=ON";
}
std::string library_version() { refuse(); }
std::string program_version() { return DEEPPCR_VERSION; }

Recognised recognise(const std::string& path) {
  // Tables are all that such a build writes.
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  if (line.rfind("# deeppcr", 0) == 0) return {file_format::kCsv, "a table of ours"};
  return {line.empty() && file.eof() ? file_format::kEmpty : "", "no table of this program"};
}
Index checksum(View<const Real, 1>) { return 0; }
std::string states_path(const std::string& trace) { return trace; }

Samples read_images(const parallel::Communicator&, const std::string&, Index) { refuse(); }
Samples read_input(const parallel::Communicator&, const std::string&, Index) { refuse(); }
WeightsSizes weights_sizes(const parallel::Communicator&, const std::string&) { refuse(); }
void read_weights(const parallel::Communicator&, const std::string&, sequence::Sequence&) {
  refuse();
}
void read_layer(const parallel::Communicator&, const std::string&, const std::string&,
                models::DenseLayer&) {
  refuse();
}
void save_weights(const Context&, const std::string&, const NetworkParts&) { refuse(); }
void save_results(const Context&, const std::string&, const Results&) { refuse(); }
void read_guess(const std::string&, sequence::Trajectory&) { refuse(); }
std::optional<Resumed> restart(const Context&, const ChainConfig&, const FilesConfig&,
                               sequence::Trajectory&) {
  refuse();
}
std::unique_ptr<Recorder> record(const Context&, const RunConfig&, const std::optional<Resumed>&,
                                 const sequence::Trajectory&) {
  return nullptr;
}
train::Images read_image_set(const parallel::Communicator&, const std::string&, bool, Index) {
  refuse();
}
std::unique_ptr<TrainingFiles> training_files(const Context&, const parallel::ProcessGrid&,
                                              const FilesConfig&, const TrainedModel&) {
  return nullptr;
}
CheckpointOrigin checkpoint_origin(const parallel::Communicator&, const std::string&) { refuse(); }
std::optional<CheckpointOrigin> restart_origin(const parallel::Communicator&, const FilesConfig&) {
  refuse();
}
void inspect(const Context&, const std::string&) { refuse(); }

}  // namespace deeppcr::app::storage
