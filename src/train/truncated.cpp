#include "train/truncated.hpp"

#include <algorithm>
#include <utility>

#include "deeppcr/blocks/linearisation.hpp"

namespace deeppcr::train {

namespace {

/// The steps at whose front a gradient stops, for the samples that have them.
struct Cuts {
  Index window;
  sequence::Inputs inputs;

  bool at(Index l) const { return l > 0 && l % window == 0; }
  /// The window of a step, from first to the step: where a walk back from l stops.
  Index front(Index l) const { return l - l % window; }
  /// Sets the rows of those samples to zero: the first axis of x is the batch.
  template <typename Rows>
  void clear(Index l, const Rows& x) const {
    if (!at(l) || x.extent(0) == 0) return;
    const Index row = x.size() / x.extent(0);
    for (Index b = 0; b < x.extent(0); ++b)
      if (inputs.has(l, b)) std::fill_n(x.data() + b * row, row, Real{0});
  }
  /// Calls visit(piece) for the pieces of a range between cuts, from the last to the first.
  template <typename Visit>
  void each_piece_back(StepRange range, const Visit& visit) const {
    for (Index last = range.last; last > range.first;) {
      const Index first = std::max(range.first, front(last - 1));
      visit(StepRange{first, last});
      last = first;
    }
  }
};

class CutJacobians final : public blocks::Shifted {
 public:
  CutJacobians(std::unique_ptr<blocks::Linearisation> J, const Cuts& cuts)
      : Shifted(*J), own_(std::move(J)), cuts_(cuts) {}

  const blocks::Linearisation& whole() const { return *own_; }

  void product(Index l, Direction direction, ConstPanel V, Panel W) const override {
    own_->product(l, direction, V, W);
    cuts_.clear(l, W);
  }
  void product_each(StepRange range, Direction direction, View<const Real, 4> V,
                    View<Real, 4> W) const override {
    own_->product_each(range, direction, V, W);
    for (Index l = range.first; l < range.last; ++l) cuts_.clear(l, W[l - range.first]);
  }
  void diagonals(StepRange range, States D) const override {
    own_->diagonals(range, D);
    for (Index l = range.first; l < range.last; ++l) cuts_.clear(l, D[l - range.first]);
  }
  void blocks(StepRange range, Blocks A) const override {
    own_->blocks(range, A);
    for (Index l = range.first; l < range.last; ++l) cuts_.clear(l, A[l - range.first]);
  }
  void eliminate(StepRange range, Direction direction, ConstStates rhs, Panel map,
                 Panel scratch) const override {
    Linearisation::eliminate(range, direction, rhs, map, scratch);
  }
  void substitute(StepRange range, Direction direction, ConstStates rhs, States result,
                  State carry) const override {
    if (direction == Direction::forward) {
      Linearisation::substitute(range, direction, rhs, result, carry);
      return;
    }
    const Index m = range.size();
    cuts_.each_piece_back(range, [&](StepRange piece) {
      const Index from = piece.first - range.first, to = piece.last - range.first;
      own_->substitute(piece, direction, blocks::rows_at(rhs, m, from, to), result.slice(from, to),
                       carry);
      cuts_.clear(piece.first, carry);
    });
  }

 private:
  std::unique_ptr<Linearisation> own_;
  Cuts cuts_;
};

}  // namespace

std::unique_ptr<sequence::Sequence> Truncated::bound_to(const sequence::Inputs& inputs) const {
  auto bound = chain_.bound_to(inputs);
  if (!bound) return nullptr;
  return std::unique_ptr<Sequence>(new Truncated(std::move(bound), window_));
}

std::vector<std::unique_ptr<sequence::Sequence>> Truncated::layers() const {
  std::vector<std::unique_ptr<Sequence>> all;
  for (auto& layer : chain_.layers())
    all.push_back(std::unique_ptr<Sequence>(new Truncated(std::move(layer), window_)));
  return all;
}

std::unique_ptr<blocks::Linearisation> Truncated::cut(
    std::unique_ptr<blocks::Linearisation> J) const {
  return std::make_unique<CutJacobians>(std::move(J), Cuts{window_, chain_.inputs()});
}

std::unique_ptr<blocks::Linearisation> Truncated::linearise(StepRange range, ConstStates in,
                                                            States out) const {
  return cut(chain_.linearise(range, in, out));
}

std::unique_ptr<blocks::Linearisation> Truncated::linearise_at_solution(StepRange range,
                                                                        ConstStates in,
                                                                        ConstStates out) const {
  return cut(chain_.linearise_at_solution(range, in, out));
}

std::unique_ptr<blocks::Linearisation> Truncated::linearise_along(StepRange range,
                                                                  States states) const {
  return cut(chain_.linearise_along(range, states));
}

void Truncated::parameter_gradient_at(const blocks::Linearisation& J, StepRange range,
                                      ConstStates in, ConstStates g,
                                      const sequence::GroupRows& grads) const {
  const auto* own = dynamic_cast<const CutJacobians*>(&J);
  if (own == nullptr) {
    chain_.parameter_gradient(range, in, g, grads);
  } else {
    chain_.parameter_gradient_at(own->whole(), range, in, g, grads);
  }
}

void Truncated::backpropagate(const blocks::Linearisation& J, StepRange range,
                              const sequence::BackwardPass& pass) const {
  const auto* own = dynamic_cast<const CutJacobians*>(&J);
  if (own == nullptr) {
    Sequence::backpropagate(J, range, pass);
    return;
  }
  const Cuts cuts{window_, chain_.inputs()};
  const Index m = range.size();
  cuts.each_piece_back(range, [&](StepRange piece) {
    const Index from = piece.first - range.first, to = piece.last - range.first;
    sequence::GroupRows rows = pass.parameters;  // of the piece's steps, or one that all share
    for (View<Real, 2>& one : rows)
      if (one.extent(0) == m) one = one.slice(from, to);
    sequence::BackwardPass part{pass.in.slice(from, to), blocks::rows_at(pass.loss, m, from, to),
                                pass.gradient.slice(from, to), pass.carry, rows};
    if (pass.from_above.size() > 0) part.from_above = pass.from_above.slice(from, to);
    if (pass.by_inputs.size() > 0) part.by_inputs = pass.by_inputs.slice(from, to);
    chain_.backpropagate(own->whole(), piece, part);
    cuts.clear(piece.first, pass.carry);
  });
}

}  // namespace deeppcr::train
