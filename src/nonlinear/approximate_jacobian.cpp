#include "nonlinear/approximate_jacobian.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/options.hpp"
#include "deeppcr/core/random.hpp"
#include "deeppcr/linear/catalogue.hpp"

namespace deeppcr::nonlinear {

namespace {

const Words<Jacobian> kWords{"Jacobian",
                             {"dense", "diagonal", "probe", "paired", "linear-part", "gaussian"}};
constexpr std::uint64_t kProbeStream = 0x50524f4245;

/// Diagonals D [m, B, n] of the steps from `first` on.
class Diagonals final : public blocks::Linearisation {
 public:
  Diagonals(Index first, ConstStates D) : first_(first), D_(D) {}

  void product(Index l, Direction, ConstPanel V, Panel W) const override {
    const ConstState D = D_[l - first_];
    for (Index b = 0; b < V.extent(0); ++b)
      for (Index k = 0; k < V.extent(1); ++k)
        for (Index i = 0; i < V.extent(2); ++i) W(b, k, i) = D(b, i) * V(b, k, i);
  }
  void diagonals(StepRange range, States D) const override {
    const ConstStates own = D_.slice(range.first - first_, range.last - first_);
    std::copy(own.begin(), own.end(), D.begin());
  }
  blocks::Structure structure() const override { return blocks::Structure::diagonal; }

 private:
  Index first_;
  ConstStates D_;
};

/// 2 x 2 blocks by columns, C [m, B, 2, n], of the steps from `first` on.
class PairedDiagonals final : public blocks::Linearisation {
 public:
  PairedDiagonals(Index first, View<const Real, 4> C) : first_(first), C_(C) {}

  void product(Index l, Direction direction, ConstPanel V, Panel W) const override {
    const ConstPanel C = C_[l - first_];
    const Index half = V.extent(2) / 2;
    const bool forward = direction == Direction::forward;
    for (Index b = 0; b < V.extent(0); ++b)
      for (Index k = 0; k < V.extent(1); ++k)
        for (Index i = 0; i < half; ++i) {
          const Real first = V(b, k, i), second = V(b, k, half + i);
          W(b, k, i) = C(b, 0, i) * first + (forward ? C(b, 1, i) : C(b, 0, half + i)) * second;
          W(b, k, half + i) =
              (forward ? C(b, 0, half + i) : C(b, 1, i)) * first + C(b, 1, half + i) * second;
        }
  }
  bool paired_diagonals(StepRange range, View<Real, 4> columns) const override {
    const auto own = C_.slice(range.first - first_, range.last - first_);
    std::copy(own.begin(), own.end(), columns.begin());
    return true;
  }
  blocks::Structure structure() const override { return blocks::Structure::paired_diagonals; }

 private:
  Index first_;
  View<const Real, 4> C_;
};

/// Whether the steps of a sequence have such blocks.
bool has_pairs(const sequence::Sequence& sequence) {
  const States none(nullptr, {0, 1, sequence.width()});
  return sequence.linearise({0, 0}, none, none)
      ->paired_diagonals({0, 0}, {nullptr, {0, 1, 2, sequence.width()}});
}

/// Whether diagonals would leave out what the model knows.
bool knows_pairs(const sequence::Sequence& sequence) {
  return sequence.known_pairs(sequence::KnownDiagonal::linear_part, {0, 0},
                              {nullptr, {0, 2, sequence.width()}});
}

template <typename Entries>
void clip(const Damping& damping, Entries D) {
  if (std::isinf(damping.most)) return;
  for (Real& value : D) value = std::clamp(value, -damping.most, damping.most);
}

sequence::KnownDiagonal source_of(Jacobian jacobian) {
  return jacobian == Jacobian::gaussian ? sequence::KnownDiagonal::gaussian
                                        : sequence::KnownDiagonal::linear_part;
}

}  // namespace

const char* name(Jacobian jacobian) { return kWords.of(jacobian); }
Jacobian jacobian_from(const std::string& name) { return kWords.find(name); }

Damping damping_from(const std::string& text) {
  if (text == "none") return {std::numeric_limits<double>::infinity()};
  const std::string word = "clip:";
  double most = 0;
  const char *begin = text.data() + std::min(word.size(), text.size()),
             *end = text.data() + text.size();
  const bool clips = text.rfind(word, 0) == 0;
  const auto [next, code] = std::from_chars(begin, end, most);
  if (!clips || code != std::errc() || next != end || !(most > 0) || std::isinf(most))
    throw input_error("--damping {}: none, or clip:C with a number C above 0, such as clip:1",
                      text);
  return {most};
}

ApproximateJacobian::ApproximateJacobian(const WindowedOptions& options,
                                         const parallel::Communicator& comm,
                                         const sequence::Sequence& sequence)
    : jacobian_(options.jacobian),
      damping_(options.damping),
      seed_(options.seed),
      comm_(comm),
      sequence_(sequence),
      pairs_(jacobian_ == Jacobian::paired ||
             (jacobian_ != Jacobian::dense && knows_pairs(sequence))),
      solver_(linear::find(jacobian_ == Jacobian::dense ? options.linear : "scan").make()) {
  if (is_known() && !pairs_ &&
      !sequence.known_diagonals(source_of(jacobian_), {0, 0}, {nullptr, {0, sequence.width()}})) {
    throw input_error("--jacobian {}: this model does not know it; use dense, diagonal or probe",
                      name(jacobian_));
  }
  if (jacobian_ == Jacobian::paired && !has_pairs(sequence)) {
    throw input_error(
        "--jacobian paired: this model has no such pairs, an lstm or para-lstm of one layer has; "
        "use diagonal");
  }
}

/// Whether the model knows the diagonals without an evaluation.
bool ApproximateJacobian::is_known() const {
  return jacobian_ == Jacobian::linear_part || jacobian_ == Jacobian::gaussian;
}

void ApproximateJacobian::evaluate(const Section& section, ConstStates in, States out) {
  ++sweep_;
  J_.reset();
  if (section.mine.empty()) return;
  if (is_known()) {
    sequence_.value(section.mine, in, out);
  } else {
    J_ = sequence_.linearise(section.mine, in, out);
  }
  if (jacobian_ == Jacobian::dense) return;
  if (pairs_) return set_pairs(section.mine, in);
  diagonals_.reserve(in.size());
  const States D(diagonals_.data(), in.shape());
  if (is_known()) known(section.mine, D);
  if (jacobian_ == Jacobian::diagonal) J_->diagonals(section.mine, D);
  if (jacobian_ == Jacobian::probe) probe(*J_, section.mine, D);
  if (!is_known()) clip(damping_, D);
  J_ = std::make_unique<Diagonals>(section.mine.first, D);
}

void ApproximateJacobian::set_pairs(StepRange range, ConstStates in) {
  const Index m = in.extent(0), B = in.extent(1), n = in.extent(2);
  diagonals_.reserve(2 * in.size());
  const View<Real, 4> columns(diagonals_.data(), {m, B, 2, n});
  if (is_known()) {
    known_.reserve(2 * m * n);
    sequence_.known_pairs(source_of(jacobian_), range, {known_.data(), {m, 2, n}});
    for (Index i = 0; i < m * B; ++i)
      std::copy_n(known_.data() + i / B * 2 * n, 2 * n, columns.data() + i * 2 * n);
  } else if (jacobian_ == Jacobian::probe) {
    probe_pairs(*J_, range, columns);
  } else {
    J_->paired_diagonals(range, columns);
  }
  if (!is_known()) clip(damping_, columns);
  J_ = std::make_unique<PairedDiagonals>(range.first, columns);
}

void ApproximateJacobian::solve(const Section& section, States d) {
  blocks::BlockBidiagonal J(comm_, section.layout, d.extent(1), sequence_.width());
  J.set_linearisation(J_.get(), section.window.first);
  solver_->setup(J);
  solver_->solve(d, d);
}

void ApproximateJacobian::known(StepRange range, States D) {
  const Index B = D.extent(1), n = D.extent(2);
  known_.reserve(range.size() * n);
  sequence_.known_diagonals(source_of(jacobian_), range, {known_.data(), {range.size(), n}});
  for (Index i = 0; i < range.size() * B; ++i)
    std::copy_n(known_.data() + i / B * n, n, D.data() + i * n);
}

// D = v .* (A v), v of random signs: the diagonal on average
void ApproximateJacobian::probe(const blocks::Linearisation& J, StepRange range, States D) {
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

// C = v .* (A (v, 0)) and v .* (A (0, v)): the entries of the 2 x 2 blocks on average
void ApproximateJacobian::probe_pairs(const blocks::Linearisation& J, StepRange range,
                                      View<Real, 4> columns) {
  const Index n = columns.extent(3), half = n / 2, rows = columns.size() / (2 * n);
  probe_.reset(rows * half + columns.size());
  Real *v = probe_.data(), *V = v + rows * half;
  RandomStream(seed_, kProbeStream + static_cast<std::uint64_t>(sweep_))
      .uniform(range.first * columns.extent(1) * half, rows * half, v);
  for (Index i = 0; i < rows * half; ++i) {
    v[i] = v[i] < 0.5 ? -1 : 1;
    Real* pair = V + i / half * 2 * n;
    pair[i % half] = pair[n + half + i % half] = v[i];
  }
  J.product_each(range, Direction::forward, {V, columns.shape()}, columns);
  for (Index i = 0; i < columns.size(); ++i) columns.data()[i] *= v[i / (2 * n) * half + i % half];
}

}  // namespace deeppcr::nonlinear
