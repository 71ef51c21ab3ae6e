#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/config.hpp"
#include "deeppcr/app/command.hpp"
#include "deeppcr/core/buffer.hpp"
#include "deeppcr/models/head.hpp"
#include "deeppcr/nonlinear/report.hpp"
#include "deeppcr/sequence/trajectory.hpp"

/// The files of a run. Two sources implement it: one by the io module, one for builds without it
/// (-DDEEPPCR_IO=OFF), where every call throws the sentence of unavailable(). All calls are
/// collective.
namespace deeppcr::app::storage {

/// Why there are no files in this build; empty when there are.
std::string unavailable();
/// "HDF5 1.10.8".
std::string library_version();
/// Version of the program and commit of its sources.
std::string program_version();

/// What is in a file, by the marks of our own; of this rank alone, which calls it.
struct Recognised {
  std::string format;    ///< one of core's file_format; empty: not ours
  std::string is;        ///< for a sentence, such as "a PNG picture of another program"
  bool damaged = false;  ///< HDF5 that cannot be opened, such as a file that was never finished
};
Recognised recognise(const std::string& path);
/// Checksum of a network's parameters, by which a restart knows it.
Index checksum(View<const Real, 1> parameters);
/// Where a trace keeps its states: "run.h5" -> "run.states.h5".
std::string states_path(const std::string& trace);

/// Samples as they come from a file, equal on all ranks.
struct Samples {
  Index features = 0;
  std::vector<Real> inputs;  ///< [B, features]
  std::vector<int> labels;   ///< [B]; empty where there are none

  Index batch() const { return features > 0 ? static_cast<Index>(inputs.size()) / features : 0; }
};
/// The first `count` training images of a set.
Samples read_images(const parallel::Communicator& comm, const std::string& set, Index count);
/// The first `count` samples of an --input file, all of them for 0. @throws Error when it has fewer
Samples read_input(const parallel::Communicator& comm, const std::string& path, Index count);

/// Sizes in a weights file.
struct WeightsSizes {
  Index steps = 0;
  Index width = 0;
  Index block_layers = 1;
  Index features = 0;  ///< of its embedding; 0 without
  Index classes = 0;   ///< of its head; 0 without
  bool bias = false;
  std::map<std::string, std::string> settings;  ///< what it says of its model, by name
  std::vector<std::string> unknown_attributes;  ///< for a warning
};
WeightsSizes weights_sizes(const parallel::Communicator& comm, const std::string& path);
/// The group of parameters that weights files hold.
constexpr const char* kLayers = "layers";
/// Its rows.
/// @throws Error for a chain with other parameters
View<Real, 2> layer_rows(sequence::Sequence& model);
/// Fills the parameters of the local steps.
void read_weights(const parallel::Communicator& comm, const std::string& path,
                  sequence::Sequence& model);
/// Fills the embedding ("/embedding") or the head ("/head").
void read_layer(const parallel::Communicator& comm, const std::string& path,
                const std::string& group, models::DenseLayer& layer);

/// The parts of a network, or gradients by them in the same shapes.
struct NetworkParts {
  models::ModelOptions model;
  StepSet steps;                                  ///< that this rank writes
  View<const Real, 2> parameters;                 ///< [steps.size(), parameters a step], or empty
  const models::DenseLayer* embedding = nullptr;  ///< may be missing
  const models::DenseLayer* head = nullptr;       ///< may be missing
};
void save_weights(const Context& context, const std::string& path, const NetworkParts& network);

/// Rows of numbers that no weights file holds.
struct NamedRows {
  std::string name;
  Index rows = 0;  ///< of all ranks together
  StepSet own;     ///< that this rank writes
  View<const Real, 2> values;
  std::string content;
};

/// The results of `solve` and `gradient` for --output. Views and pointers may be empty.
struct Results {
  const sequence::Trajectory* trajectory = nullptr;
  View<const Real, 2> logits;  ///< [B, classes]
  std::optional<double> loss;
  ConstState input_gradient;
  std::optional<NetworkParts> gradients;
  std::vector<NamedRows> other_gradients;  ///< of groups of parameters that are no layers
};
void save_results(const Context& context, const std::string& path, const Results& results);

/// Fills the states from a trace or a checkpoint; z_0 stays.
void read_guess(const std::string& path, sequence::Trajectory& trajectory);

/// Where an earlier run stopped.
struct Resumed {
  std::string path;
  Index iterations = 0;
  double seconds = 0;
  Index frozen_prefix = 0;  ///< steps done with; 0 where --tolerance was another
};
/// Fills the states from the checkpoint `files.restart`; "auto" takes the newest intact one, and
/// nothing where there is none.
/// @throws Error when it belongs to another chain or to other samples
std::optional<Resumed> restart(const Context& context, const ChainConfig& chain,
                               const FilesConfig& files, sequence::Trajectory& trajectory);

/// Writes the trace and the checkpoints of one solve.
class Recorder : public nonlinear::Monitor {
 public:
  /// Ends the trace with the outcome and the selected states.
  virtual void finish(const nonlinear::SolveReport& report,
                      const std::vector<std::string>& unused_options) = 0;
};
/// Nothing when this build has no files.
std::unique_ptr<Recorder> record(const Context& context, const RunConfig& config,
                                 const std::optional<Resumed>& resumed,
                                 const sequence::Trajectory& trajectory);

/// Prints what a file holds. @throws Error for a damaged one
void inspect(const Context& context, const std::string& path);

}  // namespace deeppcr::app::storage
