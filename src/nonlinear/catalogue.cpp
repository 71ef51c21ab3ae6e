#include "deeppcr/nonlinear/catalogue.hpp"

#include <algorithm>
#include <utility>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/options.hpp"
#include "deeppcr/nonlinear/newton.hpp"
#include "deeppcr/nonlinear/sequential.hpp"
#include "deeppcr/nonlinear/shooting.hpp"
#include "deeppcr/nonlinear/windowed.hpp"
#include "nonlinear/automatic.hpp"
#include "nonlinear/pipeline.hpp"
#include "nonlinear/wavefront.hpp"

namespace deeppcr::nonlinear {

namespace {

constexpr Index kMostBatches = 1'000'000;
constexpr Index kMostChunks = 1'000'000'000'000;

OptionSpec linear_option() {
  std::string help = "solver of the linear chains; left out, scan for Jacobians of diagonals";
  for (const auto& entry : linear::catalogue())
    help += fmt::format("\n{}: {}", entry.name, entry.help);
  return word_option("linear", "hybrid", linear::names(), std::move(help));
}

OptionSpec jacobian_option() {
  return word_option("jacobian", "dense",
                     {"dense", "diagonal", "probe", "paired", "linear-part", "gaussian"},
                     "dense, or in its place its diagonal, the diagonal estimated from one random "
                     "column, the 2 x 2 blocks of h and c of an lstm's layer, what is linear in a "
                     "step (resnet: the identity), or what it would be "
                     "for Gaussian data (samplers); the result is the same");
}

constexpr const char* kDamping = "clip:1.2";
OptionSpec damping_option() {
  return text_option(
      "damping", kDamping,
      "of the Jacobians diagonal, probe and paired: clip:C keeps their entries within -C and "
      "C, none takes them as they are");
}

OptionSpec chunks_option() {
  return whole_option("chunks", 0, 0, kMostChunks,
                      "chunks, as many as ranks or more; 0: one a rank");
}

OptionSpec coupling_option() {
  return word_option("coupling", "auto", {couplings().words.begin(), couplings().words.end()},
                     "Jacobian of a chunk that corrects the starts of the next: zero (none), "
                     "identity, first-order, dense; auto: by the contraction measured");
}

OptionSpec accelerate_option() {
  return word_option("accelerate", "none", {"none", "anderson", "ngmres"},
                     "PETSc's solver on the chunk starts: none, anderson, ngmres");
}

std::unique_ptr<Solver> make_sequential(const Settings& settings) {
  return std::make_unique<Sequential>(settings.tolerance);
}

/// The options of a solver's class, with what all have.
template <typename Options>
Options options_from(const Settings& settings) {
  Options options;
  options.tolerance = settings.tolerance;
  if (settings.max_iterations >= 0) options.max_iterations = settings.max_iterations;
  options.fallback = settings.fallback;
  return options;
}

void refuse_damping(const OptionValues& own, Jacobian jacobian) {
  const std::string damping = own.text("damping");
  if (damping == kDamping) return;
  throw input_error("--damping {} goes with --jacobian diagonal, probe or paired, not with {}",
                    damping, name(jacobian));
}

std::unique_ptr<Solver> windowed(const Settings& settings, Jacobian jacobian) {
  auto options = options_from<WindowedOptions>(settings);
  options.jacobian = jacobian;
  const bool known = jacobian == Jacobian::linear_part || jacobian == Jacobian::gaussian;
  if (known) refuse_damping(settings.own, jacobian);
  options.damping = damping_from(settings.own.text("damping"));
  return std::make_unique<Windowed>(options);
}

/// With another Jacobian than the dense one: all steps in one window.
std::unique_ptr<Solver> make_newton(const Settings& settings) {
  const Jacobian jacobian = jacobian_from(settings.own.word("jacobian"));
  if (jacobian != Jacobian::dense) return windowed(settings, jacobian);
  refuse_damping(settings.own, jacobian);
  auto options = options_from<NewtonOptions>(settings);
  options.linear = settings.own.word("linear");
  return std::make_unique<Newton>(options);
}

std::unique_ptr<Solver> make_windowed(const Settings& settings) {
  const Jacobian jacobian = settings.own.given("jacobian")
                                ? jacobian_from(settings.own.word("jacobian"))
                                : Jacobian::diagonal;
  if (jacobian == Jacobian::dense)
    throw input_error("--jacobian dense goes with --nonlinear newton, not with windowed");
  return windowed(settings, jacobian);
}

/// Jacobi and Gauss-Seidel (Song et al.) have no coupling, Jacobi a chunk for each step.
std::unique_ptr<Solver> make_shooting(const Settings& settings) {
  auto options = options_from<ShootingOptions>(settings);
  const OptionValues& own = settings.own;
  options.coupling = own.has("coupling") ? couplings().find(own.word("coupling")) : Coupling::zero;
  if (own.has("accelerate")) options.accelerate = own.word("accelerate");
  if (options.accelerate != "none" && options.coupling == Coupling::automatic)
    throw input_error(
        "--accelerate {} needs a --coupling of its own: zero, identity, first-order or dense",
        options.accelerate);
  options.chunks = own.has("chunks") ? own.whole("chunks") : kMostChunks;  // cut to a step each
  return std::make_unique<Shooting>(options);
}

const Words<PipelineLayout> kLayouts{"pipeline layout",
                                     {"auto", "contiguous", "interleaved", "samples"}};

std::vector<OptionSpec> pipeline_options() {
  return {
      word_option("pipeline-layout", "auto", {kLayouts.words.begin(), kLayouts.words.end()},
                  "contiguous: a range of steps a rank; interleaved: blocks of steps dealt to "
                  "the ranks in turns; samples: all steps on each rank, for its own samples; "
                  "auto: interleaved where a rank gets two blocks"),
      whole_option("micro-batches", 0, 0, kMostBatches,
                   "parts of the batch that follow each other through the ranks; 0: by formula"),
      whole_option("block-steps", 0, 0, kMostChunks,
                   "steps of a block of the interleaved layout; 0: by formula")};
}

std::unique_ptr<Solver> make_pipeline(const Settings& settings) {
  const std::string& layout = settings.own.word("pipeline-layout");
  const PipelineOptions options{kLayouts.find(layout), settings.own.whole("micro-batches"),
                                settings.own.whole("block-steps")};
  if (options.block_steps > 0 && options.layout != PipelineLayout::interleaved)
    throw input_error("--block-steps {} goes with --pipeline-layout interleaved, not with {}",
                      options.block_steps, layout);
  if (options.micro_batches > 0 && options.layout == PipelineLayout::samples)
    throw input_error(
        "--micro-batches {} does not go with --pipeline-layout samples, where each rank has one; "
        "leave it out",
        options.micro_batches);
  return std::make_unique<Pipeline>(options, settings.tolerance);
}

std::unique_ptr<Solver> make_wavefront(const Settings& settings) {
  return std::make_unique<Wavefront>(settings.own.whole("chunk-steps"), settings.tolerance);
}

/// Left to the sizes, then to the look at the chain: a pipeline, shooting, Newton's method or
/// sequential execution. Whoever gives chunks wants them.
std::unique_ptr<Solver> make_automatic(const Settings& settings) {
  auto options = options_from<ShootingOptions>(settings);
  options.chunks = settings.own.whole("chunks");
  options.newton = true;
  options.newton_options = options_from<NewtonOptions>(settings);
  if (options.chunks > 0) return std::make_unique<Shooting>(options);
  return std::make_unique<Automatic>(options);
}

/// Backward by the solver of --linear, where an entry has one.
std::string by_linear(const OptionValues& own) {
  return own.has("linear") ? own.word("linear") : "hybrid";
}
std::string by_substitution(const OptionValues&) { return "sequential"; }
std::string by_pipeline(const OptionValues&) { return "pipeline"; }
std::string by_wavefront(const OptionValues&) { return "wavefront"; }
std::string by_shooting(const OptionValues&) { return "shooting"; }
std::string by_plan(const OptionValues&) { return "auto"; }

Catalogue<CatalogueEntry>& table() {
  static Catalogue<CatalogueEntry> all{
      "nonlinear solver",
      {
          {"auto",
           "pipeline, shooting, newton or sequential, whichever promises to be fastest",
           {chunks_option()},
           true,
           by_plan,
           make_automatic},
          {"sequential",
           "one step after another, rank after rank: the baseline",
           {},
           false,
           by_substitution,
           make_sequential,
           false,
           true},
          {"pipeline", "micro-batches behind each other through the ranks: exact, for any chain",
           pipeline_options(), false, by_pipeline, make_pipeline},
          {"wavefront",
           "stacked recurrent cells: layers on ranks, each a chunk of time behind the one below",
           {whole_option("chunk-steps", 0, 0, kMostChunks,
                         "time steps of a chunk of a wavefront; 0: by formula")},
           false,
           by_wavefront,
           make_wavefront,
           true},
          {"newton",
           "all steps at once, by Newton's method",
           {linear_option(), jacobian_option(), damping_option()},
           true,
           by_linear,
           make_newton},
          {"shooting",
           "chunks of steps at once, each one step after another",
           {chunks_option(), coupling_option(), accelerate_option()},
           true,
           by_shooting,
           make_shooting},
          {"windowed",
           "all steps at once with a diagonal in place of the Jacobian",
           {jacobian_option(), damping_option()},
           true,
           by_linear,
           make_windowed},
          {"jacobi",
           "shooting without coupling, with a chunk for each step",
           {},
           true,
           by_shooting,
           make_shooting},
          {"jacobi-gauss-seidel",
           "shooting without coupling, with --chunks chunks",
           {chunks_option()},
           true,
           by_shooting,
           make_shooting},
          {"gauss-seidel",
           "shooting with one chunk, which is sequential execution",
           {},
           false,
           by_substitution,
           make_sequential,
           false,
           true},
      }};
  return all;
}

}  // namespace

std::unique_ptr<Solver> CatalogueEntry::make(Settings settings) const {
  settings.own = OptionValues(options, settings.own);
  return make_with(settings);
}

std::string CatalogueEntry::backward_for(const OptionValues& own) const {
  return backward ? backward(OptionValues(options, own)) : "sequential";
}

const std::deque<CatalogueEntry>& catalogue() { return table().entries(); }

void add_to_catalogue(CatalogueEntry entry) { table().add(std::move(entry)); }

const CatalogueEntry& find(const std::string& name) { return table().find(name); }

}  // namespace deeppcr::nonlinear
