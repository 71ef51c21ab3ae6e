// Sequential code of this library against loops that one would write by hand, on one rank.
#include "linear/sequential.hpp"

#include <algorithm>
#include <memory>

#include "deeppcr/nonlinear/adjoint.hpp"
#include "deeppcr/sequence/propagate.hpp"
#include "hand_loops.hpp"
#include "linear_case.hpp"
#include "models/layered_chain.hpp"
#include "suites.hpp"

namespace deeppcr::bench {
namespace {

constexpr double kShareOfBest = 0.9;
/// Parameters or blocks of all steps together, in elements: 64 MiB of doubles, more where that are
/// few steps.
constexpr Index kElements = Index{1} << 23;
/// Keeps states and gradients of a deep relu chain away from zero and from chaos.
constexpr double kReluGain = 1.3;
/// Both sum the same terms in another order.
constexpr double kSameResult = 1e-9;

using Loops = std::vector<std::unique_ptr<HandLoops>>;
using LoopCall = std::function<void(HandLoops&)>;

/// The loops by hand save the product with the first block of all, which is one of so many.
constexpr Index kFewestSteps = 32;

Index default_steps(Index elements_per_step) {
  return std::clamp<Index>(kElements / elements_per_step, kFewestSteps, 1024);
}

/// What a case computes in both ways, and where the results lie.
struct Case {
  std::string name;
  LayerSizes sizes;
  std::function<void()> ours;
  LoopCall loop;
  View<const Real, 1> our_result, loop_result;
};

/// A row for our code against the fastest loop. Ours takes its turn before each of them; the one
/// before the fastest counts: the loops share their states, which would be nearer to the core if
/// they came more often.
void run_case(Harness& harness, const Case& c, const Loops& loops) {
  std::vector<Contender> contenders;
  for (const auto& loop : loops) {
    contenders.push_back({"sequential", 1, c.ours});
    contenders.push_back({loop->library(), 1, [&c, &loop] { c.loop(*loop); }});
  }
  const std::vector<Seconds> seconds = harness.race(contenders);
  if (harness.team().is_root()) {
    c.loop(*loops.back());  // a slow one ran once only, and ours wrote to the same array since
    const double error =
        local_difference(c.our_result.size(), c.our_result.data(), c.loop_result.data());
    DEEPPCR_ASSERT(error <= kSameResult, "{}: the loops by hand differ by {}", c.name, error);
  }
  std::size_t best = 1;
  for (std::size_t i = 1; i < seconds.size(); i += 2)
    if (seconds[i].median < seconds[best].median) best = i;
  Row row{"sequential", c.name, "sequential", 1, c.sizes.steps, c.sizes.width, c.sizes.batch};
  row.seconds = seconds[best - 1];
  row.compare("best loop by hand: " + contenders[best].method, seconds[best]);
  row.demand(kShareOfBest);
  harness.add(row);
}

View<const Real, 1> part(const Buffer<Real>& buffer, Index first, Index count) {
  return {buffer.data() + first, {count}};
}

/// An mlp with all that its passes need, and the arrays of the loops beside it.
class LayerCases {
 public:
  LayerCases(Harness& harness, const LayerSizes& sizes)
      : harness_(harness),
        s_(sizes),
        comm_(parallel::Communicator::self()),
        model_({sizes.width, 1, activation_of(sizes)}, sizes.steps, {0, sizes.steps},
               {models::Initialisation::orthogonal, sizes.relu ? kReluGain : 1}),
        trajectory_(comm_, parallel::BlockLayout::balanced(sizes.steps, 1), sizes.batch,
                    sizes.width),
        chain_(comm_, trajectory_.layout(), sizes.batch, sizes.width),
        loss_(sizes.steps * sizes.state()),
        g_(loss_.size()),
        loop_z_((sizes.steps + 1) * sizes.state()),
        loop_c_(loop_z_.size()),
        loop_g_(loop_z_.size()),
        loops_(make_hand_loops(sizes)) {
    std::fill(trajectory_.input().begin(), trajectory_.input().end(), 1.0);
    std::fill_n(loop_z_.data(), s_.state(), 1.0);
    std::fill_n(loss_.data() + loss_.size() - s_.state(), s_.state(), 1.0);
    for (Buffer<Real>* array : {&loop_c_, &loop_g_})
      std::fill_n(array->data() + array->size() - s_.state(), s_.state(), 1.0);
    sequence::propagate(model_, trajectory_);
  }

  void forward() {
    run(
        "forward", [this] { sequence::propagate(model_, trajectory_); },
        [this](HandLoops& loop) { loop.forward(theta(), loop_z_.data()); },
        {trajectory_.states().data(), {loss_.size()}}, part(loop_z_, s_.state(), loss_.size()));
  }

  void backward() {
    Buffer<Real> starts(loss_.size()), ends(loss_.size());
    std::copy_n(trajectory_.input().data(), s_.state(), starts.data());
    std::copy_n(trajectory_.states().data(), loss_.size() - s_.state(), starts.data() + s_.state());
    const auto J = model_.linearise({0, s_.steps}, ConstStates(starts.data(), shape()),
                                    States(ends.data(), shape()));
    chain_.set_linearisation(J.get());
    solver_.setup(chain_);
    fill_loop_states();
    run(
        "backward, a loss on every state",
        [this] { solver_.solve_transpose(loss(), States(g_.data(), shape())); },
        [this](HandLoops& loop) {
          loop.backward(theta(), loop_z_.data(), loop_c_.data(), loop_g_.data());
        },
        part(g_, 0, g_.size()), part(loop_g_, s_.state(), g_.size()));
  }

  /// All write to the same array, as large as the weights: of two, the one that more contenders
  /// write to would stay nearer to the core.
  void gradient() {
    sequence::ParameterGradients ours(model_.parameters()), timed(model_.parameters());
    nonlinear::Adjoint adjoint(model_, trajectory_, solver_);
    const ConstStates at_end = loss().slice(s_.steps - 1, s_.steps);
    adjoint.solve(at_end, &ours);
    fill_loop_states();
    run(
        "backward with parameter gradients", [&] { adjoint.solve(at_end, &timed); },
        [&](HandLoops& loop) {
          loop.gradient(theta(), loop_z_.data(), loop_g_.data(), timed[0].data());
        },
        {ours[0].data(), {ours[0].size()}}, {timed[0].data(), {timed[0].size()}});
  }

 private:
  static models::Activation activation_of(const LayerSizes& s) {
    return s.relu ? models::Activation::relu : models::Activation::identity;
  }
  std::array<Index, 3> shape() const { return {s_.steps, s_.batch, s_.width}; }
  ConstStates loss() const { return {loss_.data(), shape()}; }
  const Real* theta() const { return model_.rows().data(); }
  void fill_loop_states() {
    std::copy_n(trajectory_.states().data(), loss_.size(), loop_z_.data() + s_.state());
  }
  void run(const char* pass, std::function<void()> ours, LoopCall loop,
           View<const Real, 1> our_result, View<const Real, 1> loop_result) {
    const char* activation = s_.relu ? "relu" : "identity";
    run_case(harness_,
             {fmt::format("mlp {}, {}", activation, pass), s_, std::move(ours), std::move(loop),
              our_result, loop_result},
             loops_);
  }

  Harness& harness_;
  LayerSizes s_;
  parallel::Communicator comm_;
  models::LayeredChain model_;
  sequence::Trajectory trajectory_;
  blocks::BlockBidiagonal chain_;
  linear::Sequential solver_;
  Buffer<Real> loss_, g_, loop_z_, loop_c_, loop_g_;
  Loops loops_;
};

void run_layers(Harness& harness, LayerSizes sizes) {
  for (const bool relu : {false, true}) {
    sizes.relu = relu;
    LayerCases cases(harness, sizes);
    cases.forward();
    if (!relu) continue;
    cases.backward();
    cases.gradient();
  }
}

/// The linear solver on stored blocks, each sample with its own.
void run_blocks(Harness& harness, const LayerSizes& s) {
  const parallel::Communicator self = parallel::Communicator::self();
  LinearCase ours(self, "sequential", {s.steps, s.batch, s.width}, linear::Passes::forward);
  const Loops loops = make_hand_loops(s);
  Buffer<Real> theirs(s.steps * s.state());
  const Real* A = ours.blocks().storage().data();
  const Real* r = ours.right().data();
  const View<const Real, 1> result(ours.result().data(), {theirs.size()});
  const auto their_result = part(theirs, 0, theirs.size());
  run_case(harness,
           {"dense blocks, solve", s, [&] { ours.solve(); },
            [&](HandLoops& loop) { loop.substitute(A, r, theirs.data()); }, result, their_result},
           loops);
  run_case(harness,
           {"dense blocks, transposed solve", s, [&] { ours.solve_transpose(); },
            [&](HandLoops& loop) { loop.substitute_transposed(A, r, theirs.data()); }, result,
            their_result},
           loops);
}

}  // namespace

void run_sequential_loops(Harness& harness) {
  for (const int n : harness.widths_or({4, 8, 16, 32, 64, 256})) {
    for (const Index B : harness.batches_or({1, 32})) {
      const Index block = Index{n} * n;
      for (const Index L : harness.steps_or({default_steps(block)}))
        run_layers(harness, {L, B, n, false});
      run_blocks(harness, {default_steps(B * block), B, n, false});
    }
  }
}

}  // namespace deeppcr::bench
