#include "deeppcr/app/config.hpp"

#include <filesystem>
#include <vector>

#include "deeppcr/app/option_values.hpp"
#include "deeppcr/app/storage.hpp"
#include "deeppcr/app/suggest.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/linear/catalogue.hpp"

namespace deeppcr::app {
namespace {

namespace po = boost::program_options;

constexpr Index kMostSteps = 1'000'000'000'000;
constexpr Index kMostBatch = 1'000'000'000;
/// A block [n x n] is counted with the 32-bit integers of BLAS.
constexpr Index kMostWidth = 32768;
constexpr Index kMostSeed = 1'000'000'000'000'000;
constexpr Index kMostIterations = 50;
constexpr const char* kDefaultCheckpoint = "deeppcr.ckpt.h5";

std::vector<std::string> linear_names() {
  std::vector<std::string> names;
  for (const auto& entry : linear::catalogue()) names.emplace_back(entry.name);
  return names;
}

std::vector<std::string> backward_names() {
  std::vector<std::string> names{"same", "auto", "linear"};
  for (const std::string& name : linear_names()) names.push_back(name);
  return names;
}

/// Shooting by its own name and by those of its special cases.
const std::vector<std::string> kNonlinear{
    "newton", "shooting", "auto", "jacobi", "jacobi-gauss-seidel", "gauss-seidel", "sequential"};

/// The entries of a catalogue, each with its help line.
template <typename Catalogue>
std::string explain(const Catalogue& catalogue) {
  std::string lines;
  for (const auto& entry : catalogue)
    lines += fmt::format("{}{}: {}", lines.empty() ? "" : "\n", entry.name, entry.help);
  return lines;
}

bool given(const po::variables_map& options, const char* name) {
  return options.count(name) > 0 && !options[name].defaulted();
}

/// A group's title, with the reason when its options cannot be used.
std::string title(const std::string& name) {
  const std::string reason = storage::unavailable();
  return reason.empty() ? name : fmt::format("{} ({})", name, reason);
}

void add_data_options(po::options_description& options) {
  po::options_description group("Samples and weights", kHelpColumns);
  auto add = group.add_options();
  add("data", text("NAME", "random"),
      "random: normal noise as z_0; fashion-mnist, or a folder with IDX files: images through a "
      "linear embedding");
  add("input", text("FILE"), "HDF5 file with /inputs [B, features] and /labels [B]");
  add("weights", text("FILE"), "HDF5 file with the layers of an mlp or resnet");
  add("save-weights", text("FILE"), "write the weights of this run");
  options.add(group);
}

void add_solver_options(po::options_description& options) {
  po::options_description group("Solver", kHelpColumns);
  auto add = group.add_options();
  add("nonlinear", one_of("nonlinear", "newton", kNonlinear),
      "newton: all steps at once\nshooting: chunks of steps at once, each one step after "
      "another\nauto: shooting, newton or sequential, whichever promises to be "
      "fastest\njacobi, jacobi-gauss-seidel, gauss-seidel: shooting without coupling, with L, "
      "--chunks and 1 chunks\nsequential: one step after another, the baseline");
  add("linear", one_of("linear", "hybrid", linear_names()), explain(linear::catalogue()).c_str());
  add("chunks", whole_number("chunks", 0, 0, kMostSteps),
      "shooting: chunks, as many as ranks or more; 0: one a rank");
  add("coupling", one_of("coupling", "auto", nonlinear::coupling_names()),
      "shooting: Jacobian of a chunk that corrects the starts of the next: zero (none), identity, "
      "first-order, dense; auto: by the contraction measured");
  add("backward", one_of("backward", "same", backward_names()),
      "gradient: backward pass by a solver of linear chains by its name, by that of --linear "
      "(linear), or as is predicted to be fastest (auto); same: as --nonlinear");
  add("accelerate", one_of("accelerate", "none", nonlinear::acceleration_names()),
      "shooting: PETSc's solver on the chunk ends: none, anderson, ngmres");
  add("jacobian", one_of("jacobian", "dense", {"dense", "diagonal", "probe", "linear-part"}),
      "newton: dense, or in its place its diagonal, the diagonal estimated from one random column, "
      "or "
      "what is linear in a step (resnet: the identity); the result is the same");
  add("rtol", real_number("rtol", "1e-10", 0, 1),
      "stop at this residual, relative to the largest state");
  add("atol", real_number("atol", "0", 0, 1e300), "or at this residual, absolute");
  add("max-iterations", whole_number("max-iterations", kMostIterations, 0, 1'000'000),
      "Newton iterations or corrections of shooting at most; at the default shooting takes as many "
      "as there are chunks, if need be");
  add("no-fallback", flag(),
      "do not end by sequential substitution where the iterations do not converge");
  add("guess", text("WHAT", "copy"),
      "first states: copy (of z_0), zero, random, coarse:K (a resnet of every K-th step with K "
      "times the scale), or a trace or checkpoint FILE");
  add("verify", flag(), "run sequential execution too, on the same ranks, and compare");
  options.add(group);
}

/// Whether an option asks for something: it has another value than when it is left out.
bool asked_for(const po::variables_map& options, const std::string& name) {
  if (name == "checkpoint-every" || name == "max-hours") return real_of(options, name) > 0;
  if (name == "chunks") return whole_of(options, name) > 0;
  const std::string value = text_of(options, name);
  const char* idle = name == "guess"          ? "copy"
                     : name == "data"         ? "random"
                     : name == "trace-states" ? "none"
                     : name == "coupling"     ? "auto"
                     : name == "accelerate"   ? "none"
                                              : "";
  return value != idle;
}

/// Options of shooting that the method has no use for.
void refuse_shooting_contradictions(const po::variables_map& options, const std::string& method) {
  const bool chunked = method == "shooting" || method == "auto";
  const auto only = [&](const char* name, bool allowed, const char* methods) {
    if (allowed || !asked_for(options, name)) return;
    throw input_error("--{} goes with --nonlinear {}, not with {}; leave it out", name, methods,
                      method);
  };
  only("coupling", chunked, "shooting or auto");
  only("accelerate", method == "shooting", "shooting");
  only("chunks", chunked || method == "jacobi-gauss-seidel",
       "shooting, auto or jacobi-gauss-seidel");
  const std::string coupling = text_of(options, "coupling");
  if (text_of(options, "accelerate") != "none" && coupling == "auto")
    throw input_error(
        "--accelerate {} needs a --coupling of its own: zero, identity, first-order or dense",
        text_of(options, "accelerate"));
}

/// Options that only make sense with another one, or without it.
void refuse_contradictions(const po::variables_map& options) {
  const auto without = [&](const char* name, const char* other, const char* why) {
    if (asked_for(options, name) && asked_for(options, other))
      throw input_error("--{} and --{} exclude each other: {}; leave one out", name, other, why);
  };
  without("restart", "guess", "both say where to start");
  without("data", "input", "both give the samples");
  const std::string method = text_of(options, "nonlinear");
  if (method == "sequential" || method == "gauss-seidel") {
    for (const char* name : {"guess", "restart", "checkpoint", "checkpoint-every", "max-hours"}) {
      if (!asked_for(options, name)) continue;
      throw input_error(
          "--{} goes with iterations, and --nonlinear {} has none; leave it out "
          "or use --nonlinear newton or shooting",
          name, method);
    }
  }
  if (text_of(options, "jacobian") != "dense" && method != "newton")
    throw input_error("--jacobian {} goes with --nonlinear newton; leave it out",
                      text_of(options, "jacobian"));
  refuse_shooting_contradictions(options, method);
  if (real_of(options, "rtol") == 0 && real_of(options, "atol") == 0)
    throw input_error("--rtol 0 with --atol 0 can never be reached; give one a value above 0");
}

void refuse_files_without_io(const po::variables_map& options) {
  const std::string reason = storage::unavailable();
  if (reason.empty()) return;
  for (const char* name :
       {"trace", "checkpoint", "restart", "output", "weights", "input", "save-weights", "data"}) {
    if (asked_for(options, name))
      throw input_error("--{} {}: {}", name, text_of(options, name), reason);
  }
}

void check_trace_states(const std::string& which) {
  const bool every = which.rfind("every:", 0) == 0 && which.size() > 6 &&
                     which.find_first_not_of("0123456789", 6) == std::string::npos &&
                     which.find_first_not_of('0', 6) != std::string::npos && which.size() < 20;
  if (every || which == "all" || which == "last" || which == "none") return;
  throw input_error(
      "--trace-states {}: allowed: all, last, none, every:K with K from 1, such as "
      "every:64",
      which);
}

/// The option for layers in a step that a weights file of the chosen model decides; empty without.
std::string layers_option(const po::variables_map& options) {
  for (const models::CatalogueEntry& entry : models::catalogue())
    if (entry.name == text_of(options, "model") && entry.weights)
      return entry.weights->layers_option;
  return "";
}

std::string folder_of(const std::string& file) {
  const std::filesystem::path parent = std::filesystem::path(file).parent_path();
  return parent.empty() ? "." : parent.string();
}

}  // namespace

std::string backward_method(const SolverConfig& solver) {
  if (solver.backward != "same") return solver.backward;
  if (solver.method == SolverConfig::Method::newton) return "linear";
  if (solver.method == SolverConfig::Method::sequential) return "sequential";
  return solver.name == "auto" ? "auto" : "shooting";
}

std::string FilesConfig::checkpoint_path() const {
  if (!checkpoint.empty()) return checkpoint;
  return trace.empty() ? kDefaultCheckpoint
                       : (std::filesystem::path(folder_of(trace)) / kDefaultCheckpoint).string();
}

std::string FilesConfig::folder() const { return folder_of(checkpoint_path()); }

bool comes_from_file(const po::variables_map& options, const std::string& name) {
  const bool chain = name == "steps" || name == "width" || name == layers_option(options);
  const char* file = chain ? "weights" : "input";
  const bool size = chain || name == "batch";
  return size && options[name].defaulted() && !text_of(options, file).empty();
}

void add_model_options(po::options_description& options, DefaultSizes sizes,
                       const std::vector<OfferedEntry>& more_models) {
  std::vector<OfferedEntry> entries = offered(models::catalogue());
  entries.insert(entries.end(), more_models.begin(), more_models.end());
  po::options_description group("Model", kHelpColumns);
  add_selector(group, "model", "resnet", entries);
  auto add = group.add_options();
  add("steps", whole_number("steps", sizes.steps, 0, kMostSteps), "length L of the chain");
  add("width", whole_number("width", sizes.width, 1, kMostWidth), "numbers n in a state");
  add("batch", whole_number("batch", sizes.batch, 1, kMostBatch), "samples B");
  add("seed", whole_number("seed", 1, 0, kMostSeed), "of weights, noise and labels");
  add_entry_options(group, "model", entries);
  options.add(group);
}

po::options_description run_file_options(const std::string& minutes) {
  po::options_description group(title("Files"), kHelpColumns);
  auto add = group.add_options();
  add("trace", text("FILE"), "history of the run, HDF5; readable while it runs");
  add("checkpoint", text("FILE"),
      "where checkpoints go; without it only a stop writes one, deeppcr.ckpt.h5 beside the trace "
      "or in the current folder");
  add("checkpoint-every", real_number("checkpoint-every", minutes, 0, 1e6),
      "minutes between checkpoints; 0: not by the clock");
  add("restart", text("FILE"), "go on from this checkpoint; auto: the newest intact one, if any");
  add("max-hours", real_number("max-hours", "0", 0, 1e6),
      "stop with a checkpoint after so many hours; 0: no limit");
  return group;
}

void add_file_options(po::options_description& options) {
  po::options_description group = run_file_options("0");
  auto add = group.add_options();
  add("trace-states", text("WHICH", "none"), "states to keep: all, last, none, every:K");
  add("output", text("FILE"), "write the results, HDF5");
  options.add(group);
}

void add_run_options(po::options_description& options) {
  add_model_options(options, DefaultSizes{});
  add_data_options(options);
  add_solver_options(options);
  add_file_options(options);
}

ChainConfig read_chain_config(const po::variables_map& options) {
  ChainConfig config;
  models::ModelOptions& model = config.model;
  model.model = text_of(options, "model");
  model.steps = whole_of(options, "steps");
  model.width = static_cast<int>(whole_of(options, "width"));
  model.seed = static_cast<std::uint64_t>(whole_of(options, "seed"));
  for (const models::CatalogueEntry& entry : models::catalogue())
    if (entry.name == model.model) model.own = entry_values(entry.options, options);
  config.batch = whole_of(options, "batch");
  config.data = text_of(options, "data");
  config.weights = text_of(options, "weights");
  config.input = text_of(options, "input");
  config.steps_given = given(options, "steps");
  config.width_given = given(options, "width");
  config.batch_given = given(options, "batch");
  return config;
}

void check_file_options(const po::variables_map& options) {
  check_trace_states(text_of(options, "trace-states"));
  if (asked_for(options, "trace-states") && !asked_for(options, "trace"))
    throw input_error("--trace-states needs --trace FILE, where the states go");
  if (asked_for(options, "checkpoint-every") && !asked_for(options, "checkpoint"))
    throw input_error("--checkpoint-every needs --checkpoint FILE");
}

FilesConfig read_files_config(const po::variables_map& options) {
  FilesConfig files;
  files.trace = text_of(options, "trace");
  files.trace_states = text_of(options, "trace-states");
  files.checkpoint = text_of(options, "checkpoint");
  files.minutes_to_save = real_of(options, "checkpoint-every");
  files.restart = text_of(options, "restart");
  files.max_hours = real_of(options, "max-hours");
  files.save_weights = text_of(options, "save-weights");
  files.output = text_of(options, "output");
  return files;
}

namespace {

/// The method by its name, and shooting's options.
void read_shooting(const po::variables_map& options, SolverConfig& solver) {
  using Method = SolverConfig::Method;
  solver.name = text_of(options, "nonlinear");
  const bool sequential = solver.name == "sequential" || solver.name == "gauss-seidel";
  solver.method = solver.name == "newton" ? Method::newton
                  : sequential            ? Method::sequential
                                          : Method::shooting;
  nonlinear::ShootingOptions& shooting = solver.shooting;
  solver.backward = text_of(options, "backward");
  shooting.coupling = nonlinear::coupling_from(text_of(options, "coupling"));
  shooting.acceleration = nonlinear::acceleration_from(text_of(options, "accelerate"));
  shooting.chunks = whole_of(options, "chunks");
  if (solver.name == "jacobi") shooting.chunks = kMostSteps;  // cut to a step each
  if (solver.name == "jacobi" || solver.name == "jacobi-gauss-seidel")
    shooting.coupling = nonlinear::Coupling::zero;
  shooting.rtol = solver.newton.rtol;
  shooting.atol = solver.newton.atol;
  const bool limited = whole_of(options, "max-iterations") != kMostIterations;
  shooting.max_sweeps = limited ? solver.newton.max_iterations : 0;
  shooting.fallback = solver.newton.fallback;
  shooting.newton = solver.name == "auto";
  shooting.newton_options = solver.newton;
}

}  // namespace

RunConfig read_run_config(const po::variables_map& options) {
  refuse_files_without_io(options);
  refuse_contradictions(options);
  RunConfig config;
  config.chain = read_chain_config(options);
  SolverConfig& solver = config.solver;
  solver.newton.linear = text_of(options, "linear");
  solver.newton.jacobian = nonlinear::jacobian_from(text_of(options, "jacobian"));
  solver.newton.rtol = real_of(options, "rtol");
  solver.newton.atol = real_of(options, "atol");
  solver.newton.max_iterations = static_cast<int>(whole_of(options, "max-iterations"));
  solver.newton.fallback = !is_set(options, "no-fallback");
  read_shooting(options, solver);
  check_file_options(options);
  solver.guess = text_of(options, "guess");
  solver.verify = is_set(options, "verify");
  config.files = read_files_config(options);
  return config;
}

}  // namespace deeppcr::app
