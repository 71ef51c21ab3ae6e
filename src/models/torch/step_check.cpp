#include "models/torch/step_check.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/error.hpp"
#include "models/torch/torch_chain.hpp"
#include "models/torch/trial.hpp"

namespace deeppcr::models {

namespace {

using trial::dot;
using trial::kSamples;
using trial::norm;

class StepCheck {
 public:
  StepCheck(const std::shared_ptr<const TorchModule>& module, Index step)
      : module_(*module),
        step_(step),
        n_(module->width()),
        rounding_(module->rounding()),
        inputs_(normal(kSamples * module->input_width())),
        chain_(module, step + 1, StepRange{step, step + 1}),
        bound_(chain_.bound_to({range(), {inputs_.data(), {1, kSamples, module->input_width()}}})),
        in_(normal(kSamples * n_)),
        out_(kSamples * n_) {}

  void run() {
    const Buffer<Real> before = copy(in_);
    value(in_, kSamples, out_);
    if (!std::equal(in_.begin(), in_.end(), before.begin())) {
      refuse(
          "its step changes the state that it is given; let it make a new one (x = x + .. in place "
          "of x += ..)");
    }
    check_finite();
    check_again();
    check_samples();
    check_derivatives();
  }

 private:
  Buffer<Real> normal(Index count) { return trial::normal(count, ++stream_); }
  static Buffer<Real> copy(const Buffer<Real>& from) {
    Buffer<Real> to(from.size());
    std::copy(from.begin(), from.end(), to.begin());
    return to;
  }
  [[noreturn]] void refuse(const std::string& sentence) const { module_.refuse(sentence); }
  const sequence::Sequence& chain() const {
    if (bound_) return *bound_;
    return chain_;
  }
  StepRange range() const { return {step_, step_ + 1}; }
  void value(const Buffer<Real>& in, Index samples, Buffer<Real>& out) const {
    const std::array<Index, 3> shape{1, samples, n_};
    chain().value(range(), {in.data(), shape}, {out.data(), shape});
  }
  bool differs(const Buffer<Real>& a, const Real* expected) const {
    return trial::differs(a, expected, rounding_);
  }

  void check_finite() const {
    if (trial::finite(out_)) return;
    refuse(fmt::format("step {} makes NaN or infinite states of normally distributed ones", step_));
  }

  void check_again() const {
    Buffer<Real> again(out_.size());
    value(in_, kSamples, again);
    if (differs(again, out_.data())) {
      refuse(
          "its step makes other states when it is called again with the same ones: dropout that is "
          "on, noise, or a memory of its own; call module.eval(), or make it a function of its "
          "arguments");
    }
  }

  void check_samples() const {
    for (const Index b : {Index{0}, kSamples - 1}) {
      Buffer<Real> one(n_), found(n_);
      std::copy_n(in_.data() + b * n_, n_, one.begin());
      const sequence::FromSample alone(chain(), b);
      const std::array<Index, 3> shape{1, 1, n_};
      alone->value(range(), {one.data(), shape}, {found.data(), shape});
      if (differs(found, out_.data() + b * n_)) {
        refuse(fmt::format(
            "its step makes another state of a sample alone than of the same one among {}: batch "
            "normalisation that still learns, a batch size that was traced in, or samples that are "
            "mixed",
            kSamples));
      }
    }
  }

  /// <u, A v> = <A^T u, v>, and A v against a difference of values.
  void check_derivatives() {
    const Buffer<Real> u = normal(out_.size()), v = normal(out_.size());
    Buffer<Real> Av(out_.size()), Atu(out_.size()), out(out_.size());
    const std::array<Index, 3> shape{1, kSamples, n_}, column{kSamples, 1, n_};
    const auto J = chain().linearise(range(), {in_.data(), shape}, {out.data(), shape});
    J->product(step_, Direction::forward, {v.data(), column}, {Av.data(), column});
    J->product(step_, Direction::backward, {u.data(), column}, {Atu.data(), column});
    const double size = norm(u) * norm(Av) + norm(Atu) * norm(v);
    if (!(std::abs(dot(u, Av) - dot(Atu, v)) <= trial::kRoundings * rounding_ * size)) {
      refuse(
          "the derivatives of its step forward and backward are not those of one function; a "
          "custom "
          "operation without a proper derivative?");
    }
    check_difference(v, Av);
  }

  void check_difference(const Buffer<Real>& v, const Buffer<Real>& Av) const {
    const double h = trial::difference_step(rounding_);
    Buffer<Real> above(in_.size()), below(in_.size());
    value(trial::moved(in_, h, v), kSamples, above);
    value(trial::moved(in_, -h, v), kSamples, below);
    for (Index i = 0; i < above.size(); ++i) above[i] = (above[i] - below[i]) / (2 * h) - Av[i];
    if (!(norm(above) <= trial::kDifference * (norm(Av) + norm(out_)))) {
      refuse(
          "the derivative of its step is not that of its values: a part is cut off by detach(), "
          "no_grad() or .data");
    }
  }

  const TorchModule& module_;
  Index step_;
  Index n_;
  double rounding_;
  std::uint64_t stream_ = 0;
  Buffer<Real> inputs_;
  TorchChain chain_;
  std::unique_ptr<sequence::Sequence> bound_;  ///< with its inputs, where it takes any
  Buffer<Real> in_, out_;
};

}  // namespace

void check_torch_step(const std::shared_ptr<const TorchModule>& module) {
  const Index last = std::max<Index>(module->facts().steps, 1) - 1;
  StepCheck(module, 0).run();
  if (last > 0) StepCheck(module, last).run();
}

}  // namespace deeppcr::models
