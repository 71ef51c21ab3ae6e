// Diffusion sampling: all steps by sweeps against one step after another.
#include "deeppcr/app/generate.hpp"

#include <algorithm>
#include <cmath>
#include <thread>

#include "deeppcr/app/diffusion_files.hpp"
#include "deeppcr/app/storage.hpp"
#include "suites.hpp"
#include "wide_denoiser.hpp"

namespace deeppcr::app::bench {
namespace {

models::SamplerOptions sampler(Index steps, double eta) {
  models::SamplerOptions options;
  options.steps = static_cast<int>(steps);
  options.eta = eta;
  options.precision = models::NetworkPrecision::float32;
  return options;
}

struct Case {
  Index steps;
  int hidden;
  Index samples;
  double eta;
  const models::Denoiser& denoiser;
};

/// A batch of all steps against the same evaluations one by one.
void add_batch_row(Harness& harness, const Case& c) {
  const models::DenoisingChain chain(c.denoiser, sampler(c.steps, c.eta), 1);
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
  Row row{"generate", "all evaluations", "one batch", 1, c.steps, c.hidden, 1, "single"};
  row.seconds = seconds[1];
  row.compare("one by one", seconds[0]);
  row.gflops = 2e-9 * static_cast<double>(c.steps) * c.denoiser.shape().blocks * c.hidden *
               c.hidden / row.seconds.median;
  if (c.hidden == 1024) row.demand(5.5);
  if (c.hidden == 2048) row.demand(9);
  harness.add(row);
}

struct Method {
  const char* name;
  nonlinear::Jacobian jacobian;
};
constexpr Method kMethods[] = {{"gaussian", nonlinear::Jacobian::gaussian},
                               {"picard", nonlinear::Jacobian::linear_part},
                               {"quasi-newton, probe", nonlinear::Jacobian::probe},
                               {"quasi-newton, exact", nonlinear::Jacobian::diagonal},
                               {"newton", nonlinear::Jacobian::dense}};
/// Wider ones take n columns of jvp a step, minutes for what the others do in a second.
constexpr int kWidestForColumns = 256;

/// One method at one tolerance on so many ranks, with room for its states.
class Run {
 public:
  Run(Harness& harness, const Case& c, const Method& method, double tolerance, int ranks)
      : name_(method.name),
        tolerance_(tolerance),
        ranks_(ranks),
        chain_(c.denoiser, sampler(c.steps, c.eta), c.samples),
        z_((c.steps + 1) * c.samples * chain_.width()),
        solver_(harness.first(ranks), chain_, options(method, tolerance, ranks, c.samples)) {
    chain_.start(states()[0]);
  }
  States states() { return {z_.data(), {chain_.num_steps() + 1, chain_.batch(), chain_.width()}}; }
  Contender contender() {
    return {name_, ranks_, [this] {
              fill_guess(chain_, {}, states());
              report_ = solver_.solve_shared(states());
            }};
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
  double tolerance() const { return tolerance_; }
  int ranks() const { return ranks_; }
  const char* name() const { return name_; }

 private:
  static nonlinear::WindowedOptions options(const Method& method, double tolerance, int ranks,
                                            Index samples) {
    nonlinear::WindowedOptions made;
    made.jacobian = method.jacobian;
    made.window = default_window(ranks, samples);
    made.extrapolate = true;
    made.rtol = 0;
    made.atol = tolerance;
    return made;
  }

  const char* name_;
  double tolerance_;
  int ranks_;
  models::DenoisingChain chain_;
  Buffer<Real> z_;
  nonlinear::Windowed solver_;
  nonlinear::SolveReport report_;
};

/// What is asked for: one sample, tolerance 1e-2, the best method.
void demand(Row& row, const Case& c, const Run& run) {
  if (c.samples != 1 || run.tolerance() != 1e-2 || std::string(run.name()) != "gaussian") return;
  if (c.hidden == 1024) row.demand(run.ranks() == 1 ? 1.4 : 2.5);
  if (c.hidden == 2048) row.demand(run.ranks() == 1 ? 2.4 : 4.5);
}

std::vector<std::unique_ptr<Run>> make_runs(Harness& harness, const Case& c) {
  const int P = harness.team().size();
  std::vector<std::unique_ptr<Run>> runs;
  for (const double tolerance : {1e-2, 1e-3}) {
    for (const Method& method : kMethods) {
      const bool columns = method.jacobian == nonlinear::Jacobian::dense ||
                           method.jacobian == nonlinear::Jacobian::diagonal;
      if (columns && (c.hidden > kWidestForColumns || c.samples > 1)) continue;
      for (int ranks = 1; ranks <= P; ranks = ranks < P ? P : P + 1)
        runs.push_back(std::make_unique<Run>(harness, c, method, tolerance, ranks));
    }
  }
  return runs;
}

void add_sampling_rows(Harness& harness, const Case& c) {
  const models::DenoisingChain chain(c.denoiser, sampler(c.steps, c.eta), c.samples);
  const int cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  Buffer<Real> z((c.steps + 1) * c.samples * chain.width()), threaded(z.size());
  const std::array<Index, 3> shape{c.steps + 1, c.samples, chain.width()};
  const States states(z.data(), shape);
  chain.start(states[0]);
  std::copy(states[0].begin(), states[0].end(), threaded.begin());
  ThreadedSampler threads(c.denoiser, chain, cores);
  auto runs = make_runs(harness, c);
  const std::string on_all = fmt::format("sequential, {} threads", cores);
  std::vector<Contender> contenders{
      {"sequential", 1,
       [&] {
         chain.propagate({0, c.steps}, states[0], states.slice(1, c.steps + 1));
       }},
      {on_all, 1, [&] {
         threads.run({threaded.data(), shape});
       }}};
  for (auto& run : runs) contenders.push_back(run->contender());
  const std::vector<Seconds> seconds = harness.race(contenders);
  const std::string what = c.eta == 0 ? "ddim" : "ddpm";
  Row row{"generate", what, on_all, 1, c.steps, c.hidden, c.samples, "single"};
  row.seconds = seconds[1];
  row.compare("sequential, 1 core", seconds[0]);
  harness.add(row);
  for (std::size_t r = 0; r < runs.size(); ++r) {
    Run& run = *runs[r];
    const double error = harness.team().max(harness.takes_part(1) ? run.error(states[c.steps]) : 0);
    Row found{"generate",
              fmt::format("{}, tolerance {:g}: {:.2f} evaluations a step, error {:.0e}", what,
                          run.tolerance(), run.evaluations_per_step(), error),
              run.name(),
              run.ranks(),
              c.steps,
              c.hidden,
              c.samples,
              "single"};
    found.seconds = seconds[r + 2];
    found.iterations = run.report().iterations;
    found.compare("sequential, 1 core", seconds[0]);
    demand(found, c, run);
    harness.add(found);
    Row against = found;
    against.target.clear();
    against.met.clear();
    against.compare(on_all, seconds[1]);
    harness.add(against);
  }
}

}  // namespace

void run_generate(Harness& harness) {
  if (!storage::unavailable().empty())
    return harness.note("generate: left out, " + storage::unavailable());
  const auto trained = storage::read_denoiser(harness.team(), storage::own_networks());
  const bool quick = harness.settings().quick;
  for (const int hidden : harness.widths_or({256, 512, 1024, 2048})) {
    const int least = trained.shape().hidden;
    if (hidden < least) {
      harness.note(
          fmt::format("generate: width {} is left out, the trained network has {}", hidden, least));
      continue;
    }
    const models::Denoiser denoiser = widened(trained, hidden);
    for (const Index steps : harness.steps_or({1000})) {
      add_batch_row(harness, {steps, hidden, 1, 1, denoiser});
      for (const Index samples : harness.batches_or({1, 4, 16}))
        for (const double eta : quick ? std::vector<double>{1} : std::vector<double>{1, 0})
          add_sampling_rows(harness, {steps, hidden, samples, eta, denoiser});
    }
  }
}

}  // namespace deeppcr::app::bench
