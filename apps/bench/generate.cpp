// Diffusion sampling: all steps by sweeps against one step after another.
#include "app/generate.hpp"

#include <algorithm>
#include <cmath>
#include <thread>

#include "app/files.hpp"
#include "deeppcr/nonlinear/sequential.hpp"
#include "suites.hpp"
#include "wide_denoiser.hpp"

namespace deeppcr::bench {
namespace {

using nonlinear::Jacobian;

struct Case {
  Index steps;
  int hidden;
  Index samples;
  double eta;
  std::string precision;
  const models::Denoiser& denoiser;
  double batch_seconds = 0;  ///< of a batch of all steps

  bool single() const { return precision == "single"; }
  models::SamplerOptions sampler() const {
    models::SamplerOptions options;
    options.steps = static_cast<int>(steps);
    options.eta = eta;
    options.precision =
        single() ? models::NetworkPrecision::float32 : models::NetworkPrecision::float64;
    return options;
  }
  std::string name() const { return eta == 0 ? "ddim" : "ddpm"; }
  Row row(const std::string& what, const std::string& method, int ranks) const {
    return {"generate", what, method, ranks, steps, hidden, samples, precision};
  }
};

/// A batch of all steps against the same evaluations one by one; seconds of the batch.
double add_batch_row(Harness& harness, const Case& c) {
  const models::DenoisingChain chain(c.denoiser, c.sampler(), 1);
  const Index n = chain.width();
  Buffer<Real> z((c.steps + 1) * n), out(c.steps * n);
  const States states(z.data(), {c.steps + 1, 1, n}), values(out.data(), {c.steps, 1, n});
  chain.start(states[0]);
  chain.propagate({0, c.steps}, states[0], states.slice(1, c.steps + 1));
  const ConstStates in = states.slice(0, c.steps);
  const auto seconds =
      harness.race({{"one by one", 1,
                     [&] {
                       for (Index l = 0; l < c.steps; ++l)
                         chain.value({l, l + 1}, in.slice(l, l + 1), values.slice(l, l + 1));
                     }},
                    {"one batch", 1, [&] {
                       chain.value({0, c.steps}, in, values);
                     }}});
  Row row = c.row("all evaluations", "one batch", 1);
  row.seconds = seconds[1];
  row.compare("one by one", seconds[0]);
  row.gflops = 2e-9 * static_cast<double>(c.steps) * c.denoiser.shape().blocks * c.hidden *
               c.hidden / row.seconds.median;
  if (c.hidden == 1024 && c.single()) row.demand(5.5);
  if (c.hidden == 2048 && c.single()) row.demand(9);
  harness.add(row);
  return seconds[1].median;
}

/// What a sampler does, with what it is expected to cost.
struct Method {
  const char* name;
  Jacobian jacobian;
  double evaluations;                             ///< of a step, about, at tolerance 1e-2 to 1e-3
  enum class Columns { none, one, all } columns;  ///< of jvp that go with each evaluation
  bool sweeps = true, open = false;
};
constexpr Method kSequential{"sequential", Jacobian::gaussian, 1, Method::Columns::none, false};
constexpr Method kMethods[] = {
    {"auto", Jacobian::gaussian, 2, Method::Columns::none, true, true},
    {"gaussian", Jacobian::gaussian, 2, Method::Columns::none},
    {"picard", Jacobian::linear_part, 3, Method::Columns::none},
    {"quasi-newton+probe", Jacobian::probe, 3, Method::Columns::one},
    {"quasi-newton+diagonal", Jacobian::diagonal, 2, Method::Columns::all},
    {"newton", Jacobian::dense, 4, Method::Columns::all}};

/// One method at one tolerance on so many ranks.
struct Plan {
  const Method& method;
  double tolerance;
  int ranks;
  double expected_seconds;  ///< of one run, about
};

/// A plan with room for its states.
class Run {
 public:
  Run(Harness& harness, const Case& c, const Plan& plan, bool once)
      : plan_(plan),
        once_(once),
        comm_(harness.first(plan.ranks)),
        chain_(c.denoiser, c.sampler(), c.samples),
        trajectory_(comm_, parallel::BlockLayout::replicated(chain_.num_steps(), comm_.size()),
                    c.samples, chain_.width()),
        config_(config(c, plan)),
        solver_(config_.solver) {
    chain_.start(trajectory_.input());
  }
  States states() { return trajectory_.whole(); }
  Contender contender() {
    return {plan_.method.name, plan_.ranks,
            [this] {
              app::GenerateConfig chosen = config_;
              if (chosen.method.open) app::choose_method(chain_, trajectory_, chosen);
              if (!chosen.method.sweeps) {
                report_ = {};
                report_.evaluations = chain_.num_steps();
                nonlinear::propagate_samples(comm_, chain_, states());
                return;
              }
              chain_.fill_guess(states());
              report_ = solver_.solve(chain_, trajectory_);
            },
            once_};
  }
  double error(ConstState expected) {
    const State last = states()[chain_.num_steps()];
    double largest = 0;
    for (Index i = 0; i < last.size(); ++i)
      largest = std::max(largest, std::abs(last.data()[i] - expected.data()[i]));
    return largest;
  }
  const nonlinear::SolveReport& report() const { return report_; }
  double evaluations_per_step() const {
    return static_cast<double>(report_.evaluations) / static_cast<double>(chain_.num_steps());
  }
  double tolerance() const { return plan_.tolerance; }
  int ranks() const { return plan_.ranks; }
  const char* name() const { return plan_.method.name; }

 private:
  static app::GenerateConfig config(const Case& c, const Plan& plan) {
    const Jacobian jacobian = plan.method.jacobian;
    app::GenerateConfig made;
    made.method = {plan.method.name, "", jacobian, false, plan.method.sweeps, plan.method.open};
    made.sampler = c.sampler();
    made.solver.jacobian = jacobian;
    made.solver.window = app::default_window(jacobian, plan.ranks, c.samples);
    made.solver.extrapolate = true;
    made.solver.sampler = true;
    made.solver.tolerance = {0, plan.tolerance};
    return made;
  }

  Plan plan_;
  bool once_;
  const parallel::Communicator& comm_;
  models::DenoisingChain chain_;
  sequence::Trajectory trajectory_;
  app::GenerateConfig config_;
  nonlinear::Windowed solver_;
  nonlinear::SolveReport report_;
};

/// What is asked for: float32, one sample, tolerance 1e-2, the best method.
void demand(Row& row, const Case& c, const Run& run) {
  if (c.samples != 1 || !c.single() || run.tolerance() != 1e-2) return;
  if (std::string(run.name()) != "gaussian") return;
  if (c.hidden == 1024) row.demand(run.ranks() == 1 ? 1.4 : 2.5);
  if (c.hidden == 2048) row.demand(run.ranks() == 1 ? 2.4 : 4.5);
}

/// Seconds of one run, about: by the number of evaluations, at the speed of a batch of all steps.
double expected_seconds(const Case& c, const Method& method, int ranks) {
  const int n = c.denoiser.shape().latent;
  const int columns = method.columns == Method::Columns::none  ? 0
                      : method.columns == Method::Columns::one ? 1
                                                               : n;
  const double evaluations = method.evaluations * (1 + columns) * static_cast<double>(c.samples);
  return c.batch_seconds * evaluations / ranks;
}

/// Every method that was asked for, at two tolerances, on one rank and on all.
std::vector<Plan> make_plans(const Harness& harness, const Case& c) {
  const int P = harness.team().size();
  const std::vector<std::string>& asked = harness.settings().methods;
  std::vector<Plan> plans;
  if (P > 1 && c.samples > 1) plans.push_back({kSequential, 0, P, 0});
  for (const double tolerance : {1e-2, 1e-3}) {
    for (const Method& method : kMethods) {
      if (!asked.empty() && std::find(asked.begin(), asked.end(), method.name) == asked.end())
        continue;
      for (int ranks = 1; ranks <= P; ranks = ranks < P ? P : P + 1)
        plans.push_back({method, tolerance, ranks, expected_seconds(c, method, ranks)});
    }
  }
  return plans;
}

/// One row against one core, one against all cores.
void add_run_rows(Harness& harness, const Case& c, Run& run, double error, const Seconds& seconds,
                  const std::vector<std::pair<std::string, Seconds>>& baselines) {
  std::string what = c.name();
  if (run.tolerance() > 0) {
    what += fmt::format(", tolerance {:g}: {:.2f} evaluations a step, error {:.1e}",
                        run.tolerance(), run.evaluations_per_step(), error);
  }
  for (std::size_t b = 0; b < baselines.size(); ++b) {
    Row row = c.row(what, run.name(), run.ranks());
    row.seconds = seconds;
    row.iterations = run.report().iterations;
    row.compare(baselines[b].first, baselines[b].second);
    if (b == 0) demand(row, c, run);
    harness.add(row);
  }
}

/// A row without times for what takes too long.
void add_prediction(Harness& harness, const Case& c, const Plan& plan, const Seconds& sequential) {
  Row row = c.row(fmt::format("{}, tolerance {:g}", c.name(), plan.tolerance), plan.method.name,
                  plan.ranks);
  row.compare("sequential, 1 core", sequential);
  row.predicted = sequential.median / plan.expected_seconds;
  row.met = fmt::format("left out: about {:.0f} s", plan.expected_seconds);
  harness.add(row);
}

template <typename T>
void add_sampling_rows(Harness& harness, const Case& c) {
  const models::DenoisingChain chain(c.denoiser, c.sampler(), c.samples);
  const int cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  Buffer<Real> z((c.steps + 1) * c.samples * chain.width()), threaded(z.size());
  const std::array<Index, 3> shape{c.steps + 1, c.samples, chain.width()};
  const States states(z.data(), shape);
  chain.start(states[0]);
  std::copy(states[0].begin(), states[0].end(), threaded.begin());
  ThreadedSampler<T> threads(c.denoiser, chain, cores);
  std::vector<std::unique_ptr<Run>> runs;
  std::vector<Plan> left_out;
  const Settings& settings = harness.settings();
  for (const Plan& plan : make_plans(harness, c)) {
    if (plan.expected_seconds > settings.most_seconds) {
      left_out.push_back(plan);
      continue;
    }
    const bool once = plan.expected_seconds * (settings.repeats + 1) > settings.most_seconds;
    runs.push_back(std::make_unique<Run>(harness, c, plan, once));
  }
  const std::string on_all = fmt::format("sequential, {} threads", cores);
  std::vector<Contender> contenders{
      {"sequential", 1,
       [&] {
         chain.propagate({0, c.steps}, states[0], states.slice(1, c.steps + 1));
       }},
      {on_all, 1, [&] {
         threads.run({threaded.data(), shape});
       }}};
  for (const auto& run : runs) contenders.push_back(run->contender());
  const std::vector<Seconds> seconds = harness.race(contenders);
  Row row = c.row(c.name(), on_all, 1);
  row.seconds = seconds[1];
  row.compare("sequential, 1 core", seconds[0]);
  harness.add(row);
  for (std::size_t r = 0; r < runs.size(); ++r) {
    Run& run = *runs[r];
    const double error = harness.team().max(harness.takes_part(1) ? run.error(states[c.steps]) : 0);
    add_run_rows(harness, c, run, error, seconds[r + 2],
                 {{"sequential, 1 core", seconds[0]}, {on_all, seconds[1]}});
  }
  for (const Plan& plan : left_out) add_prediction(harness, c, plan, seconds[0]);
  harness.show();
}

void add_network_rows(Harness& harness, Case c) {
  const bool quick = harness.settings().quick;
  c.batch_seconds = add_batch_row(harness, c);
  for (const Index samples : harness.batches_or({1, 4, 16})) {
    for (const double eta : quick ? std::vector<double>{1} : std::vector<double>{1, 0}) {
      c.samples = samples;
      c.eta = eta;
      c.single() ? add_sampling_rows<float>(harness, c) : add_sampling_rows<double>(harness, c);
    }
  }
}

}  // namespace

std::vector<std::string> sampling_methods() {
  std::vector<std::string> names;
  for (const Method& method : kMethods) names.emplace_back(method.name);
  return names;
}

void run_generate(Harness& harness) {
  const auto trained = app::read_denoiser(harness.team(), app::own_networks());
  std::vector<std::string> precisions = harness.settings().precisions;
  if (precisions.empty()) precisions = {"single", "double"};
  for (const int hidden : harness.widths_or({256, 512, 1024, 2048})) {
    const int least = trained.shape().hidden;
    if (hidden < least) {
      harness.note(
          fmt::format("generate: width {} is left out, the trained network has {}", hidden, least));
      continue;
    }
    const models::Denoiser denoiser = widened(trained, hidden);
    for (const std::string& precision : precisions)
      for (const Index steps : harness.steps_or({1000}))
        add_network_rows(harness, {steps, hidden, 1, 1, precision, denoiser});
  }
}

}  // namespace deeppcr::bench
