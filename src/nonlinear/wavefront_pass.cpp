#include "nonlinear/wavefront_pass.hpp"

#include <algorithm>
#include <utility>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/profile.hpp"
#include "deeppcr/parallel/exchange.hpp"
#include "nonlinear/pipeline_plan.hpp"

namespace deeppcr::nonlinear {

using parallel::TwoWays;

namespace {

std::vector<std::unique_ptr<sequence::Sequence>> layers_of(const sequence::Sequence& chain) {
  auto layers = chain.layers();
  if (layers.empty())
    throw input_error(
        "a wavefront goes through stacked recurrent cells, and the steps of this chain are none; "
        "use pipeline, or auto");
  return layers;
}

}  // namespace

LayersOnRanks::LayersOnRanks(const sequence::Sequence& chain, const sequence::Trajectory& at,
                             Index chunk_steps)
    : chain_(chain),
      at_(at),
      layers_(layers_of(chain)),
      plan_(problem_of(at, static_cast<int>(layers_.size())), chunk_steps) {
  int first = 0;
  for (const auto& layer : layers_) {
    columns_.push_back({first, layer->width()});
    first += layer->width();
  }
  DEEPPCR_ASSERT(first == chain.width(), "layers of {} numbers, a chain of {}", first,
                 chain.width());
}

std::unique_ptr<sequence::Sequence> LayersOnRanks::bound(Index k, StepRange chunk,
                                                         const Real* x) const {
  const sequence::Inputs all = chain_.inputs();
  const Index* lengths = all.lengths == nullptr ? nullptr : all.lengths + all.first_sample;
  return layer(k).bound_to(
      {chunk, {x, {chunk.size(), batch(), layer(k).input_width()}}, 0, lengths});
}

TwoWays LayersOnRanks::by_rows(const std::vector<Index>& first_rows, Index width,
                               ColumnsOfRank columns) const {
  TwoWays ways{first_rows, std::move(columns), width};
  for (Index& first : ways.first_rows) first *= batch();
  return ways;
}

/// For the layers that are each rank's own ones number `turn`.
TwoWays LayersOnRanks::ways(const std::vector<Index>& first_rows, Index turn) const {
  ColumnsOfRank of_rank;
  for (int p = 0; p < comm().size(); ++p) {
    const StepRange layers = plan_.layers().range(p);
    const bool has = turn < layers.size();
    const sequence::Columns one = has ? columns(layers.first + turn) : sequence::Columns{};
    of_rank.push_back({one.first, one.count});
  }
  return by_rows(first_rows, at_.width(), std::move(of_rank));
}

// all layers of some steps  -->  some layers of all steps, a layer a rank in each turn
void LayersOnRanks::to_layers(const std::vector<Index>& first_rows, const Real* rows,
                              const std::vector<Real*>& tables, parallel::Traffic& traffic) const {
  for (Index turn = 0; turn < plan_.layers().count(0); ++turn) {
    Real* table = turn < own().size() ? tables[static_cast<std::size_t>(turn)] : nullptr;
    parallel::rows_to_columns(comm(), ways(first_rows, turn), rows, table, traffic);
  }
}

void LayersOnRanks::to_steps(const std::vector<Index>& first_rows, const std::vector<Real*>& tables,
                             Real* rows, parallel::Traffic& traffic) const {
  for (Index turn = 0; turn < plan_.layers().count(0); ++turn) {
    const Real* table = turn < own().size() ? tables[static_cast<std::size_t>(turn)] : nullptr;
    parallel::columns_to_rows(comm(), ways(first_rows, turn), table, rows, traffic);
  }
}

Buffer<Real> LayersOnRanks::chain_inputs(parallel::Traffic& traffic) const {
  const Index d = chain_.input_width(), row = batch() * d;
  const StepRange local = at_.local_range();
  const sequence::Inputs x = chain_.inputs();
  const Real* first = local.empty() ? nullptr : x.at(local.first);
  Buffer<Real> rows;
  if (x.values.extent(1) != batch()) {  // the batch is a part of all samples
    rows.reset(local.size() * row);
    for (Index l = local.first; l < local.last; ++l)
      std::copy_n(x.at(l), row, rows.data() + (l - local.first) * row);
    first = rows.data();
  }
  ColumnsOfRank of_rank(static_cast<std::size_t>(comm().size()));
  of_rank.front() = {0, d};
  Buffer<Real> all(is_first() ? at_.layout().num_steps() * row : 0);
  parallel::rows_to_columns(comm(), by_rows(at_.layout().first_steps(), d, std::move(of_rank)),
                            first, all.data(), traffic);
  return all;
}

Buffer<Real> LayersOnRanks::outputs_below(parallel::Traffic& traffic) const {
  ColumnsOfRank of_rank;
  for (int p = 0; p < comm().size(); ++p) {
    const StepRange layers = plan_.layers().range(p);
    const bool has = !layers.empty() && layers.first > 0;
    const Index below = layers.first - 1;
    of_rank.push_back({});
    if (!has) continue;
    const sequence::Columns output = layer(below).output();
    of_rank.back() = {columns(below).first + output.first, output.count};
  }
  const Index d = of_rank[static_cast<std::size_t>(comm().rank())].count;
  Buffer<Real> all(at_.layout().num_steps() * batch() * d);
  parallel::rows_to_columns(comm(),
                            by_rows(at_.layout().first_steps(), at_.width(), std::move(of_rank)),
                            at_.states().data(), all.data(), traffic);
  return all;
}

const Real* columns_of(Index rows, Index width, sequence::Columns columns, const Real* x,
                       Buffer<Real>& scratch) {
  if (columns.count == width) return x;
  scratch.reserve(rows * columns.count);
  for (Index i = 0; i < rows; ++i)
    std::copy_n(x + i * width + columns.first, columns.count, scratch.data() + i * columns.count);
  return scratch.data();
}

void WavefrontPass::run(const Work& work) {
  const StepRange own = layers_.own();
  if (own.empty()) return;
  const bool forward = direction_ == Direction::forward;
  const parallel::Communicator& comm = layers_.comm();
  const parallel::BlockLayout& chunks = layers_.plan().chunks();
  const int towards = forward ? 1 : -1, last = chunks.num_ranks() - 1;
  const bool receives = forward ? !layers_.is_first() : !layers_.is_last();
  const bool sends = forward ? !layers_.is_last() : !layers_.is_first();
  const Index below = layers_.layer(own.first).input_width(),
              above = layers_.layer(own.last - 1).output().count;
  const Index most = chunks.count(0) * layers_.batch();
  Buffer<Real> in(most * (forward ? below : above) + 1), out(most * (forward ? above : below));
  parallel::PendingSends messages(comm);
  for (int c = 0; c <= last; ++c) {
    const StepRange chunk = chunks.range(forward ? c : last - c);
    const Index rows = chunk.size() * layers_.batch();
    if (receives) {
      const Stopwatch watch;
      const Index size = rows * (forward ? below : above);
      comm.receive(in.data(), size + 1, comm.rank() - towards);
      waited_ += watch.seconds();
      clock_ = std::max(clock_, in[size]);
    }
    work(chunk, receives ? in.data() : nullptr, sends ? out.data() : nullptr);
    clock_ += static_cast<double>(chunk.size() * own.size());
    if (!sends) continue;
    const Index size = rows * (forward ? above : below);
    messages.send(out.data(), size, clock_, comm.rank() + towards);
    sent_.add(1, (size + 1) * Index{sizeof(Real)});
  }
  messages.wait();
}

}  // namespace deeppcr::nonlinear
