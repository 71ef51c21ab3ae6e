#pragma once

#include <cmath>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/train/trainable.hpp"

namespace deeppcr::train {

/// Stages of a proximal-point method: in stage k, which ends with a mean of all data ranks, updates
/// follow  grad F(v) + (v - v_k) / gamma  with the rate / decay^k, from v_k, where the last ended.
///
/// Source: CODA, arXiv 2005.02426
struct Stages {
  Index updates = 0;  ///< of a stage; 0: there is one
  double decay = 1;   ///< of the learning rate
  double gamma = 0;   ///< 0: nothing draws to v_k

  bool ends(Index updates_done) const { return updates > 0 && updates_done % updates == 0; }
  /// On the learning rate.
  double factor(Index update) const {
    return updates == 0 ? 1 : std::pow(decay, -static_cast<double>(update / updates));
  }
};

/// What parameters are drawn to, all but dual ones.
class ReferencePoint {
 public:
  /// At the parameters as they are; their arrays must outlive the object.
  ReferencePoint(const std::vector<ParameterGroup>& groups, double gamma);

  /// The same parameters, with the gradients that draw_in() makes.
  const std::vector<ParameterGroup>& groups() const { return drawn_; }
  /// From the gradients of the groups given.
  void draw_in();
  /// Moves it to the parameters.
  void renew();
  /// Where it is, for checkpoints.
  std::vector<StoredArray> arrays();

 private:
  std::vector<ParameterGroup> groups_, drawn_;
  Real gamma_;
  std::vector<Buffer<Real>> points_, gradients_;  ///< of each group; none of dual ones
};

}  // namespace deeppcr::train
