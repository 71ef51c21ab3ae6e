// A chain of modules through the plug-in, beside the loop over the same file that one would write
// with libtorch.
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>
#include <torch/script.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_map>
#include <vector>

#include "deeppcr/cli/command.hpp"
#include "deeppcr/cli/options.hpp"
#include "deeppcr/cli/output.hpp"
#include "deeppcr/core/profile.hpp"
#include "deeppcr/core/random.hpp"
#include "deeppcr/models/catalogue.hpp"
#include "deeppcr/parallel/runtime.hpp"

namespace deeppcr::bench {
namespace {

/// The loop: a step whose tensors are exchanged for those of each step in turn.
class PlainLoop {
 public:
  explicit PlainLoop(const std::string& file) {
    std::unordered_map<std::string, std::string> extra{{"deeppcr.json", ""}};
    module_ = torch::jit::load(file, c10::nullopt, extra);
    module_.eval();
    step_ = module_.attr("step").toModule();
    const auto about = nlohmann::json::parse(extra.at("deeppcr.json"));
    shape_ = about.at("shape").get<std::vector<std::int64_t>>();
    std::size_t index = 0;
    for (const std::string& path : about.value("stacks", std::vector<std::string>())) {
      torch::jit::Module owner = step_;
      std::size_t from = 0;
      for (std::size_t dot; (dot = path.find('.', from)) != std::string::npos; from = dot + 1)
        owner = owner.attr(path.substr(from, dot - from)).toModule();
      const auto object = owner._ivalue();
      const at::Tensor stack = module_.attr("stack" + std::to_string(index++)).toTensor().detach();
      places_.push_back(
          {object, object->type()->getAttributeSlot(path.substr(from)), stack.unbind(0)});
    }
    type_ = places_.empty() ? at::kDouble : places_.front().rows.front().scalar_type();
  }

  /// states [L, B, ..] of the module's type, from in [B, n].
  void run(const Buffer<Real>& in, Index batch, Index steps) {
    const c10::InferenceMode inference;
    std::vector<std::int64_t> sizes = shape_;
    sizes.insert(sizes.begin(), batch);
    at::Tensor z = at::from_blob(const_cast<Real*>(in.data()), sizes, at::kDouble).to(type_);
    sizes.insert(sizes.begin(), steps);
    if (!states_.defined()) states_ = at::empty(sizes, type_);
    for (Index l = 0; l < steps; ++l) {
      for (const Place& place : places_)
        place.owner->setSlot(place.slot, place.rows[static_cast<std::size_t>(l)]);
      z = step_.forward({z}).toTensor();
      states_.select(0, l).copy_(z);
    }
  }

  at::Tensor states() const { return states_.to(at::kDouble).contiguous(); }

 private:
  struct Place {
    c10::intrusive_ptr<c10::ivalue::Object> owner;
    std::size_t slot;
    std::vector<at::Tensor> rows;
  };

  torch::jit::Module module_, step_;
  std::vector<std::int64_t> shape_;
  std::vector<Place> places_;
  at::ScalarType type_ = at::kDouble;
  at::Tensor states_;
};

void add_options(cli::Options& options) {
  OptionSpec module = text_option("module", "", "file of a chain: apps/MODULES.md", "FILE");
  module.reads = true;
  options.add("Run", {module, whole_option("batch", 1, 1, 1'000'000, "samples"),
                      whole_option("repeats", 21, 1, 1'000'000, "runs of each, in turns")});
}

double median(std::vector<double> times) {
  std::nth_element(times.begin(), times.begin() + static_cast<long>(times.size() / 2), times.end());
  return times[times.size() / 2];
}

int run(const OptionValues& options, const cli::Context& context) {
  models::ModelOptions model;
  model.model = "torch";
  model.set("module", options.text("module"));
  parallel::agree(context.comm, [&] { models::look_at_file(model, {}); });
  const auto chain = models::make(model, StepRange{0, model.steps});
  const Index batch = options.whole("batch"), size = batch * chain->width();
  Buffer<Real> in(size), out(model.steps * size);
  RandomStream(1, 1).normal(0, size, in.data());
  const States states(out.data(), {model.steps, batch, chain->width()});
  PlainLoop loop(options.text("module"));
  std::vector<double> ours, plain;
  for (Index i = 0; i <= options.whole("repeats"); ++i) {
    Stopwatch watch;
    chain->propagate({0, model.steps}, {in.data(), {batch, chain->width()}}, states);
    const double first = watch.seconds();
    watch.restart();
    loop.run(in, batch, model.steps);
    const double second = watch.seconds();
    if (i == 0) continue;  // fills caches
    ours.push_back(first);
    plain.push_back(second);
  }
  const at::Tensor found = at::from_blob(out.data(), loop.states().sizes(), at::kDouble);
  const double difference = (found - loop.states()).abs().max().item<double>();
  const double scale = 1e6 / static_cast<double>(model.steps);
  cli::print_out(fmt::format(
      "{}: {} steps, batch {}; us a step: plug-in {:.2f}, plain loop {:.2f}, ratio {:.2f}; largest "
      "difference {:.1e}\n",
      options.text("module"), model.steps, batch, scale * median(ours), scale * median(plain),
      median(ours) / median(plain), difference));
  return 0;
}

}  // namespace
}  // namespace deeppcr::bench

int main(int argc, char** argv) {
  using namespace deeppcr;
  const cli::Command command{"torch",
                             "a chain of modules through the plug-in, beside a loop of libtorch",
                             "",
                             bench::add_options,
                             bench::run,
                             false,
                             "deeppcr-bench-torch"};
  parallel::Runtime runtime(argc, argv);
  return runtime.run([&](const parallel::Communicator& comm) {
    const cli::Words words = cli::cut(argc, argv);
    if (std::find(words.own.begin(), words.own.end(), "--help") != words.own.end()) {
      cli::print_out(cli::command_help(command));
      return 0;
    }
    const OptionValues options = cli::parse(command, {command}, words.own, comm);
    return command.run(options, {comm, "deeppcr-bench-torch", "", {}, false, false});
  });
}
