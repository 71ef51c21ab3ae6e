#include "train/trajectory_store.hpp"

#include <algorithm>

namespace deeppcr::train {

TrajectoryStore::TrajectoryStore(const parallel::ProcessGrid& grid, Index num_steps,
                                 const StepSet& local, int width, Index kept)
    : kept_(kept),
      width_(width),
      row_(kept * (width + 1)),
      rows_(local.shifted(grid.data().rank() * num_steps)),
      num_rows_(grid.data().size() * num_steps),
      values_(local.size() * row_) {}

void TrajectoryStore::load(const Index* samples, States states) const {
  for (Index i = 0; i < rows_.size(); ++i) {
    const Real* row = values_.data() + i * row_;
    for (Index b = 0; b < states.extent(1); ++b) {
      const Index sample = samples[b];
      if (sample < kept_ && row[sample] != 0)
        std::copy_n(row + kept_ + sample * width_, width_, &states(i, b, 0));
    }
  }
}

void TrajectoryStore::keep(const Index* samples, ConstStates states) {
  for (Index i = 0; i < rows_.size(); ++i) {
    Real* row = values_.data() + i * row_;
    for (Index b = 0; b < states.extent(1); ++b) {
      const Index sample = samples[b];
      if (sample >= kept_) continue;
      row[sample] = 1;
      std::copy_n(&states(i, b, 0), width_, row + kept_ + sample * width_);
    }
  }
}

StoredArray TrajectoryStore::array() {
  StoredArray array{
      "trajectories", num_rows_,
      row_,           rows_,
      values_.data(), "for each data rank and step: which samples are known, then their states"};
  array.per_data_rank = true;
  return array;
}

}  // namespace deeppcr::train
