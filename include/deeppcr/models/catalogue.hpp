#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "deeppcr/core/options.hpp"
#include "deeppcr/models/end.hpp"
#include "deeppcr/sequence/sequence.hpp"

namespace deeppcr::models {

/// A model in words, as the command line gives it.
struct ModelOptions {
  std::string model = "mlp";
  Index steps = 0;
  int width = 1;  ///< n of a layer or cell; state_width() tells that of the states
  std::uint64_t seed = 1;
  /// The options that the model's entry declares; those that are missing are at their defaults.
  OptionValues own;

  /// Sets one of the model's own options. @throws Error for an unknown model, for an option that it
  /// does not have and for a value that is not allowed
  ModelOptions& set(const std::string& option, const std::string& value);
  ModelOptions& set(const std::string& option, double value);
};

/// What a step of a model takes, for those who plan.
struct StepCost {
  double layers = 1;             ///< products [n x n] one after another
  double parameters = 0;         ///< numbers of its own
  double shared_parameters = 0;  ///< numbers that it shares with all steps
  double flops = 0;              ///< of its value, for one sample
  double call = 0;               ///< seconds that a call takes beside its products, if many
  blocks::Structure structure = blocks::Structure::dense;  ///< of its Jacobian
};

/// The layers of a chain in a weights file.
struct StoredLayers {
  std::string file;
  Index per_step = 1;
  bool bias = false;
};

/// How weights files hold a model.
struct WeightsFile {
  bool nested = false;        ///< weights [L, k, n, n], k layers a step; else [L, n, n]
  std::string layers_option;  ///< the option that says k; empty where a step has one layer
  /// Options that change what the layers compute: the file has them as attributes.
  std::vector<std::string> settings;
  /// Makes the options those of a stored chain. @throws Error where they contradict it
  std::function<void(ModelOptions&, const StoredLayers&)> adopt;
};

/// Sizes that the user has given; the others are defaults.
struct GivenSizes {
  bool steps = false, width = false;
};

/// A model as the catalogue has it. Its functions get options that are complete.
struct CatalogueEntry {
  std::string name;
  std::string help;  ///< one line
  std::vector<OptionSpec> options;
  /// Makes the chain with the parameters of the `local` steps.
  std::function<std::unique_ptr<sequence::Sequence>(const ModelOptions&, const StepSet& local)>
      make;
  /// Numbers in a state; may be empty: ModelOptions::width.
  std::function<int(const ModelOptions&)> state_width;
  /// Numbers in the input of a step; may be empty: as a chain without steps tells.
  std::function<int(const ModelOptions&)> input_width;
  /// May be empty: a step of one layer, with as many parameters as a chain without steps tells.
  std::function<StepCost(const ModelOptions&)> cost;
  std::optional<WeightsFile> weights;  ///< none: no weights file holds such a chain of layers
  /// Of a model that a file of its own describes: makes steps and width those of the file. Its
  /// errors may be of one rank; empty: there is no such file.
  std::function<void(ModelOptions&, const GivenSizes&)> look_at_file;
  /// Relative rounding error of its values; may be empty: that of double.
  std::function<double(const ModelOptions&)> rounding;
  /// An end of such networks from a file of its own; empty: theirs are linear layers.
  /// Throws Error, perhaps of one rank alone.
  std::function<std::unique_ptr<End>(const ModelOptions&, LayerRole, const std::string& file)>
      make_end;
  /// Writes a chain as such a file, with these parameters: of each group [rows, row size] of all
  /// steps. Throws Error of this rank; empty: there is no such file.
  std::function<void(const ModelOptions&, const std::vector<Real*>&, const std::string& file)> save;
  bool cells =
      false;  ///< recurrent cells, "cell/K" a group, which weights files hold by their names
  /// A chain of every K-th step with K times the scale approximates it (--guess coarse:K).
  bool coarse_chain = false;
};

/// All models by their names: those that come with the library, then those that were added.
const std::deque<CatalogueEntry>& catalogue();

/// Adds a model; to be called before the command line is read. @throws Error for a name that is
/// taken
void add_to_catalogue(CatalogueEntry entry);

/// @throws Error that lists the known models
const CatalogueEntry& find(const std::string& model);

/// Makes a model with the parameters of the `local` steps. They depend on seed and global step
/// only, not on the split.
/// @throws Error for an unknown word (with the known ones) or a size without sense
std::unique_ptr<sequence::Sequence> make(const ModelOptions& options, const StepSet& local);

/// Numbers in a state of such a model. @throws as make()
int state_width(const ModelOptions& options);

/// Numbers in the input of a step of such a model; 0: it takes none. @throws as make()
int input_width(const ModelOptions& options);

/// What a step of such a model takes. @throws as make()
StepCost step_cost(const ModelOptions& options);

/// Steps and width of the file that describes such a model; nothing where there is none.
/// @throws Error, perhaps of one rank alone, where they contradict what was given
void look_at_file(ModelOptions& options, const GivenSizes& given);

/// An end of such networks. @pre the entry's make_end. @throws as that
std::unique_ptr<End> make_end(const ModelOptions& options, LayerRole role, const std::string& file);

/// Writes such a chain with these parameters. @pre the entry's save. @throws as that
void save(const ModelOptions& options, const std::vector<Real*>& groups, const std::string& file);

/// Relative rounding error of the values of such a model. @throws as make()
double rounding(const ModelOptions& options);

/// Makes the options those of a chain in a weights file.
/// @throws Error where they contradict it, and for a model that no weights file holds
void adopt(ModelOptions& options, const StoredLayers& stored);

/// Layers in a step, from the option that names them for a weights file; 1 without.
Index stored_layers(const ModelOptions& options);

}  // namespace deeppcr::models
