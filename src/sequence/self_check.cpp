#include "deeppcr/sequence/self_check.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "deeppcr/blocks/kernels.hpp"
#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/random.hpp"

namespace deeppcr::sequence {

namespace {

/// Central differences: short, so that a kink such as relu's is rarely stepped over; their
/// truncation error (1e-14) is then far below their rounding error eps / kStep, which the tolerance
/// allows a thousandfold.
constexpr double kStep = 1e-7;
constexpr double kTolerance = 1e3 * std::numeric_limits<double>::epsilon() / kStep;

/// The larger one, where NaN is larger than any number.
double worse(double a, double b) { return b > a || std::isnan(b) ? b : a; }

using blocks::largest;
using blocks::largest_difference;

/// difference / size; zero only when the difference is.
double relative(double difference, double size) {
  return difference == 0 ? 0 : difference / std::max(size, std::numeric_limits<double>::min());
}

/// How far x is from what it should be.
double error_of(Index count, const Real* x, const Real* expected) {
  return relative(largest_difference(count, x, expected), largest(count, expected));
}

double dot(Index count, const Real* x, const Real* y) {
  return std::inner_product(x, x + count, y, 0.0);
}

double norm(Index count, const Real* x) { return std::sqrt(dot(count, x, x)); }

/// One check of a range of steps at random states.
class Check {
 public:
  Check(Sequence& sequence, StepRange range, Index batch, std::uint64_t seed)
      : sequence_(sequence),
        range_(range),
        batch_(batch),
        n_(sequence.width()),
        seed_(seed),
        in_(normal(range.size() * batch * n_)),
        out_(range.size() * batch * n_) {
    sequence_.value(range_, states(in_), states(out_));
  }

  SelfCheck run() {
    SelfCheck result;
    result.tolerance = kTolerance;
    Buffer<Real> out(out_.size());
    const auto J = sequence_.linearise(range_, states(in_), states(out));
    result.value_error = error_of(out.size(), out.data(), out_.data());
    if (!range_.empty()) check_propagated(result);
    result.samples_error = samples_error();
    for (Index l = range_.first; l < range_.last; ++l) {
      result.jvp_error = worse(result.jvp_error, jvp_error(*J, l));
      result.vjp_error = worse(result.vjp_error, vjp_error(*J, l));
      check_blocks(*J, l, result);
    }
    result.parameter_error = parameter_error();
    return result;
  }

 private:
  Buffer<Real> normal(Index count) {
    Buffer<Real> x(count);
    RandomStream(seed_, ++stream_).normal(0, count, x.data());
    return x;
  }
  Index state_size() const { return batch_ * n_; }
  States states(Buffer<Real>& x) const { return {x.data(), {range_.size(), batch_, n_}}; }
  Panel panel(Buffer<Real>& x, Index k) const { return {x.data(), {batch_, k, n_}}; }
  const Real* state(const Buffer<Real>& x, Index l) const {
    return x.data() + (l - range_.first) * state_size();
  }

  /// propagate() against one step after the other; propagate_with_tangent() against propagate(),
  /// and the tangent of the last sample against product() step by step.
  void check_propagated(SelfCheck& result) {
    const ConstState z = states(in_)[0];
    const Index size = out_.size(), sample = batch_ - 1, at = sample * n_;
    Buffer<Real> chained(size), with_tangent(size), expected(size);
    Buffer<Real> v = normal(state_size()), Av(state_size()), tangent(n_);
    std::copy_n(v.data() + at, n_, tangent.data());
    sequence_.propagate(range_, z, states(chained));
    sequence_.propagate_with_tangent(range_, z, states(with_tangent), sample,
                                     {tangent.data(), {n_}});
    ConstStates from{z.data(), {1, batch_, n_}};
    for (Index l = range_.first; l < range_.last; ++l) {
      const States to = states(expected).slice(l - range_.first, l - range_.first + 1);
      const auto J = sequence_.linearise({l, l + 1}, from, to);
      J->product(l, Direction::forward, panel(v, 1), panel(Av, 1));
      v.swap(Av);
      from = to;
    }
    result.value_error = worse(result.value_error, error_of(size, chained.data(), expected.data()));
    result.tangent_error = worse(error_of(size, with_tangent.data(), chained.data()),
                                 error_of(n_, tangent.data(), v.data() + at));
  }

  /// The last sample's values by itself.
  double samples_error() {
    const FromSample last(sequence_, batch_ - 1);
    Buffer<Real> in(range_.size() * n_), out(in.size());
    for (Index i = 0; i < range_.size(); ++i)
      std::copy_n(&states(in_)(i, batch_ - 1, 0), n_, in.data() + i * n_);
    const std::array<Index, 3> shape{range_.size(), 1, n_};
    last->value(range_, {in.data(), shape}, {out.data(), shape});
    double error = 0;
    for (Index i = 0; i < range_.size(); ++i)
      error = worse(error,
                    largest_difference(n_, out.data() + i * n_, &states(out_)(i, batch_ - 1, 0)));
    return relative(error, largest(out_.size(), out_.data()));
  }

  /// A v against (f(z + h v) - f(z - h v)) / 2h.
  double jvp_error(const blocks::Linearisation& J, Index l) {
    const Index size = state_size();
    Buffer<Real> v = normal(size), Av(size), z(size), above(size), below(size);
    J.product(l, Direction::forward, panel(v, 1), panel(Av, 1));
    const auto value_at = [&](double h, Buffer<Real>& f) {
      for (Index i = 0; i < size; ++i) z[i] = state(in_, l)[i] + h * v[i];
      sequence_.value({l, l + 1}, States{z.data(), {1, batch_, n_}},
                      States{f.data(), {1, batch_, n_}});
    };
    value_at(kStep, above);
    value_at(-kStep, below);
    for (Index i = 0; i < size; ++i) above[i] = (above[i] - below[i]) / (2 * kStep);
    return relative(largest_difference(size, above.data(), Av.data()),
                    largest(size, Av.data()) + largest(size, state(out_, l)));
  }

  /// <u, A v> against <A^T u, v>, column by column of a panel as wide as elimination has it.
  double vjp_error(const blocks::Linearisation& J, Index l) {
    const Index k = n_ + 1, size = state_size() * k;
    Buffer<Real> u = normal(size), v = normal(size), Av(size), Atu(size);
    J.product(l, Direction::forward, panel(v, k), panel(Av, k));
    J.product(l, Direction::backward, panel(u, k), panel(Atu, k));
    double error = 0;
    for (Index c = 0; c < size; c += n_) {
      const Real *uc = u.data() + c, *vc = v.data() + c, *Avc = Av.data() + c,
                 *Atuc = Atu.data() + c;
      error = worse(error, relative(std::abs(dot(n_, uc, Avc) - dot(n_, Atuc, vc)),
                                    norm(n_, uc) * norm(n_, Avc) + norm(n_, Atuc) * norm(n_, vc)));
    }
    return error;
  }

  /// blocks() against product() on one unit vector after the other; zeros of blocks() against the
  /// declared structure.
  void check_blocks(const blocks::Linearisation& J, Index l, SelfCheck& result) {
    Buffer<Real> A(state_size() * n_), e(state_size()), Ae(state_size());
    J.blocks({l, l + 1}, {A.data(), {1, batch_, n_, n_}});
    const double size = largest(A.size(), A.data());
    const blocks::Structure known = J.structure();
    const bool dense = known == blocks::Structure::dense;
    const bool scaled = known == blocks::Structure::scaled_identity;
    // Numbers so far apart depend on each other.
    const Index apart = known == blocks::Structure::paired_diagonals ? n_ / 2 : n_;
    for (Index j = 0; j < n_; ++j) {
      for (Index b = 0; b < batch_; ++b) {
        std::fill_n(e.data() + b * n_, n_, Real{0});
        e[b * n_ + j] = 1;
      }
      J.product(l, Direction::forward, panel(e, 1), panel(Ae, 1));
      for (Index b = 0; b < batch_; ++b) {
        const Real *block = A.data() + b * n_ * n_, *column = block + j * n_;
        const double off = largest_difference(n_, Ae.data() + b * n_, column);
        result.blocks_error = worse(result.blocks_error, relative(off, size));
        for (Index i = 0; i < n_ && !dense; ++i) {
          const bool holds =
              (i - j) % apart != 0 ? column[i] == 0 : !scaled || column[i] == block[0];
          result.structure_holds = result.structure_holds && holds;
        }
      }
    }
  }

  double functional(StepRange steps, const Buffer<Real>& g) {
    const std::array<Index, 3> shape{steps.size(), batch_, n_};
    Buffer<Real> f(steps.size() * state_size());
    sequence_.value(steps, ConstStates{state(in_, steps.first), shape}, States{f.data(), shape});
    return dot(f.size(), state(g, steps.first), f.data());
  }

  /// Rows of gradients, which a model assigns to or, where they are shared, adds to.
  double parameter_error() {
    const std::vector<ParameterGroup> groups = sequence_.parameters();
    if (groups.empty()) return 0;
    const Index before = sequence_.local_steps().row(range_.first);
    const ParameterGradients grads(groups);
    constexpr Real kThere = 1;
    for (int k = 0; k < grads.groups(); ++k) std::fill(grads[k].begin(), grads[k].end(), kThere);
    const Buffer<Real> g = normal(out_.size());
    GroupRows rows;
    grads.slice(before, before + range_.size(), rows);
    sequence_.parameter_gradient(range_, states(in_), {g.data(), {range_.size(), batch_, n_}},
                                 rows);
    double error = 0;
    for (int k = 0; k < grads.groups(); ++k) {
      const View<Real, 2> values = groups[static_cast<std::size_t>(k)].values;
      if (grads.shared(k)) {
        for (Real& grad : grads[k]) grad -= kThere;
        error = worse(error, row_error(range_, g, values[0], grads[k][0]));
        continue;
      }
      for (Index i = 0; i < range_.size(); ++i) {
        const Index l = range_.first + i;
        error = worse(error, row_error({l, l + 1}, g, values[before + i], grads[k][before + i]));
      }
    }
    return error;
  }

  /// <gradient, delta> against central differences of <g, f> along random directions of a row of
  /// parameters, which these steps read.
  double row_error(StepRange steps, const Buffer<Real>& g, View<Real, 1> theta,
                   View<const Real, 1> grad) {
    constexpr int kDirections = 4;
    const Index count = theta.size(), size = steps.size() * state_size();
    Buffer<Real> kept(count);
    std::copy(theta.begin(), theta.end(), kept.begin());
    double error = 0;
    for (int d = 0; d < kDirections; ++d) {
      const Buffer<Real> delta = normal(count);
      const auto functional_at = [&](double h) {
        for (Index i = 0; i < count; ++i) theta(i) = kept[i] + h * delta[i];
        return functional(steps, g);
      };
      const double slope = (functional_at(kStep) - functional_at(-kStep)) / (2 * kStep);
      const double scale = norm(count, grad.data()) +
                           norm(size, state(g, steps.first)) * norm(size, state(out_, steps.first));
      error =
          worse(error, relative(std::abs(slope - dot(count, grad.data(), delta.data())), scale));
    }
    std::copy(kept.begin(), kept.end(), theta.begin());
    return error;
  }

  Sequence& sequence_;
  StepRange range_;
  Index batch_;
  Index n_;
  std::uint64_t seed_;
  std::uint64_t stream_ = 0;
  Buffer<Real> in_;
  Buffer<Real> out_;
};

}  // namespace

const std::vector<SelfCheck::Part>& SelfCheck::parts() {
  static const std::vector<Part> all{
      {"jvp", &SelfCheck::jvp_error, "against central differences"},
      {"vjp", &SelfCheck::vjp_error, "<u, A v> against <A^T u, v>"},
      {"blocks", &SelfCheck::blocks_error, "against jvp on unit vectors"},
      {"parameters", &SelfCheck::parameter_error, "gradient against central differences"},
      {"value", &SelfCheck::value_error, "linearise and propagate against value"},
      {"tangent", &SelfCheck::tangent_error, "propagated against value and jvp"},
      {"samples", &SelfCheck::samples_error, "the last one alone against all together"}};
  return all;
}

bool SelfCheck::passed() const {
  return structure_holds && std::all_of(parts().begin(), parts().end(), [this](const Part& part) {
           return this->*part.error <= tolerance;
         });
}

SelfCheck check_derivatives(Sequence& sequence, StepRange range, Index batch, std::uint64_t seed) {
  const int d = sequence.input_width();
  if (d > 0 && sequence.inputs().values.size() == 0) {
    constexpr std::uint64_t kInputStream = 0x696e7075;  // "inpu"
    Buffer<Real> values(range.size() * batch * d);
    RandomStream(seed, kInputStream).normal(0, values.size(), values.data());
    const auto bound = sequence.bound_to({range, {values.data(), {range.size(), batch, d}}});
    return Check(*bound, range, batch, seed).run();
  }
  return Check(sequence, range, batch, seed).run();
}

}  // namespace deeppcr::sequence
