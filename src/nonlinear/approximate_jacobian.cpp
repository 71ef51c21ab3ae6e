#include "nonlinear/approximate_jacobian.hpp"

#include <algorithm>

#include "deeppcr/blocks/block_bidiagonal.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/random.hpp"
#include "deeppcr/linear/catalogue.hpp"
#include "deeppcr/linear/diagonal_scan.hpp"

namespace deeppcr::nonlinear {

namespace {

constexpr const char* kNames[] = {"dense", "diagonal", "probe", "linear-part", "gaussian"};
constexpr std::uint64_t kProbeStream = 0x50524f4245;

/// Diagonals from one of four sources, reduced by a scan.
class DiagonalJacobian final : public ApproximateJacobian {
 public:
  DiagonalJacobian(Jacobian jacobian, std::uint64_t seed, const parallel::Communicator& comm,
                   const sequence::Sequence& sequence)
      : jacobian_(jacobian), seed_(seed), sequence_(sequence), scan_(comm) {}

  void evaluate(const Section& section, ConstStates in, States out) override {
    diagonals_.reserve(in.size());
    const States D(diagonals_.data(), in.shape());
    ++sweep_;
    if (section.mine.empty()) return;
    if (jacobian_ == Jacobian::linear_part || jacobian_ == Jacobian::gaussian) {
      sequence_.value(section.mine, in, out);
      known(section.mine, D);
      return;
    }
    const auto J = sequence_.linearise(section.mine, in, out);
    if (jacobian_ == Jacobian::diagonal) {
      J->diagonals(section.mine, D);
    } else {
      probe(*J, section.mine, D);
    }
    clip(D);
  }

  void solve(const Section& section, States d) override {
    scan_.solve(section.first, section.last, {diagonals_.data(), d.shape()}, d);
  }
  const parallel::TrafficByLevel& level_traffic() const override { return scan_.level_traffic(); }

 private:
  void known(StepRange range, States D) {
    const Index B = D.extent(1), n = D.extent(2);
    known_.reserve(range.size() * n);
    sequence_.known_diagonals(jacobian_ == Jacobian::gaussian
                                  ? sequence::KnownDiagonal::gaussian
                                  : sequence::KnownDiagonal::linear_part,
                              range, {known_.data(), {range.size(), n}});
    for (Index i = 0; i < range.size() * B; ++i)
      std::copy_n(known_.data() + i / B * n, n, D.data() + i * n);
  }

  // D = v .* (A v), v of random signs: the diagonal on average
  void probe(const blocks::Linearisation& J, StepRange range, States D) {
    const Index B = D.extent(1), n = D.extent(2), state = B * n;
    probe_.reserve(2 * D.size());
    Real *v = probe_.data(), *Av = v + D.size();
    RandomStream(seed_, kProbeStream + static_cast<std::uint64_t>(sweep_))
        .uniform(range.first * state, D.size(), v);
    for (Index i = 0; i < D.size(); ++i) v[i] = v[i] < 0.5 ? -1 : 1;
    const std::array<Index, 4> shape{range.size(), B, 1, n};
    J.product_each(range, Direction::forward, {v, shape}, {Av, shape});
    for (Index i = 0; i < D.size(); ++i) D.data()[i] = v[i] * Av[i];
  }

  /// A product of many diagonals above one overflows, and an estimate may lie anywhere.
  static void clip(States D) {
    constexpr Real kMost = 1.2;
    for (Real& value : D) value = std::clamp(value, -kMost, kMost);
  }

  Jacobian jacobian_;
  std::uint64_t seed_;
  const sequence::Sequence& sequence_;
  linear::DiagonalScan scan_;
  Index sweep_ = 0;
  Buffer<Real> diagonals_, known_, probe_;
};

/// The Jacobians themselves, by any solver of the linear catalogue. For windows in balanced parts.
class DenseJacobian final : public ApproximateJacobian {
 public:
  DenseJacobian(const std::string& linear, const parallel::Communicator& comm,
                const sequence::Sequence& sequence)
      : comm_(comm), sequence_(sequence), solver_(linear::find(linear).make()) {}

  void evaluate(const Section& section, ConstStates in, States out) override {
    batch_ = in.extent(1);
    J_ = section.mine.empty() ? nullptr : sequence_.linearise(section.mine, in, out);
  }

  void solve(const Section& section, States d) override {
    const parallel::BlockLayout layout =
        parallel::BlockLayout::balanced(section.window.size(), comm_.size());
    if (!operator_ || !(operator_->layout() == layout) || operator_->batch() != batch_) {
      operator_ =
          std::make_unique<blocks::BlockBidiagonal>(comm_, layout, batch_, sequence_.width());
    }
    operator_->set_linearisation(J_.get(), section.window.first);
    solver_->setup(*operator_);
    solver_->solve(d, d);
  }
  const parallel::TrafficByLevel& level_traffic() const override {
    return solver_->level_traffic();
  }

 private:
  const parallel::Communicator& comm_;
  const sequence::Sequence& sequence_;
  std::unique_ptr<linear::LinearSolver> solver_;
  Index batch_ = 0;
  std::unique_ptr<blocks::Linearisation> J_;
  std::unique_ptr<blocks::BlockBidiagonal> operator_;
};

}  // namespace

const char* name(Jacobian jacobian) { return kNames[static_cast<int>(jacobian)]; }

Jacobian jacobian_from(const std::string& name) {
  for (int i = 0; i < 5; ++i)
    if (name == kNames[i]) return static_cast<Jacobian>(i);
  throw input_error(
      "unknown Jacobian '{}': known are dense, diagonal, probe, linear-part, gaussian", name);
}

std::unique_ptr<ApproximateJacobian> make_jacobian(Jacobian jacobian, const std::string& linear,
                                                   std::uint64_t seed,
                                                   const parallel::Communicator& comm,
                                                   const sequence::Sequence& sequence) {
  if (jacobian == Jacobian::dense) return std::make_unique<DenseJacobian>(linear, comm, sequence);
  const bool gaussian = jacobian == Jacobian::gaussian;
  const auto which =
      gaussian ? sequence::KnownDiagonal::gaussian : sequence::KnownDiagonal::linear_part;
  if ((gaussian || jacobian == Jacobian::linear_part) &&
      !sequence.known_diagonals(which, {0, 0}, {nullptr, {0, sequence.width()}})) {
    throw input_error("--jacobian {}: this model does not know it; use dense, diagonal or probe",
                      name(jacobian));
  }
  return std::make_unique<DiagonalJacobian>(jacobian, seed, comm, sequence);
}

}  // namespace deeppcr::nonlinear
