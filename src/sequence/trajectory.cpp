#include "deeppcr/sequence/trajectory.hpp"

#include <algorithm>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/random.hpp"
#include "deeppcr/parallel/exchange.hpp"
#include "deeppcr/petsc/check.hpp"

namespace deeppcr::sequence {

void check_index_size(Index num_steps, Index batch, int width) {
  const double elements = static_cast<double>(num_steps) * static_cast<double>(batch) * width;
  if (elements <= static_cast<double>(petsc::max_global_size())) return;
  throw input_error(
      "steps x batch x width = {} x {} x {} = {:.4g} state elements, but this PETSc counts them "
      "with "
      "{} bits (at most {}); use fewer samples at a time, or a build against PETSc with 64-bit "
      "indices (-DDEEPPCR_PETSC64=ON; Debian: petsc64-dev)",
      num_steps, batch, width, elements, 8 * sizeof(PetscInt), petsc::max_global_size());
}

Trajectory::Trajectory(const parallel::Communicator& comm, parallel::BlockLayout layout,
                       Index batch, int width)
    : comm_(comm), layout_(std::move(layout)), batch_(batch), width_(width) {
  check_index_size(layout_.num_steps(), batch_, width_);
  input_.reset(batch_ * width_);
  const Index local = local_range().size() * batch_ * width_;
  constexpr Index kLine = 8;  // reals of a cache line: the local states begin with one
  const Index front = (batch_ * width_ + kLine - 1) / kLine * kLine;
  values_.reset(front + local);
  data_ = values_.data() + front;
  DEEPPCR_PETSC(VecCreateMPIWithArray(comm_.get(), 1, static_cast<PetscInt>(local), PETSC_DETERMINE,
                                      data_, vec_.put()));
}

void Trajectory::touched() { petsc::mark_changed(reinterpret_cast<PetscObject>(vec_.get())); }

ConstStates Trajectory::starts(parallel::Traffic& traffic) const {
  const Index m = local_range().size(), state = batch_ * width_;
  Real* left = data_ - state;
  parallel::halo(comm_, 0, layout_.num_active_ranks() - 1, Direction::forward,
                 data_ + (m - 1) * state, left, m > 0 ? state : 0, traffic);
  if (local_range().contains(0)) std::copy(input_.begin(), input_.end(), left);
  return {left, {m, batch_, width_}};
}

void Trajectory::fill_with_input() {
  for (Index i = 0; i < local_range().size(); ++i)
    std::copy(input_.begin(), input_.end(), data_ + i * input_.size());
  touched();
}

void Trajectory::fill_with_zero() {
  std::fill(values_.begin(), values_.end(), 0.0);
  touched();
}

void Trajectory::fill_with_noise(std::uint64_t seed) {
  constexpr std::uint64_t kGuessStream = 0x67756573;  // "gues"
  RandomStream(seed, kGuessStream)
      .normal(local_range().first * batch_ * width_, states().size(), data_);
  touched();
}

}  // namespace deeppcr::sequence
