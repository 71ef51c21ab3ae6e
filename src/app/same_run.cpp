#include "app/same_run.hpp"

#include <filesystem>
#include <map>
#include <set>

#include "app/pipeline_config.hpp"
#include "deeppcr/app/program.hpp"
#include "deeppcr/cli/command.hpp"
#include "deeppcr/cli/options.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/log.hpp"

namespace deeppcr::app {
namespace {

using Names = std::set<std::string>;

/// What an option decides, once there is a checkpoint to go on from.
enum class Decides {
  function,  ///< what is computed: the checkpoint is of no use under another value
  course,    ///< how the run goes on
  start,     ///< the first weights, which a training has left behind
  nothing    ///< that a checkpoint knows of: ranks, solvers, files
};

const Names sampler{"eta",      "class",   "denoiser", "network-precision", "sampler-config",
                    "guidance", "classes", "shape",    "embedding"};
const Names sequences{"as", "permute", "target", "positives"};
const Names first_weights{"init", "gain", "contraction"};
/// Of a model, but about its training.
const Names training_of_model{"average", "jitter", "autoencoder"};
const Names course{"data",        "samples",       "positive-fraction",
                   "shift",       "flip",          "epochs",
                   "input",       "test-input",    "test-share",
                   "frame",       "truncate",      "schedule",
                   "optimiser",   "learning-rate", "warm-up",
                   "clip-norm",   "clip",          "local-steps",
                   "drift-bound", "shards",        "average-optimiser",
                   "pipeline",    "delay",         "old-weights",
                   "frames",      "set",           "mean",
                   "deviation",   "first-frame",   "drop"};
const Names ends{"embedding", "head"};
const Names files{"data",     "frames",      "input",     "test-input", "weights",
                  "denoiser", "autoencoder", "embedding", "head",       "sampler-config"};

Decides what_decides(const std::string& command, const std::string& name,
                     const std::string& selector) {
  const bool trains = command == "train" || command == "stream";
  if (trains && first_weights.count(name) > 0) return Decides::start;
  if (training_of_model.count(name) > 0) return Decides::course;
  if (selector == "model" || name == "model") return Decides::function;
  if (trains && (selector == "loss" || name == "loss")) return Decides::function;
  if (trains && (sequences.count(name) > 0 || ends.count(name) > 0)) return Decides::function;
  if (command == "generate" && sampler.count(name) > 0) return Decides::function;
  // What a solve starts from is compared number by number.
  if (trains ? course.count(name) > 0 || selector == "optimiser" || selector == "schedule"
             : name == "weights")
    return Decides::course;
  return Decides::nothing;
}

/// A configuration as it is written: "[command]", then lines "key = value".
struct Configuration {
  explicit Configuration(const std::string& text) {
    for (const cli::ConfigEntry& entry : cli::parse_config_text("", text)) {
      command = entry.section;
      values[entry.key] = entry.value;
    }
    // A sampler is a name for an eta.
    const bool named = !has("eta") || values["eta"].front() == '-';
    if (command == "generate" && named)
      values["eta"] = value("sampler", "ddpm") == "ddim" ? "0" : "1";
  }

  bool has(const std::string& name) const { return values.count(name) > 0; }
  std::string value(const std::string& name, const std::string& otherwise) const {
    return has(name) ? values.at(name) : otherwise;
  }

  std::string command;
  std::map<std::string, std::string> values;
};

bool same_value(const std::string& name, const std::string& a, const std::string& b) {
  if (a == b) return true;
  if (name == "pipeline") return !delays(a) && !delays(b);
  std::error_code code;
  return files.count(name) > 0 && std::filesystem::equivalent(a, b, code);
}

/// "--activation relu"; for a switch "--layer-norm" or "no --layer-norm"; "no --input".
std::string as_given(const OptionSpec& option, const std::string& value) {
  const std::string& name = option.name;
  if (name == "eta") return fmt::format("eta {} (--sampler, --eta)", value);
  const bool is_switch = option.kind == OptionSpec::Kind::flag;
  if (value.empty() || (is_switch && value == "false")) return "no --" + name;
  return is_switch ? "--" + name : fmt::format("--{} {}", name, value);
}

Error refusal(const std::string& path, const std::string& ours, const std::string& theirs) {
  return input_error(
      "{}: '{}' was written with {}, which is another function; give the options of that run, or "
      "start afresh without --restart",
      ours, path, theirs);
}

}  // namespace

std::vector<std::string> differing_course(const std::string& path, const std::string& stored_text,
                                          const std::string& running_text) {
  const Configuration stored(stored_text), running(running_text);
  std::vector<std::string> sentences;
  if (running.command == "evaluate" || running.command.empty()) return sentences;
  Names replaced;  // selectors with another entry, whose own options say no more
  const cli::Options options = cli::options_of(cli::find_command(commands(), running.command));
  for (const cli::Option& option : options.all()) {
    const std::string &name = option.spec.name, &selector = option.selector;
    const Decides decides = what_decides(running.command, name, selector);
    // Options of entries that were not chosen are in no configuration, nor what a file decided.
    const bool known = running.has(name) || selector.empty();
    const bool by_file = !stored.has(name) && stored.has("weights") && selector == "model";
    if (decides == Decides::nothing || !known || by_file || replaced.count(selector) > 0) continue;
    const std::string otherwise = options.defaults().text(name);
    const std::string theirs = stored.value(name, otherwise);
    const std::string ours = running.value(name, otherwise);
    if (same_value(name, ours, theirs)) continue;
    replaced.insert(name);
    const std::string given = as_given(option.spec, ours), before = as_given(option.spec, theirs);
    if (decides == Decides::function) throw refusal(path, given, before);
    sentences.push_back(
        decides == Decides::start
            ? fmt::format("{} changes nothing: the weights come from '{}'", given, path)
            : fmt::format("{}: '{}' was written with {}; the run goes on with the new value", given,
                          path, before));
  }
  return sentences;
}

void require_same_run(const parallel::Communicator& comm, const std::string& path,
                      const std::string& stored, const std::string& running) {
  parallel::agree(comm, [&] {
    if (!comm.is_root()) return;
    for (const std::string& sentence : differing_course(path, stored, running))
      log::warn("{}", sentence);
  });
}

bool same_option(const std::string& stored, const std::string& running, const std::string& name) {
  return Configuration(stored).value(name, "") == Configuration(running).value(name, "");
}

}  // namespace deeppcr::app
