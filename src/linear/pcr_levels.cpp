#include "linear/pcr_levels.hpp"

#include <algorithm>

#include "deeppcr/parallel/node_memory.hpp"

namespace deeppcr::linear {

namespace {

constexpr std::size_t kTurns = 2;

}  // namespace

PcrLevels::PcrLevels(const parallel::Communicator& comm, const LevelShape& shape, bool share_node) {
  for (Index stride = 1; stride < shape.rows.size(); stride *= 2) {
    LevelShape level = shape;
    level.stride = stride;
    levels_.push_back(std::make_unique<LevelMatrix>(comm, level));
  }
  if (share_node) make_outboxes(comm, shape);
}

void PcrLevels::make_outboxes(const parallel::Communicator& comm, const LevelShape& shape) {
  Index blocks = 0, columns = 0;
  for (const auto& level : levels_) {
    blocks = std::max(blocks, level->sent_blocks());
    columns = std::max(columns, level->sent_columns());
  }
  // They lie at the same offsets on every rank.
  const Index column = shape.batch * shape.width;
  blocks = comm.max(blocks) * column * shape.width;
  columns = comm.max(columns) * column;
  if (columns == 0) return;
  const std::shared_ptr<const parallel::NodeMemory> memory =
      parallel::NodeMemory::make(comm, Index{kTurns} * (blocks + columns));
  if (memory == nullptr) return;
  Index offset = 0;
  for (std::size_t turn = 0; turn < kTurns; ++turn) {
    for (const Index reals : {blocks, columns}) {
      outboxes_.emplace_back(comm, memory, offset, static_cast<int>(outboxes_.size()));
      offset += reals;
    }
  }
  for (std::size_t k = 0; k < levels_.size(); ++k) {
    const std::size_t at = 2 * (k % kTurns);
    levels_[k]->hand_over_in(outboxes_[at], outboxes_[at + 1]);
  }
}

void PcrLevels::reduce(Blocks blocks, States r, parallel::TrafficByLevel& traffic) {
  traffic.assign(levels_.size(), {});
  for (std::size_t k = 0; k < levels_.size(); ++k) {
    LevelMatrix* next = k + 1 < levels_.size() ? levels_[k + 1].get() : nullptr;
    levels_[k]->advance(blocks, r, work_, traffic[k], next);
  }
}

}  // namespace deeppcr::linear
