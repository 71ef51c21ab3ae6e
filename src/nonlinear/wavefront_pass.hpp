#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/parallel/column_exchange.hpp"
#include "deeppcr/sequence/trajectory.hpp"
#include "nonlinear/wavefront_plan.hpp"

namespace deeppcr::nonlinear {

/// The layers of a chain on the ranks of a wavefront. A trajectory has all layers of some steps;
/// here each rank has its own layers of all steps, a table [L, B, w] each.
class LayersOnRanks {
 public:
  /// Both must outlive the object. @pre the layout is contiguous
  /// chunk_steps: as of a WavefrontPlan. @throws Error where the chain has no layers
  LayersOnRanks(const sequence::Sequence& chain, const sequence::Trajectory& at, Index chunk_steps);

  const WavefrontPlan& plan() const { return plan_; }
  const parallel::Communicator& comm() const { return at_.comm(); }
  Index batch() const { return at_.batch(); }
  /// The layers of this rank; none where there are more ranks than layers.
  StepRange own() const { return plan_.layers().range(comm().rank()); }
  bool is_first() const { return own().contains(0); }
  bool is_last() const { return own().contains(plan_.layers().num_steps() - 1); }
  const sequence::Sequence& layer(Index k) const { return *layers_[static_cast<std::size_t>(k)]; }
  /// Numbers in an input of the chain.
  int input_width() const { return chain_.input_width(); }
  /// The numbers of layer k in a state of the chain.
  sequence::Columns columns(Index k) const { return columns_[static_cast<std::size_t>(k)]; }

  /// Groups of parameters of layer k.
  std::size_t parameter_groups(Index k) const {
    return layers_[static_cast<std::size_t>(k)]->parameters().size();
  }

  /// Layer k for the steps of a chunk whose inputs are x [m, B, d]. It borrows from x and this.
  std::unique_ptr<sequence::Sequence> bound(Index k, StepRange chunk, const Real* x) const;

  /// From rows [own ones, B, S] of some steps, first_rows[p] to first_rows[p + 1] on rank p, to
  /// those of all ranks by layers: tables[i] [all rows, B, w] of own layer i. Collective.
  void to_layers(const std::vector<Index>& first_rows, const Real* rows,
                 const std::vector<Real*>& tables, parallel::Traffic& traffic) const;
  /// The way back. Collective.
  void to_steps(const std::vector<Index>& first_rows, const std::vector<Real*>& tables, Real* rows,
                parallel::Traffic& traffic) const;
  /// The inputs of own layers for all steps, [L, B, d]: those of the chain, or output() of the
  /// layer below in the states of the trajectory. Nothing is asked of the latter in a forward pass.
  /// Collective.
  Buffer<Real> chain_inputs(parallel::Traffic& traffic) const;
  Buffer<Real> outputs_below(parallel::Traffic& traffic) const;

 private:
  using ColumnsOfRank = std::vector<parallel::TwoWays::Columns>;
  parallel::TwoWays ways(const std::vector<Index>& first_rows, Index turn) const;
  parallel::TwoWays by_rows(const std::vector<Index>& first_rows, Index width,
                            ColumnsOfRank columns) const;

  const sequence::Sequence& chain_;
  const sequence::Trajectory& at_;
  std::vector<std::unique_ptr<sequence::Sequence>> layers_;
  std::vector<sequence::Columns> columns_;
  WavefrontPlan plan_;
};

/// Some columns of x [rows, width], one row after another: where they are, or in scratch.
const Real* columns_of(Index rows, Index width, sequence::Columns columns, const Real* x,
                       Buffer<Real>& scratch);

/// One pass of the chunks through the ranks, one behind the other, from the first chunk and layer
/// to the last ones (forward), or back. A message carries besides the numbers the time by a logical
/// clock, in steps of one layer.
///
///     forward     rank p  [chunk c]  --output, time-->              rank p + 1  [chunk c]
///     backward    rank p  [chunk c]  <--gradient by output, time--  rank p + 1  [chunk c]
class WavefrontPass {
 public:
  /// Must outlive the object.
  WavefrontPass(const LayersOnRanks& layers, Direction direction)
      : layers_(layers), direction_(direction) {}

  /// Takes a chunk through this rank's layers: what came for its steps, null at this end of the
  /// stack, and room for what goes on, null at the other end.
  using Work = std::function<void(StepRange chunk, const Real* in, Real* out)>;
  void run(const Work& work);

  double clock() const { return clock_; }    ///< when this rank was done
  double waited() const { return waited_; }  ///< seconds, for messages
  const parallel::Traffic& sent() const { return sent_; }

 private:
  const LayersOnRanks& layers_;
  Direction direction_;
  double clock_ = 0, waited_ = 0;
  parallel::Traffic sent_;
};

}  // namespace deeppcr::nonlinear
