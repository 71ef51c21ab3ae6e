#include "deeppcr/train/stages.hpp"

#include <algorithm>

#include "deeppcr/core/error.hpp"

namespace deeppcr::train {

ReferencePoint::ReferencePoint(const std::vector<ParameterGroup>& groups, double gamma)
    : groups_(groups), drawn_(groups), gamma_(gamma) {
  DEEPPCR_ASSERT(gamma > 0, "drawn to a reference point by 1 / {}", gamma);
  for (ParameterGroup& group : drawn_) {
    const bool dual = group.kind == models::ParameterKind::dual;
    const Index size = dual ? 0 : group.array.local_size();
    points_.emplace_back(size);
    gradients_.emplace_back(size);
    if (!dual) group.gradient = gradients_.back().data();
  }
  renew();
}

void ReferencePoint::draw_in() {
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const Real* v = groups_[g].array.values;
    for (Index i = 0; i < points_[g].size(); ++i)
      gradients_[g][i] = groups_[g].gradient[i] + (v[i] - points_[g][i]) / gamma_;
  }
}

void ReferencePoint::renew() {
  for (std::size_t g = 0; g < groups_.size(); ++g)
    std::copy_n(groups_[g].array.values, points_[g].size(), points_[g].data());
}

std::vector<StoredArray> ReferencePoint::arrays() {
  std::vector<StoredArray> all;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    if (groups_[g].kind == models::ParameterKind::dual) continue;
    StoredArray array = groups_[g].array;
    array.values = points_[g].data();
    array.long_name = "reference point of " + array.name;
    all.push_back(std::move(array));
  }
  return all;
}

}  // namespace deeppcr::train
